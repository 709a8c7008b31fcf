"""How a step refuses."""


class Refused(Exception):
    """The step must not continue; the message says what is wrong and what to do."""
