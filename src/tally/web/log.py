"""One line a request and one for each change of state: JSON, or coloured text on a terminal."""

import asyncio
import contextlib
import logging
import os
import re
import select
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from tally.settings import LogFormat
from tally.terminal import escape

_COLOURS: Final = {"info": "\033[32m", "warning": "\033[33m", "error": "\033[31m"}
_DIM: Final = "\033[2m"
_PLAIN: Final = "\033[0m"
_STYLE: Final = re.compile(rb"\033\[[0-9]+m")
_STDOUT: Final = 1
# Bytes: some seconds of lines at full load.
MAX_WAITING: Final = 4 * 1024 * 1024
RETRY_SECONDS: Final = 0.1
_SERVER_ERROR: Final = 500
_json_lines: Final = msgspec.json.Encoder().encode_lines


class RequestLine(msgspec.Struct):
    """What is logged of a request: a fixed shape, because encoding it is part of every answer."""

    time: str
    level: str
    event: str
    service: str
    method: str
    route: str | None
    status: int
    duration_ms: float
    request_id: str


class Log:
    """Writes lines to stdout, those of one turn of the event loop at once.

    A service must not wait for whoever reads its log, nor fail with the disk that keeps it. So
    lines that nobody takes are lost, and their number is logged as soon as lines are taken again.
    """

    def __init__(self, form: LogFormat = "auto", descriptor: int = _STDOUT) -> None:
        """Choose the form: with `auto`, text on a terminal and JSON elsewhere."""
        text = form == "text" or (form == "auto" and os.isatty(descriptor))
        in_text = _uncoloured_lines if os.environ.get("NO_COLOR") else _text_lines
        self._encode: Callable[[Sequence[object]], bytes] = in_text if text else _json_lines
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._piece = _piece(descriptor)
        self._lines: list[object] = []
        self._now: str
        # What was not taken yet, and how many lines were lost since the last that was.
        self._waiting = bytearray()
        self._lost = 0
        self._retrying = False

    def write(self, level: str, event: str, **fields: object) -> None:
        """Log an event at level info, warning or error."""
        line = {"time": self._moment(), "level": level, "event": event, **fields}
        self._encode([line])  # one that can't be written fails here, and keeps no other back
        self._append(line)

    def write_request(
        self,
        *,
        service: str,
        method: str,
        route: str | None,
        status: int,
        seconds: float,
        request_id: str,
    ) -> None:
        """Log a request that was answered, in so many seconds."""
        level = "error" if status >= _SERVER_ERROR else "info"
        self._append(
            RequestLine(
                self._moment(),
                level,
                "request",
                service,
                method,
                route,
                status,
                int(seconds * 100_000) / 100,
                request_id,
            )
        )

    def _moment(self) -> str:
        # One turn of the loop is one moment; asking the clock costs as much as a line.
        if not self._lines:
            self._now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return self._now

    def _append(self, line: object) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write as much as is taken at once; what is not is kept within a bound, and then lost."""
        waiting = self._waiting
        waiting += self._encode(self._lines)  # at once: that costs less than one by one
        self._lines.clear()
        try:
            while waiting and self._descriptor_is_ready():
                del waiting[: os.write(self._descriptor, waiting[: self._piece])]
                if self._lost and not waiting:
                    lost, self._lost = self._lost, 0
                    event = {"time": self._moment(), "level": "warning", "event": "log lines lost"}
                    waiting += self._encode([event | {"lines": lost}])
        except OSError:
            # A full disk, or nobody reads any more, and there is nowhere left to say so.
            self._lose()
        if len(waiting) > MAX_WAITING:
            self._lose()
        if waiting and not self._retrying:
            self._later(RETRY_SECONDS)

    def _descriptor_is_ready(self) -> bool:
        return bool(self._poll.poll(0))

    def _lose(self) -> None:
        # The first line may have been written in part.
        first = self._waiting.find(b"\n") + 1
        self._lost += self._waiting.count(b"\n", first)
        del self._waiting[first:]

    def _later(self, seconds: float) -> None:
        with contextlib.suppress(RuntimeError):  # no loop: the next line will see to it
            asyncio.get_running_loop().call_later(seconds, self._retry)
            self._retrying = True

    def _retry(self) -> None:
        self._retrying = False
        self.flush()


def _piece(descriptor: int) -> int:
    """Give how many bytes a descriptor that is ready takes without waiting, at least."""
    if os.isatty(descriptor):
        # Linux gives a terminal room in steps of 256 bytes, and a line end may take two.
        return 128
    with contextlib.suppress(OSError):  # closed: then every write says so
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return MAX_WAITING  # a file never waits for a reader
    return select.PIPE_BUF  # by POSIX, write()


def _text_line(line: object) -> bytes:
    fields = msgspec.to_builtins(line)
    rest = {name: fields[name] for name in fields if name not in ("time", "level", "event")}
    moment = str(fields["time"])[11:23]
    colour = _COLOURS[str(fields["level"])]
    details = " ".join(f"{_DIM}{name}={_PLAIN}{escape(str(value))}" for name, value in rest.items())
    return f"{_DIM}{moment}{_PLAIN} {colour}{escape(fields['event'])}{_PLAIN} {details}\n".encode()


def _text_lines(lines: Sequence[object]) -> bytes:
    return b"".join(map(_text_line, lines))


def _uncoloured_lines(lines: Sequence[object]) -> bytes:
    """Write them for who wants no colours (no-color.org)."""
    return _STYLE.sub(b"", _text_lines(lines))


class Bridge(logging.Handler):
    """Carries what libraries log into our lines."""

    def __init__(self, log: Log) -> None:
        """Carry warnings and errors to this log."""
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info:
            fields["error"] = logging.Formatter().formatException(record.exc_info)
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._log.write(level, record.getMessage().strip(), **fields)

    def install(self) -> None:
        """Take the place of the root logger's handlers."""
        logging.basicConfig(handlers=[self], level=logging.WARNING, force=True)
        logging.captureWarnings(capture=True)
