"""What a practised restore has shown, and how it is said."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Practised:
    """One that succeeded."""

    asked: datetime
    restorable: datetime
    took: timedelta
    audited: int
    total: str
    last_id: int

    @property
    def lost(self) -> timedelta:
        """What would have been lost with the live database, at the moment when it was asked."""
        return max(self.asked - self.restorable, timedelta())

    def __str__(self) -> str:
        return (
            f"The restore practised at {self.asked:%Y-%m-%d %H:%M} UTC succeeded:"
            f" {self.took.seconds} s until it was audited, {self.lost.seconds} s of the ledger not"
            f" in the backup, no entry missing of {self.last_id}"
        )

    def page(self) -> str:
        """Show it as Markdown."""
        rows = {
            "asked at": f"{self.asked:%Y-%m-%d %H:%M:%S} UTC",
            "restored until": f"{self.restorable:%Y-%m-%d %H:%M:%S} UTC",
            "seconds of the ledger that the backup lacked": self.lost.seconds,
            "entries missing of those until then": 0,
            "seconds until it was restored, audited and compared": self.took.seconds,
            "entries audited": self.audited,
            "total": f"{self.total} after entry {self.last_id}",
        }
        lines = [f"| {name} | {value} |\n" for name, value in rows.items()]
        return f"## The backup can be restored\n\n| what | found |\n| --- | --- |\n{''.join(lines)}"
