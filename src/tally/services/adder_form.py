"""The adder's form: what somebody typed, and the values that it means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tally.amount import Amount, InvalidAmount, format_amount, read_matched
from tally.files import ndjson, table
from tally.files.invalid import InvalidFile
from tally.files.options import NDJSON_SUFFIXES, FileFormat, FileOptions
from tally.files.text import lines
from tally.ledger.writer import MAX_BATCH_VALUES
from tally.services.typed import COMMAS, Comma, UnclearComma, read
from tally.web.request import is_key

_OPTIONAL: Final = {"comma", "file", "sure"}
_SHOWN_VALUES: Final = 20
_REMEDY: Final = (
    "Such an option is of the command tally add --file; or paste the column of values here instead."
)


class InvalidForm(Exception):
    """What was typed can't be added; `errors` say why, in sentences."""

    def __init__(self, *errors: str) -> None:
        super().__init__(*errors)
        self.errors: Sequence[str] = errors


@dataclass(frozen=True, slots=True)
class Summary:
    """Values as they were understood, before they are added."""

    first: Sequence[str]
    count: int
    sum: str

    @classmethod
    def of(cls, values: Sequence[Amount]) -> "Summary":
        first = [format_amount(value) for value in values[:_SHOWN_VALUES]]
        return cls(first, len(values), format_amount(Amount(sum(values))))


class Form(NamedTuple):
    """What the form holds; it gets a new key where it has none."""

    text: str = ""
    several: bool = False
    key: str = ""
    # The name of the file that the text was read from.
    file: str | None = None
    # What a comma means that may mean either.
    comma: Comma | None = None
    # The sum of several values, as somebody saw it.
    sure: str | None = None

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "Form":
        """Take over what was sent, complete or not."""
        several = "values" in fields
        return cls(
            text=fields.get("values" if several else "value", ""),
            several=several,
            key=fields.get("key", ""),
            file=fields.get("file"),
            comma=next((comma for comma in COMMAS if comma == fields.get("comma")), None),
            sure=fields.get("sure"),
        )

    @staticmethod
    def is_complete(fields: Mapping[str, str]) -> bool:
        """Tell whether these are the fields of the page's form."""
        given = fields.keys() - _OPTIONAL
        if fields.get("comma", COMMAS[0]) not in COMMAS:
            return False
        return given in ({"key", "value"}, {"key", "values"}) and is_key(fields["key"])

    def values(self, comma: Comma | None) -> list[Amount]:
        """Read the values; raise `InvalidForm`, or `UnclearComma` for the caller to ask."""
        if not self.several:
            try:
                return [read(self.text, comma)]
            except InvalidAmount as error:
                raise InvalidForm(f"The value {error}.") from None
        values = self._column(comma) if self.file is None else _read_file(self.file, self.text)
        if not values:
            raise InvalidForm("There is no value yet: give one in each line.")
        if len(values) > MAX_BATCH_VALUES:
            raise InvalidForm(
                f"These are {len(values)} values, and at most {MAX_BATCH_VALUES} can be added at"
                " once. The command tally add --file takes any number."
            )
        return values

    def shown(self, values: Sequence[Amount]) -> "Form":
        """Put what was read from a file in its place: a value in each line."""
        if self.file is None:
            return self
        return self._replace(text="\n".join(map(format_amount, values)), file=None)

    def _column(self, comma: Comma | None) -> list[Amount]:
        values: list[Amount] = []
        errors: list[str] = []
        unclear = False
        for number, line in enumerate(self.text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                values.append(read(line, comma))
            except UnclearComma:
                unclear = True
            except InvalidAmount as error:
                errors.append(f"The value in line {number} {error}.")
        if errors:
            raise InvalidForm(*errors)
        if unclear:
            raise UnclearComma
        return values


def _read_file(name: str, text: str) -> list[Amount]:
    """Read it as `tally add --file` does, which has options for what is refused here."""
    form: FileFormat = "ndjson" if name.lower().endswith(NDJSON_SUFFIXES) else "csv"
    rows = ndjson.rows if form == "ndjson" else table.rows
    try:
        found = rows(lines([text.encode()]), FileOptions(form))
        return [read_matched(value) for _, value, _ in found]
    except InvalidFile as error:
        remedy = f" {_REMEDY}" if "--" in str(error) else ""
        raise InvalidForm(f"{error.of(name)}.{remedy}") from None
