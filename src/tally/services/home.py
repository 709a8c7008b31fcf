"""Home: leads to the three services and shows the total. Served by the display."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from tally import pages
from tally.ledger.reader import Total
from tally.services.service import Endpoint, static_of, total_or_none
from tally.web.response import PageResponse


def home(read: Callable[[], Awaitable[Total]]) -> Endpoint:
    """Make the page from what reads the total."""

    async def page(request: Request) -> Response:
        total = await total_or_none(read)
        return PageResponse(pages.render("home", static=static_of("display"), total=total))

    return page
