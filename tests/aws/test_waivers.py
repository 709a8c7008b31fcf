"""The waiver file: what is knowingly left out, with reason, owner and an end."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tally.aws import check as checks
from tally.aws.check import Status, check
from tally.aws.requirement import Concern, Evidence, NotApplicable
from tally.aws.waivers import InvalidWaivers, Waiver, read_waivers
from tests.support.empty_account import EmptyAccount
from tests.support.paths import INFRA

GOOD = """
[check.a-requirement]
reason = "it costs more than it protects"
owner = "operator"
expires = 2027-01-31

[checkov.CKV_AWS_1]
reason = "another tool's"
"""


@pytest.fixture
def written(tmp_path):
    def written(text):
        path = tmp_path / "waivers.toml"
        path.write_text(text)
        return path

    return written


def test_the_entries_of_the_check_are_read_and_others_left(written):
    assert read_waivers(written(GOOD)) == {
        "a-requirement": Waiver(
            "a-requirement", "it costs more than it protects", "operator", date(2027, 1, 31)
        )
    }
    assert read_waivers(written("")) == {}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("reason", "because"), "must have reason, owner and expires"),
        (('owner = "operator"', ""), "must have reason, owner and expires"),
        (('"operator"', '" "'), "owner must be a text"),
        (('"operator"', "5"), "owner must be a text"),
        (("2027-01-31", '"2027-01-31"'), "expires must be a date"),
        (("2027-01-31", "2027-01-31T00:00:00"), "expires must be a date"),
        (("[check.a-requirement]", "check = 5\n[other]"), "check must be a table"),
        (("[check.a-requirement]", "[check.a-requirement"), "Expected"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named(written, change, rule):
    with pytest.raises(InvalidWaivers, match=rule):
        read_waivers(written(GOOD.replace(*change)))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidWaivers, match="No such file"):
        read_waivers(tmp_path / "none.toml")


def test_the_project_s_own_register_is_valid_and_names_requirements():
    known = {requirement.id for requirement in checks.requirements()}
    waivers = read_waivers(INFRA / "waivers.toml")
    assert set(waivers) <= known
    today = datetime.now(UTC).date()
    # Longer than about a year is no decision but a habit.
    assert all(it.expires <= today + timedelta(days=400) for it in waivers.values())


@pytest.fixture
def concerns(monkeypatch):
    """Replaces the requirements by three that are met, not met, and do not apply; and one empty."""
    concern = Concern("Test")
    monkeypatch.setattr(checks, "CONCERNS", (concern,))

    @concern.requires("met", "Is met")
    def met(aws):
        yield Evidence("a", True, "good")

    @concern.requires("unmet", "Is not met")
    def unmet(aws):
        yield Evidence("a", True, "good")
        yield Evidence("b", False, "bad")

    @concern.requires("elsewhere", "Does not apply")
    def elsewhere(aws):
        raise NotApplicable("not here")
        yield

    @concern.requires("nothing", "Finds nothing")
    def nothing(aws):
        return iter(())

    @concern.requires("gone", "Misses what every deployment has")
    def gone(aws):
        yield from aws.elbv2.load_balancer


def waiver(requirement, expires=date(2026, 6, 30)):
    return {requirement: Waiver(requirement, "reason", "owner", expires)}


def statuses(report):
    return {it.requirement.id: it.status for it in report.results}


@pytest.mark.usefixtures("concerns")
class TestResults:
    def test_no_finding_is_a_failure(self):
        report = check(EmptyAccount(), {})
        assert statuses(report) == {
            "met": Status.PASS,
            "unmet": Status.FAIL,
            "elsewhere": Status.NOT_APPLICABLE,
            "nothing": Status.FAIL,
            "gone": Status.FAIL,
        }
        assert not report.passed
        evidence = {it.requirement.id: it.evidence[-1].what for it in report.results}
        assert evidence["nothing"] == "nothing was found to which this applies"
        assert evidence["gone"] == "there should be elbv2"

    def test_a_waiver_holds_through_its_last_day(self):
        report = check(EmptyAccount(), waiver("unmet"), today=date(2026, 6, 30))
        assert statuses(report)["unmet"] == Status.WAIVED
        assert report.stale_waivers == ()

    def test_an_expired_waiver_fails(self):
        report = check(EmptyAccount(), waiver("unmet"), today=date(2026, 7, 1))
        (unmet,) = (it for it in report.results if it.requirement.id == "unmet")
        assert unmet.status == Status.FAIL
        assert unmet.waiver is not None

    @pytest.mark.parametrize(
        ("requirement", "said"),
        [("unknown", "there is no such requirement"), ("met", "is met and needs no waiver")],
    )
    def test_a_waiver_for_nothing_fails(self, requirement, said):
        # All that is left is met.
        del checks.CONCERNS[0].requirements[1:]
        report = check(EmptyAccount(), waiver(requirement), today=date(2026, 6, 1))
        assert report.stale_waivers == (f"{requirement}: {said}",)
        assert not report.passed
