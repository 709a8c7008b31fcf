"""Security group rules and network lists, read as what they let through."""

import pytest

from tally.aws.security_groups import Opening, admits, common, openings, overlaps, show


def tcp(first, last, **peers):
    return {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, **peers}


def test_a_permission_is_taken_apart_by_its_peers():
    permission = tcp(
        80,
        81,
        IpRanges=[{"CidrIp": "0.0.0.0/0"}],
        Ipv6Ranges=[{"CidrIpv6": "::/0"}],
        UserIdGroupPairs=[{"GroupId": "sg-1"}],
        PrefixListIds=[{"PrefixListId": "pl-1"}],
    )
    found = list(openings([permission]))
    assert [it.peer for it in found] == ["0.0.0.0/0", "::/0", "sg-1", "pl-1"]
    assert [it.to_anyone for it in found] == [True, True, False, False]
    assert {it.ports for it in found} == {range(80, 82)}


@pytest.mark.parametrize(
    ("permission", "shown"),
    [
        (tcp(22, 22), "22"),
        (tcp(1, 9), "1-9"),
        (tcp(0, 65535), "all ports"),
        ({"IpProtocol": "udp", "FromPort": 53, "ToPort": 53}, "udp 53"),
        ({"IpProtocol": "-1"}, "everything"),
        ({"IpProtocol": "icmp", "FromPort": 8, "ToPort": 0}, "icmp all ports"),
    ],
)
def test_ports_are_shown_as_a_person_writes_them(permission, shown):
    (opening,) = openings([{**permission, "UserIdGroupPairs": [{"GroupId": "sg-1"}]}])
    assert show(opening) == shown


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        (("tcp", 1, 100), ("tcp", 50, 200), "50-100"),
        (("tcp", 1, 2), ("tcp", 3, 4), None),
        (("-1", 0, 65535), ("tcp", 22, 22), "22"),
        (("tcp", 22, 22), ("-1", 0, 65535), "22"),
        (("tcp", 53, 53), ("udp", 53, 53), None),
    ],
)
def test_a_flow_needs_both_sides(one, other, shown):
    sides = [Opening("sg-1", it[0], range(it[1], it[2] + 1)) for it in (one, other)]
    shared = common(*sides)
    assert (None if shared is None else show(shared)) == shown


def test_ranges_overlap_within_their_version_only():
    assert overlaps("10.0.0.0/8", "10.1.2.0/24")
    assert not overlaps("10.0.0.0/8", "11.0.0.0/8")
    assert not overlaps("0.0.0.0/0", "::/0")


def entry(number, action, first=None, last=None, source="0.0.0.0/0", protocol="6"):
    key = "Ipv6CidrBlock" if ":" in source else "CidrBlock"
    span = {} if first is None else {"PortRange": {"From": first, "To": last}}
    fields = {"RuleNumber": number, "RuleAction": action, "Protocol": protocol, key: source}
    return {**fields, **span, "Egress": False}


@pytest.mark.parametrize(
    ("entries", "source"),
    [
        ([], None),
        ([entry(100, "allow", 22, 22)], "0.0.0.0/0"),
        ([entry(100, "allow", 0, 65535)], "0.0.0.0/0"),
        ([entry(100, "allow", protocol="-1")], "0.0.0.0/0"),
        ([entry(100, "allow", 22, 22, "203.0.113.0/24")], None),
        ([entry(100, "deny", 22, 22), entry(200, "allow", 0, 65535)], None),
        ([entry(200, "deny", 22, 22), entry(100, "allow", 0, 65535)], "0.0.0.0/0"),
        ([entry(100, "deny", 22, 22), entry(200, "allow", 22, 22, "::/0")], "::/0"),
        ([entry(100, "allow", 22, 22, protocol="17")], None),
        ([{**entry(100, "allow", 22, 22), "Egress": True}], None),
    ],
)
def test_the_first_entry_of_a_list_that_fits_decides(entries, source):
    assert admits(entries, 22) == source
