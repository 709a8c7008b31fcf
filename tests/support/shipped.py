"""What of Tally the images and the machines' release hold."""

from collections.abc import Iterable

# The services, and the command line that starts them; nothing that speaks to AWS, and no proofs.
PACKAGES = {"cli", "database_url", "embedded", "files", "ledger", "pages", "services", "web"}
# What `tally check` says where tally.aws is not.
NOT_HERE = "tally: what speaks to AWS is not in this installation: "


def packages(files: Iterable[str]) -> set[str]:
    """The packages of Tally among these files, whose paths start with `tally/`."""
    parts = [file.split("/") for file in files]
    return {path[1] for path in parts if path[0] == "tally" and len(path) > 2} - {"__pycache__"}
