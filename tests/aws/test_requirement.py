"""How requirements are declared, and what they make of what they find."""

from types import SimpleNamespace

import pytest

from tally.aws.check import requirements
from tally.aws.predicates import at_least
from tally.aws.requirement import Concern, Evidence, NotApplicable, named, where

MACHINES = [
    {
        "Id": "i-1",
        "Size": 2,
        "Disk": {"Encrypted": True},
        "Tags": [{"Key": "Name", "Value": "one"}],
    },
    {"Id": "i-2", "Size": 1, "Disk": {"Encrypted": False}},
]


@pytest.fixture
def aws():
    return SimpleNamespace(name="tally", id="123456789012", profile="small", machines=MACHINES)


@pytest.fixture
def requirement():
    return Concern("Test").requires("id", "Title", "EC2.1")


machines = named("Id", lambda aws: aws.machines)


def test_a_field_is_looked_at_in_each_resource(requirement, aws):
    requirement.field(machines, "Disk.Encrypted", True)
    assert list(requirement.look(aws)) == [
        Evidence("i-1 (one)", True, "Disk.Encrypted = True"),
        Evidence("i-2", False, "Disk.Encrypted = False, not True"),
    ]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Size", "Size"),
        ("Size || `0`", "Size"),
        ("a.b.Size", "b.Size"),
        ("to_number(\"a.b\" || '0')", "a.b"),
        ("a[?b=='c'].d", "d"),
    ],
)
def test_evidence_calls_a_field_by_the_end_of_its_path(requirement, aws, path, label):
    requirement.field(machines, path, at_least(0))
    assert {it.what.partition(" = ")[0] for it in requirement.look(aws)} == {label}


def test_a_function_reads_what_no_path_can(requirement, aws):
    requirement.field(machines, lambda aws, it: f"{aws.name} {it['Id']}", "tally i-1", "both")
    first, second = requirement.look(aws)
    assert first.good
    assert second.what == "both = tally i-2, not tally i-1"


def test_a_function_looks_at_each_resource(requirement, aws):
    @requirement.each(where(machines, "Size > `1`"))
    def look(aws, machine):
        return False, machine["Id"]

    assert list(requirement.look(aws)) == [Evidence("i-1 (one)", False, "i-1")]


def test_names_are_those_of_the_deployment(requirement, aws):
    requirement.names("EC2", lambda aws: ["tally-a"], "{name}-a", "{name}-b-{id}")
    (found,) = requirement.look(aws)
    assert found == Evidence("EC2", False, "names: missing: tally-b-123456789012")


def test_each_look_has_to_find_something(requirement, aws):
    """What one look finds does not make up for another's finding nothing."""
    requirement.field(machines, "Id", at_least_one := lambda found: "" if found else "none")
    requirement.field(where(machines, "Size > `9`"), "Id", at_least_one)
    assert [it.good for it in requirement.look(aws)] == [True, True, False]


def test_the_small_profile_can_be_left_out(requirement, aws):
    requirement.not_if_small("has one").field(machines, "Size", 1)
    with pytest.raises(NotApplicable, match="has one"):
        list(requirement.look(aws))
    aws.profile = "production"
    assert len(list(requirement.look(aws))) == 2


def test_every_requirement_looks_at_something():
    assert [it.id for it in requirements() if not it.looks] == []
