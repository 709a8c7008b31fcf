"""The display's page: the total over time, and the list of what moved it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from tally import pages, representation
from tally.amount import format_amount
from tally.ledger.database import Unavailable
from tally.ledger.history import LONG_AGO, MICROSECOND, History
from tally.ledger.listing import Earlier, Entry, Move, Rows
from tally.ledger.reader import LISTED, NO_RANGE, TOP, Overview, Position, Range, Reader
from tally.ledger.recent import SPANS
from tally.ledger.single_flight import SingleFlight
from tally.pages.chart import Chart, Mark, Point
from tally.services.service import path_of, static_of
from tally.services.times import read_range, read_time
from tally.web.request import read_number
from tally.web.response import PageResponse

PATH: Final = path_of("display")
_PLACES: Final = ("before", "entry", "at")
# Of the width, so that the first step of all is seen to rise.
_LEAD: Final = 50


class View(NamedTuple):
    """What of history and of the list is asked for; `table` with the points as a table."""

    wanted: Range = NO_RANGE
    place: Position = TOP
    table: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "View":
        """Read a query; raise `Problem`. What the page does not know it ignores."""
        place = Position(
            read_number(parameters, "before"),
            read_number(parameters, "entry"),
            read_time(parameters, "at"),
        )
        return cls(read_range(parameters), place, "table" in parameters)

    @property
    def fixed(self) -> bool:
        """Whether its time has passed."""
        return self.wanted.since is not None or self.wanted.until is not None

    @property
    def range_query(self) -> dict[str, str]:
        """The parameters of its range alone."""
        return _parameters(self.wanted)

    def query(self, **more: int) -> str:
        """Write a query for its range and more."""
        given = [_encoded(self.wanted), *(f"{name}={value}" for name, value in more.items())]
        return "?" + "&".join(filter(None, given)) if any(given) else ""


def _parameters(wanted: Range) -> dict[str, str]:
    named = {"from": wanted.since, "to": wanted.until}
    query = {name: _text(at) for name, at in named.items() if at is not None}
    return query or ({} if wanted.span == "all" else {"range": wanted.span})


@lru_cache(maxsize=64)
def _encoded(wanted: Range) -> str:
    """Write the parameters of a range, which each row of a page links with."""
    return urlencode(_parameters(wanted))


class DisplayPage:
    """Answers GET; what most people look at is read and rendered once for all of them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._usual = {name: SingleFlight(partial(self._read, View(Range(name)))) for name in SPANS}

    async def get(self, request: Request) -> Response:
        view = View.of(request.query_params)
        try:
            if view == View(Range(view.wanted.span)):
                return PageResponse(await self._usual[view.wanted.span]())
            return PageResponse(await self._read(view))
        except Unavailable:
            # Its script fills it as soon as it can.
            return PageResponse.unavailable(_render(view, total=None))

    async def _read(self, view: View) -> bytes:
        overview = await self._reader.overview(view.wanted, view.place, LISTED)
        total = overview.total
        chart = chart_of(overview.history, overview.moves)
        return _render(
            view,
            total=representation.total(total),
            chart=chart if total.last_id else None,
            extremes=pages.extremes(chart) if chart.points else None,
            ended=total.last_id > 0,
            rows=[_row(row, total.cleared_through) for row in overview.rows.rows],
            before_range=_before_range(overview),
            links=_links(view, overview.rows, total.last_id),
            last_reset=overview.last_reset and _row(overview.last_reset, total.cleared_through),
            asked=_asked(view, overview),
        )


def chart_of(history: History, moves: Sequence[Move]) -> Chart:
    """Hand a history over to be drawn."""
    since = history.since
    before = history.before
    if history.start is None:
        lead = max((history.until - since) // _LEAD, MICROSECOND)
        since -= min(lead, since - LONG_AGO)
    else:
        before = history.start.sum
    return Chart(
        since,
        history.until,
        before,
        [Point(point.at, point.id, point.sum) for point in history.points],
        [Mark(move.at, move.reset_id, move.undo) for move in moves],
    )


def _row(row: Entry | Move | Any, cleared_through: int) -> representation.Shown:  # noqa: ANN401
    shown = representation.row(row, cleared_through)
    if isinstance(row, Entry):
        shown["undoable"] = not shown["cleared"] and row.undone_by is None
    return shown


def _before_range(overview: Overview) -> int | None:
    """Which of the rows is the first from before the range; None where none is."""
    start = overview.history.start
    if start is None:
        return None
    for number, row in enumerate(overview.rows.rows):
        match row:
            case Entry():
                step = (row.id, 0)
            case Move():
                step = (row.after_id, row.id)
            case Earlier():
                continue
        if step <= (start.id, start.move):
            return number
    return None


def _asked(view: View, overview: Overview) -> representation.Shown | None:
    """What the total was at the time that was asked for."""
    if view.place.at is None:
        return None
    step = overview.asked
    return {
        "at": view.place.at,
        "after_id": step and step.id,
        "move": bool(step and step.move),
        "sum": None if step is None else format_amount(step.sum),
    }


def _links(view: View, rows: Rows, last_id: int) -> dict[str, str | None]:
    """The queries of the pages beside this one; None where there is none."""
    entries = [row.id for row in rows.rows if isinstance(row, Entry)]
    newer = min(rows.through + LISTED, last_id) + 1
    newest = rows.through >= last_id
    # The top of a range that has passed is in the midst of the list.
    is_top = view.place == TOP if view.fixed else newest
    to_top = view.query() if newer > last_id and not view.fixed else view.query(before=newer)
    return {
        "older": view.query(before=entries[-1]) if rows.older else None,
        "newer": None if newest else to_top,
        "top": None if is_top else view.query(),
    }


def _render(view: View, **context: Any) -> bytes:  # noqa: ANN401 - the page's own
    nothing: dict[str, Any] = {
        "chart": None,
        "extremes": None,
        "ended": False,
        "rows": (),
        "before_range": None,
        "links": {},
        "last_reset": None,
        "asked": None,
    }
    return pages.render(
        "display",
        static=static_of("display"),
        view=view,
        ranges=[(name, View(Range(name)).query()) for name in SPANS],
        here=view.place.around,
        **nothing | context,
    )


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
