"""Home: leads to the three services and shows the total. Served by the display."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tally import pages
from tally.amount import format_amount
from tally.ledger.database import Unavailable
from tally.ledger.reader import Total
from tally.services.service import Endpoint, PageResponse

STATIC: Final = "/display_service/static/"


def home(read: Callable[[], Awaitable[Total]]) -> Endpoint:
    """Make the page from what reads the total."""

    async def page(request: Request) -> Response:
        return PageResponse(pages.render("home", static=STATIC, total=await shown_total(read)))

    return page


async def shown_total(read: Callable[[], Awaitable[Total]]) -> dict[str, object] | None:
    """Read the total for a page; None while the database is away, which the pages say plainly."""
    try:
        total = await read()
    except Unavailable:
        return None
    return page_total(total)


def page_total(total: Total) -> dict[str, object]:
    """Write a total as the pages show it."""
    return {"sum": format_amount(total.sum), "count": total.count, "last_id": total.last_id}
