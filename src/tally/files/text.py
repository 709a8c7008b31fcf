"""Lines of text in UTF-8, bounded; any other encoding is named with the remedy."""

from collections.abc import Iterable, Iterator
from typing import Final

from tally.files.invalid import InvalidFile

MAX_LINE: Final = 1 << 20
_MARK: Final = b"\xef\xbb\xbf"
_SAVE_AS: Final = 'save it as "CSV UTF-8"'
_UTF_16: Final = f"is in UTF-16: {_SAVE_AS}, or convert it by iconv -f UTF-16 -t UTF-8"
_UTF_32: Final = "is in UTF-32: convert it by iconv -f UTF-32 -t UTF-8"
_COMPRESSED: Final = "is compressed, but not by gzip: decompress it first"
# How files begin that are no text in UTF-8.
_BEGINNINGS: Final = {
    b"\xff\xfe\0\0": _UTF_32,
    b"\0\0\xfe\xff": _UTF_32,
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"PK\x03\x04": f"is a workbook or another zip file, not text: {_SAVE_AS}",
    b"\xd0\xcf\x11\xe0": f"is a workbook, not text: {_SAVE_AS}",
    b"%PDF": "is a PDF, not text",
    b"\x1f\x8b": "is compressed twice: decompress it first",
    b"BZh": _COMPRESSED,
    b"\xfd7zXZ": _COMPRESSED,
    b"\x28\xb5\x2f\xfd": _COMPRESSED,
}


def lines(blocks: Iterable[bytes]) -> Iterator[str]:
    r"""Give each line without its end, which is "\n", "\r\n" or "\r"."""
    for number, line in enumerate(_split(blocks), 1):
        try:
            text = (line if number > 1 else _without_mark(line)).decode()
        except UnicodeDecodeError as error:
            raise _not_utf8(error, number) from None
        if "\0" in text:
            raise InvalidFile(
                f"byte {line.index(0) + 1} is NUL, which stands in no text; if this is UTF-16,"
                f" {_SAVE_AS}",
                number,
            )
        yield text.rstrip("\r\n")


def _split(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Split into lines, at nothing but the ends of lines."""
    rest, number = b"", 0
    for block in blocks:
        # The last one's end, or the second half of its "\r\n", is yet to come.
        *whole, rest = (rest + block).splitlines(keepends=True) or [b""]
        if len(whole[0] if whole else rest) > MAX_LINE:
            raise InvalidFile(f"is longer than {MAX_LINE} bytes", number + 1)
        number += len(whole)
        yield from whole
    if rest:
        yield rest


def _without_mark(line: bytes) -> bytes:
    for beginning, said in _BEGINNINGS.items():
        if line.startswith(beginning):
            raise InvalidFile(said)
    return line.removeprefix(_MARK)


def _not_utf8(error: UnicodeDecodeError, number: int) -> InvalidFile:
    # The usual encoding of older Western systems; five of its bytes are no letter.
    byte = error.object[error.start]
    letter = bytes([byte]).decode("cp1252", "replace")
    return InvalidFile(
        f"byte {error.start + 1} (0x{byte:02X}) is not UTF-8: if it is {letter!r}, the file is in"
        f" Windows-1252; {_SAVE_AS}, or convert it by iconv -f WINDOWS-1252 -t UTF-8",
        number,
    )
