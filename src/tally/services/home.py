"""Home: leads to the three services and shows the total. Served by the display."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tally import pages, representation
from tally.ledger.reader import Total
from tally.services.service import Endpoint, PageResponse

STATIC: Final = "/display_service/static/"


def home(read: Callable[[], Awaitable[Total]]) -> Endpoint:
    """Make the page from what reads the total."""

    async def page(request: Request) -> Response:
        return PageResponse(
            pages.render("home", static=STATIC, total=await representation.total_or_none(read))
        )

    return page
