"""The one way in which a step says no."""


class Refused(Exception):
    """The step must not go on; the message says what is wrong and what to do."""
