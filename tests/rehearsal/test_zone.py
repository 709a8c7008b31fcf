"""A zone is lost while people add: nothing acknowledged is gone, nothing counts twice."""

import pytest

from rehearsal import zone


@pytest.mark.parametrize("of_primary", [True, False])
def test_what_is_acknowledged_counts_once(all_of_it, of_primary):
    with all_of_it() as (_, stands):
        zones = {
            host.zone == stands.database.primary.zone: host.zone for host in stands.database.servers
        }
        result = zone.run(stands, zones[of_primary], print)
    assert result.good, result
    assert result.of_primary == of_primary
    assert result.acknowledged >= 200


@pytest.mark.parametrize(
    ("changed", "good"),
    [({}, True), ({"counted": 99}, False), ({"counted": 101}, False), ({"difference": "x"}, False)],
)
def test_less_more_or_otherwise_is_not_good(changed, good):
    found = {
        "zone": "z",
        "of_primary": True,
        "acknowledged": 100,
        "counted": 100,
        "difference": None,
        "adds_back": 1.0,
        "reads_back": 1.0,
    }
    assert zone.Result(**{**found, **changed}).good == good
