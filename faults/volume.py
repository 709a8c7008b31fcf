"""A small disk of the database's own, so that it can be filled without harm to the machine."""

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

# Room for PostgreSQL's log of changes (1 GB at most, by its default) and for the data of a long
# run. The image is sparse: it takes what is really written, and filling it up takes nothing.
_BYTES: Final = 2 << 30
_COMMAND_SECONDS: Final = 60.0
_FILLER: Final = "filler"
_BLOCK: Final = 4096  # the file system's


class NoVolume(Exception):
    """A disk of its own can't be made here; the message says why."""


class Volume:
    """An ext4 file system in a file, mounted on a folder beside it."""

    def __init__(self, folder: Path) -> None:
        """Keep image and mount point in this folder; nothing is made yet."""
        self._image = folder / "disk.img"
        self.folder = folder / "disk"

    def mount(self) -> None:
        """Make and mount it; raises NoVolume."""
        if os.geteuid() != 0:
            raise NoVolume("mounting a disk needs root")
        if shutil.which("mkfs.ext4") is None:
            raise NoVolume("mkfs.ext4 is missing")
        with self._image.open("wb") as image:
            image.truncate(_BYTES)
        self.folder.mkdir()
        # -m 0: nothing is kept back for root, so the disk is as full for PostgreSQL as for us.
        _run("mkfs.ext4", "-q", "-m", "0", "-F", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(self.folder))

    def unmount(self) -> None:
        """Unmount, if it is mounted; raises NoVolume while it is in use."""
        if self.folder.is_mount():
            _run("umount", str(self.folder))

    def fill(self) -> None:
        """Leave no free block, as far as one moment can: others write meanwhile."""
        piece = _BYTES
        with (self.folder / _FILLER).open("ab") as filler:
            while piece >= _BLOCK:
                try:
                    size = os.fstat(filler.fileno()).st_size
                    os.posix_fallocate(filler.fileno(), size, piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece //= 2

    def release(self) -> None:
        """Give the space back."""
        (self.folder / _FILLER).unlink(missing_ok=True)


def _run(*command: str) -> None:
    try:
        subprocess.run(  # noqa: S603 - the system's own programs
            command, check=True, capture_output=True, text=True, timeout=_COMMAND_SECONDS
        )
    except subprocess.CalledProcessError as error:
        raise NoVolume(f"{command[0]}: {error.stderr.strip()}") from error
