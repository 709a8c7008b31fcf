"""Scenario 1: who can reach whom, and that each kind of mistake is noticed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rehearsal import changes, filters, page
from rehearsal.found import TCP
from rehearsal.outcome import Cell, Outcome
from rehearsal.reach import Result, follow, look, open_one, run
from rehearsal.reachability import cells


def first_of_each(found):
    """One interface for each set of groups, in the first zone, and all outside."""
    chosen = {it.groups: it for it in reversed(found.interfaces)}
    return [*chosen.values(), *found.outsiders]


def test_everything_agrees(account, probed):
    """Everybody tries everybody; each rule is removed; a port is opened."""
    found = account()
    with probed(found) as (network, prober):
        result = run(found, network, prober, first_of_each(found), lambda _: None)
    assert [str(it) for it in result.look.disagreements] == []
    assert [it.name for it in result.changes if not it.good] == []
    assert result.opened.good
    assert result.undeclared == []
    assert result.good
    # Each way out and in was tried, and each rule is needed, but those that say what others say.
    met = {it.tried for it in result.look.seen}
    refusals = {Outcome.GROUP_OUT, Outcome.GROUP_IN, Outcome.ACL_IN, Outcome.ROUTE}
    assert met == {Outcome.PASSES, *refusals}
    assert {it.name for it in result.changes if not it.tried} == {
        "bastion, egress: endpoints on 443",
        "CloudFront-VPCOrigins-Service-SG, egress: 0.0.0.0/0 on everything",
    }
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for shown in (page.as_html(result, at), page.as_markdown(result, at)):
        assert page.verdict(result) in shown
        assert "5432" in shown


def test_a_group_that_admits_too_much_is_noticed(account, probed):
    """Packets pass as computed, and `tally check` says that nobody declared it."""
    found = account()
    [bastion] = [it for it in found.interfaces if it.name == "bastion"]
    [display, *_] = [it for it in found.interfaces if it.name == "display"]
    cell = Cell(bastion, display, TCP, range(22, 23))
    with probed(found) as (network, prober), changes.opened(found, cell):
        now = follow(found, network)
        seen = look(now, prober, [cell])
        opened = open_one(now, network, prober)
        result = Result(now, seen, [], opened)
    assert [it.tried for it in seen.seen] == [Outcome.PASSES]
    assert seen.disagreements == []
    assert opened.good
    assert not result.good
    assert "bastion → display: 22, declared is nothing" in page.verdict(result)


def disagreements(found, probed):
    """What disagrees, among one interface of each kind."""
    with probed(found) as (_, prober):
        seen = look(found, prober, cells(found, first_of_each(found)))
    return seen.disagreements


def test_a_filter_that_admits_too_much_is_noticed(account, probed, monkeypatch):
    """As if one group's rules were compiled for another port, too."""
    ports = filters._ports

    def wider(opening):
        if opening.ports == range(8080, 8081):
            opening = replace(opening, ports=range(8080, 32768))
        return ports(opening)

    monkeypatch.setattr(filters, "_ports", wider)
    found = disagreements(account(), probed)
    targets = {it.cell.target.name for it in found}
    assert targets == {"adder", "display", "reset"}
    assert {it.cell.source.name for it in found} == {"load-balancer + load-balancer-https"}
    assert {it.tried for it in found} == {Outcome.PASSES}


def test_a_missing_route_is_noticed(account, probed):
    """The network stands without it: nobody gets in or out by the internet gateway."""
    found, now = account(), account()
    tables = now.aws.ec2.route_tables
    [(table, route)] = [
        (table["RouteTableId"], it["DestinationCidrBlock"])
        for table in tables
        for it in table["Routes"]
        if it.get("GatewayId", "").startswith("igw-")
    ]
    assert found.aws.ec2.route_tables == tables
    now.aws.ec2.client.delete_route(RouteTableId=table, DestinationCidrBlock=route)
    with probed(account()) as (_, prober):
        seen = look(found, prober, cells(found, first_of_each(found)))
    assert {it.computed for it in seen.disagreements} == {Outcome.PASSES}
    assert {it.tried for it in seen.disagreements} == {Outcome.ROUTE, Outcome.ANSWER_ROUTE}


def test_a_flow_log_of_accepted_traffic_is_noticed(account, probed):
    found = account()
    found.flow_log = found.flow_log | {"TrafficType": "ACCEPT"}
    seen = disagreements(found, probed)
    assert seen
    assert {it.recorded for it in seen} == {None}
    assert all(it.computed == it.tried != Outcome.PASSES for it in seen)


@pytest.mark.parametrize(
    ("egress", "outcome"),
    [(False, Outcome.ACL_IN), (True, Outcome.ANSWER_ACL_OUT)],
)
def test_a_network_acl_refuses_whatever_groups_allow(account, probed, egress, outcome):
    """It keeps no state: outbound, it refuses the database's answers."""
    found = account()
    [database, *_] = [it for it in found.interfaces if it.name == "database"]
    every = found.aws.ec2.network_acls
    [acl] = [
        it for it in every if any(a["SubnetId"] == database.subnet for a in it["Associations"])
    ]
    found.aws.ec2.client.create_network_acl_entry(
        NetworkAclId=acl["NetworkAclId"],
        RuleNumber=1,
        Protocol="-1",
        RuleAction="deny",
        Egress=egress,
        CidrBlock=found.networks[0],
    )
    now = account()
    with probed(now) as (_, prober):
        seen = look(now, prober, cells(now, first_of_each(now)))
    assert seen.disagreements == []
    asked = {it.tried for it in seen.seen if it.cell.target == database and it.cell.port == 5432}
    assert outcome in asked
    assert Outcome.PASSES not in asked
