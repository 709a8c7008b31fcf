"""Where files come from: folders, pipes, gzip; one that changes meanwhile is refused."""

import gzip
import os
import subprocess
import sys
import threading

import pytest

from tally.files import source
from tally.files.content import read
from tally.files.invalid import InvalidFile
from tally.files.options import FileOptions

CSV = FileOptions("csv")
PLAIN = b"value\n" + b"".join(b"%d\n" % number for number in range(100_000))
SUM = sum(range(100_000)) * 10**9


@pytest.mark.parametrize(
    "compressed",
    [
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:100]) + gzip.compress(b"", mtime=0) + gzip.compress(PLAIN[100:]),
        gzip.compress(PLAIN) + bytes(4096),
    ],
    ids=["one stream", "several", "filled up with zeros"],
)
def test_gzip_is_known_by_its_content_and_is_the_same_file(tmp_path, compressed) -> None:
    digests = set()
    for content in (PLAIN, compressed):
        file = tmp_path / "values.csv"
        file.write_bytes(content)
        with read(str(file), CSV) as found:
            assert found.sum() == SUM
            digests.add(found.digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[:-9], "is cut short"),
        (lambda whole: whole[:100], "is cut short"),
        (lambda whole: whole[:-8] + bytes(8), "is damaged"),
        (lambda whole: whole + b"rest", "is damaged"),
        (lambda whole: whole[:2000] + b"\xff\xff\xff\xff" + whole[2004:], "is damaged"),
        (gzip.compress, "is compressed twice"),
    ],
)
def test_damaged_gzip_is_refused_whole(amounts, damage, said) -> None:
    assert said in amounts(damage(gzip.compress(PLAIN)))


@pytest.mark.parametrize("compressed", [False, True])
def test_it_tells_how_far_it_is(tmp_path, compressed) -> None:
    file = tmp_path / "file"
    file.write_bytes(gzip.compress(PLAIN) if compressed else PLAIN)
    told: list[tuple[int, int]] = []
    with read(str(file), CSV, lambda checked, size: told.append((checked, size))):
        checked, sizes = zip(*told, strict=True)
    assert len(told) == 10
    assert list(checked) == sorted(checked)
    assert checked[-1] == file.stat().st_size
    assert set(sizes) == {file.stat().st_size}


def test_a_bomb_is_a_long_file(amounts, monkeypatch) -> None:
    """A thousandth of what it decompresses to; never more of it than a block is held."""
    largest = 0

    def watched(blocks):
        nonlocal largest
        for block in blocks:
            largest = max(largest, len(block))
            yield block

    content = source.content
    monkeypatch.setattr("tally.files.content.content", lambda file: watched(content(file)))
    assert amounts(gzip.compress(b"\n" * 2_000_000 + b"5")) == ["5"]
    assert largest <= 1 << 18
    assert "is longer than" in amounts(gzip.compress(b" " * 50_000_000))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_pipe_is_read_as_it_comes(tmp_path, compressed) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def feed() -> None:
        content = gzip.compress(PLAIN) if compressed else PLAIN
        with pipe.open("wb", buffering=0) as file:
            file.write(content[:1])  # less than what gzip is known by
            file.write(content[1:])

    feeding = threading.Thread(target=feed)
    feeding.start()
    with read(str(pipe), CSV) as found:
        assert found.sum() == SUM
    feeding.join()


def grow(file) -> None:
    with file.open("ab") as more:
        more.write(b"5\n")


def rewrite(file) -> None:
    file.write_bytes(PLAIN.replace(b"9", b"8"))
    os.utime(file, ns=(1, 1))


@pytest.mark.parametrize("change", [grow, rewrite, lambda file: os.truncate(file, 300_000)])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, change) -> None:
    path = tmp_path / "values.csv"
    path.write_bytes(PLAIN)
    with path.open("rb", buffering=0) as file:
        blocks = source.content(file)
        next(blocks)
        change(path)
        with pytest.raises(InvalidFile, match="was changed while it was read"):
            list(blocks)


def test_a_file_that_is_replaced_while_it_is_read_stays_what_it_was(tmp_path) -> None:
    path = tmp_path / "values.csv"
    path.write_bytes(PLAIN)
    with path.open("rb") as file:
        blocks = source.content(file)
        first = next(blocks)
        other = tmp_path / "other"
        other.write_bytes(b"5\n")
        other.replace(path)
        assert first + b"".join(blocks) == PLAIN


def test_what_can_t_be_opened_is_said(tmp_path) -> None:
    for path, said in (
        (tmp_path / "none", "there is no such file"),
        (tmp_path, "can't be read: Is a directory"),
        ("a\0b", "can't be read"),
    ):
        with pytest.raises(InvalidFile, match=said), source.opened(str(path)):
            pass


@pytest.mark.parametrize("id_column", [None, "2"])
def test_a_disk_without_room_is_said(tmp_path, id_column) -> None:
    """What is read is kept on the disk; a limit on the size of files makes it full."""
    file = tmp_path / "values.csv"
    file.write_bytes(b"".join(b"%d,%d\n" % (number, number) for number in range(100_000)))
    options = f"FileOptions('csv', '1', {id_column!r}, header=False)"
    script = f"""
import resource, signal
from tally.files.content import read
from tally.files.options import FileOptions
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with read({str(file)!r}, {options}):
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "InvalidFile: can't be kept in" in done.stderr
    assert "set TMPDIR to a folder with room" in done.stderr
