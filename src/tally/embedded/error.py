"""The one error of the embedded server, which every part of it raises."""


class EmbeddedError(Exception):
    """The server can't be used; the text is one line that says what is wrong and what to do."""

    def __init__(self, message: str) -> None:
        """Keep the message on one line whatever a path or a server's answer holds."""
        super().__init__(" ".join(message.splitlines()))
