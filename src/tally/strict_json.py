"""JSON, read strictly: no field twice, no NaN; numbers stay text, so that they stay exact."""

import json
from typing import Any, Final


class Number(str):
    """The text of a JSON number, kept so that it can be read exactly."""

    __slots__ = ()


class NotJSON(ValueError):
    """A text is not JSON, or not JSON alone."""


class DuplicateField(ValueError):
    """An object gives a field twice; `name` is the field's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def read(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read one JSON value in UTF-8; raise `NotJSON` or `DuplicateField`."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NotJSON(str(error)) from None
    return read_text(text)


def read_text(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read one JSON value; raise `NotJSON` or `DuplicateField`."""
    try:
        return _DECODER.decode(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise NotJSON(str(error)) from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise DuplicateField(name)
            seen.add(name)
    return fields


def _constant(name: str) -> object:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_constant
)
