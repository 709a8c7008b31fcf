"""Which mutants are made."""

from mutants.making import mutants_of
from mutants.mutant import PACKAGE

DATACLASS = PACKAGE / "ledger" / "add.py"


def test_none_that_changes_only_how_a_dataclass_is_kept() -> None:
    changes = [mutant.change for mutant in mutants_of(DATACLASS)]
    assert changes
    assert [it for it in changes if "dataclass" in it] == [
        "@dataclass(slots=True, eq=False)  ->  @dataclass(slots=True, eq=True)"
    ]
