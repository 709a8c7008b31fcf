"""A new role is not usable at once: IAM takes seconds to tell AWS's services of it."""


class FirstUse:
    """Tells of each name the first time that a service asks for it, which is to be refused.

    IAM's user guide, "Changes that I make are not always immediately visible".
    """

    def __init__(self) -> None:
        self._usable: set[str] = set()

    def of(self, name: str) -> bool:
        """Whether this is the first use of a role or profile; the next is not."""
        first = name not in self._usable
        self._usable.add(name)
        return first
