"""What each error means: by its class, and by PostgreSQL's code and severity."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tally.ledger.failures import (
    Unavailable,
    UnusableServer,
    is_connection_loss,
    refusal,
    unavailable_if_lost,
    was_undone,
)

# Of PostgreSQL's documentation, appendix A: the connection's, or the server's.
LOSSES = (
    *("08006", "53300", "57P01", "58030", "F0000", "XX000", "0A000", "24000", "25006"),
    *("26000", "34000", "40001", "42P03", "42P05", "55000", "55006", "72000"),
)
REFUSALS = ("0LP01", "0P000", "28P01", "3D000", "3F000", "42501", "42P01")
# The request's own.
OTHERS = ("22003", "23505", "55P03", "P0001")


def of(state: str, severity: str | None = "ERROR", shown: str = "FEHLER") -> asyncpg.PostgresError:
    """An error as it comes: its severity in the server's language, and, from 9.6, in English."""
    fields = {"C": state, "S": shown, "M": f"it is {state}"}
    return asyncpg.PostgresError.new(fields | ({} if severity is None else {"V": severity}))


def wrapped(cause: Exception, *, twice: bool = True, invalidated: bool = False) -> DBAPIError:
    """As SQLAlchemy raises it."""
    orig = Exception("of the driver's layer") if twice else cause
    if twice:
        orig.__cause__ = cause
    return DBAPIError("SELECT", {}, orig, connection_invalidated=invalidated)


@pytest.mark.parametrize("wrap", [lambda it: it, wrapped, lambda it: wrapped(it, twice=False)])
@pytest.mark.parametrize("state", [*LOSSES, *REFUSALS, *OTHERS])
def test_of_a_code(state: str, wrap) -> None:
    error = wrap(of(state))
    assert is_connection_loss(error) == (state in LOSSES)
    refused = refusal(error)
    assert (refused is not None) == (state in REFUSALS)
    if refused is not None:
        assert (str(refused), refused.detail) == ("the database refuses", f"it is {state}")
        assert refused.outcome_known


@pytest.mark.parametrize(
    ("error", "is_loss"),
    [
        (None, False),
        (ConnectionResetError("reset"), True),
        (TimeoutError(), True),
        (PoolTimeout(), True),
        (asyncpg.InterfaceError("closed"), True),
        (asyncpg.InternalClientError("ended while idle"), True),
        (asyncpg.DataError("what the caller did wrong"), False),
        (ValueError("what the caller did wrong"), False),
        (KeyError("a bug"), False),
        (wrapped(KeyError("a bug")), False),
        (wrapped(KeyError("whatever it is"), invalidated=True), True),
    ],
    ids=repr,
)
def test_whether_the_connection_is_lost(error, is_loss: bool) -> None:
    assert is_connection_loss(error) == is_loss


def test_who_is_misconfigured_is_refused() -> None:
    refused = refusal(asyncpg.ClientConfigurationError("no such mode"))
    assert refused is not None
    assert refused.detail == "no such mode"


def test_a_server_that_can_t_be_used_says_why() -> None:
    error = UnusableServer("it is read-only for ever")
    assert refusal(error) is error
    assert refusal(wrapped(error)) is error
    assert str(error) == "the database can't be used"
    assert (error.detail, error.outcome_known) == ("it is read-only for ever", True)


@pytest.mark.parametrize(
    ("error", "undone"),
    [
        (of("23505"), True),
        (of("23505", severity=None, shown="ERROR"), True),
        (of("23505", severity=None), False),
        (of("57P01", "FATAL", shown="ERROR"), False),
        (of("08006"), False),
        (of("40003"), False),
        (of("40001"), True),
        (wrapped(of("40001")), True),
        (ConnectionResetError("reset"), False),
    ],
    ids=repr,
)
def test_whether_a_transaction_was_certainly_undone(error, undone: bool) -> None:
    assert was_undone(error) is undone


def test_what_is_unavailable_says_the_same_under_a_key() -> None:
    error = Unavailable("it is away", outcome_known=False, detail="reset")
    assert not error.keyed
    keyed = error.under_key()
    assert str(keyed) == str(error) == "it is away"
    assert (keyed.outcome_known, keyed.keyed, keyed.detail) == (False, True, "reset")


@pytest.mark.parametrize(
    ("error", "said", "detail"),
    [
        (wrapped(ConnectionResetError("reset")), "the database went away", "reset"),
        (of("42501"), "the database refuses", "it is 42501"),
    ],
)
def test_for_whoever_can_t_try_again(error, said: str, detail: str) -> None:
    with pytest.raises(Unavailable, match=said) as raised, unavailable_if_lost():
        raise error
    assert raised.value.detail == detail
    assert raised.value.__cause__ is error


def test_what_is_a_bug_stays_one() -> None:
    with pytest.raises(KeyError), unavailable_if_lost():
        raise KeyError("a bug")
