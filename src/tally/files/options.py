"""What a person may say of a file."""

from dataclasses import dataclass
from typing import Final, Literal

FileFormat = Literal["csv", "ndjson"]
DecimalMark = Literal[".", ","]
# By the end of a file's name.
NDJSON_SUFFIXES: Final = (".ndjson", ".jsonl")


@dataclass(frozen=True, slots=True)
class FileOptions:
    """A file's format, and what is said of it; what is None is recognized, or refused.

    A column is a name or, in CSV, a number from 1.
    """

    form: FileFormat
    column: str | None = None
    id_column: str | None = None
    delimiter: str | None = None
    decimal: DecimalMark | None = None
    header: bool | None = None
