"""What may be sent to a terminal: text that shows itself, and nothing that commands the terminal.

File names, files, arguments, settings and answers of others may hold control sequences (ECMA-48),
which rewrite the screen, the title or the clipboard, and characters that hide or reorder text.
"""

import codecs
import sys
from typing import Any, Final, TextIO, cast

_LAYOUT: Final = "\n\t"


def escape(text: str) -> str:
    r"""Write each unprintable character as JSON does (\u001b), so that JSON stays what it says."""
    if text.isprintable():
        return text
    return "".join(it if it.isprintable() or it in _LAYOUT else _escaped(it) for it in text)


def protect() -> None:
    """Escape whatever this process prints from now on: results, messages, tracebacks."""
    if sys.stdout is not None:
        sys.stdout = cast("TextIO", _Escaping(sys.stdout))
    if sys.stderr is not None:
        sys.stderr = cast("TextIO", _Escaping(sys.stderr))


class _Escaping:
    """A text stream whose text is escaped; bytes go through its `buffer` as they are."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - any text stream, a test's too
        # click writes around a stream in ASCII, with a UTF-8 one of its own.
        if codecs.lookup(stream.encoding or "ascii").name == "ascii":
            stream.reconfigure(encoding="utf-8")
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write(escape(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
