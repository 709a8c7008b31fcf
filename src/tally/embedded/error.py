"""The one error of the embedded server."""


class EmbeddedError(Exception):
    """The server can't be used; one line that says what is wrong and what to do."""

    def __init__(self, message: str) -> None:
        # One line whatever a path or a server's answer holds.
        super().__init__(" ".join(message.splitlines()))
