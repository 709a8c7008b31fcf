"""An adder's process: the real service behind the real middleware, without sockets."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from tally.ledger.database import Database
from tally.services.adder import ENTRIES, Adder
from tally.services.errors import error_page, problem_of
from tally.services.service import service_of
from tally.settings import Settings
from tally.web.fast_path import FastRequest
from tally.web.hosts import Hosts
from tally.web.log import Log
from tally.web.middleware import Middleware

REQUEST_TIMEOUT: Final = 2.0
_QUEUE_LIMIT: Final = 12
_HOST: Final = b"localhost"
_decode: Final = msgspec.json.decode


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: dict[str, Any]
    replayed: bool


@dataclass(slots=True)
class Call:
    """A request under way; `reply` is done once it is answered, None once it can't be."""

    id: str
    values: tuple[str, ...]
    key: str | None
    batch: bool
    reply: "asyncio.Future[Reply | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def give_up(self) -> None:
        """Wait no longer."""
        if not self.reply.done():
            self.reply.set_result(None)


class SilentLog(Log):
    """Writes nothing, and keeps what must not happen."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed

    def write(self, level: str, event: str, **fields: object) -> None:
        if level == "error":
            self._failed(f"{event}: {fields}")

    def write_request(self, **fields: object) -> None:  # type: ignore[override]
        pass


class Process:
    """One start of an adder; whoever it serves learns nothing more once it was killed."""

    def __init__(self, name: str, start: int, failed: Callable[[str], None]) -> None:
        self.name = name
        self.user = f"{name}-{start}"
        self.killed = False
        self._open: list[Call] = []
        self.database = Database(f"postgresql://{self.user}@database/", timeout=REQUEST_TIMEOUT)
        self.adder = Adder(self.database, Settings(queue_limit=_QUEUE_LIMIT))
        self._middleware = Middleware(
            self._endpoint,
            SilentLog(failed),
            problem_of=problem_of,
            error_page=error_page,
            service_of=lambda path: service_of(path, default="adder"),
            hosts=Hosts(()),
        )
        self._fast = self._middleware.fast_route("POST", ENTRIES, self.adder.fast["POST", ENTRIES])

    async def start(self) -> None:
        await self.adder.start()

    async def stop(self) -> None:
        """As at SIGTERM."""
        await self.adder.stop()

    def kill(self) -> None:
        """As SIGKILL: its requests get no answer, and its connections break."""
        self.killed = True
        for call in self._open:
            call.give_up()
        writer = self.adder._writer
        for task in writer._tasks:
            task.cancel()
        if writer._connection is not None:
            writer._connection.terminate()

    def take(self, call: Call) -> None:
        """Take a request, on the fast path if that will have it."""
        self._open.append(call)
        key = {} if call.key is None else {b"idempotency-key": call.key.encode()}
        headers = {b"host": _HOST, b"content-type": b"application/json"} | key
        headers[b"x-request-id"] = call.id.encode()
        body = _body(call)
        request = FastRequest(_Answering(self, call), self._fast, headers, body)  # type: ignore[arg-type]
        if not self._fast.handle(request):
            asyncio.get_running_loop().create_task(self._through_asgi(call, headers, body))

    async def _through_asgi(self, call: Call, headers: dict[bytes, bytes], body: bytes) -> None:
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": ENTRIES,
            "query_string": b"",
            "headers": list(headers.items()),
        }
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            said.append(message)

        await self._middleware(scope, receive, send)
        replayed = (b"idempotency-replayed", b"true") in said[0]["headers"]
        self.answer(call, said[0]["status"], said[1]["body"], replayed=replayed)

    async def _endpoint(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self.adder.resources[scope["path"]][scope["method"]]
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    def answer(self, call: Call, status: int, body: bytes, *, replayed: bool) -> None:
        if not call.reply.done():
            call.reply.set_result(Reply(status, _decode(body), replayed))


class _Answering:
    """What the fast path writes its answers to."""

    def __init__(self, process: Process, call: Call) -> None:
        self._process = process
        self._call = call

    def answer_fast(self, status: int, headers: bytes, body: bytes) -> None:
        replayed = b"idempotency-replayed: true\r\n" in headers
        self._process.answer(self._call, status, body, replayed=replayed)


def _body(call: Call) -> bytes:
    if call.batch:
        return b'{"values":[%b]}' % ",".join(call.values).encode()
    return b'{"value":%b}' % call.values[0].encode()
