"""How a file is refused."""


class InvalidFile(ValueError):
    """A file can't be added; the message names line, column and rule, and what to do."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.line = line

    def of(self, name: str) -> str:
        """Say it of the file of that name."""
        return f"{name}{': ' if self.line is None else ', '}{self}"


def excerpt(text: str) -> str:
    """Quote what stands in a file, bounded."""
    most = 40
    return repr(text if len(text) <= most else f"{text[:most]}...")
