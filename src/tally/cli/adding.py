"""The work of `tally add`: values and files are added, or it is said what would be."""

import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import click

from tally.cli.added import foretell, in_json, newly, nothing_added, outcome, so_far, stopped, tell
from tally.cli.errors import NotAvailable, Refused, Unusable
from tally.cli.ledger import on_ledger
from tally.cli.options import print_result, progress_bar
from tally.cli.streams import note

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime
    from typing import Any

    from tally.amount import Amount
    from tally.cli.added import Known, Now
    from tally.files.content import Content
    from tally.files.options import FileOptions
    from tally.ledger.database import Database
    from tally.ledger.importer import Imported
    from tally.ledger.writer import Added, Writer


def add_values(texts: tuple[str, ...], key: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Add values together, as the API adds a list."""
    from tally.amount import format_amount
    from tally.ledger.database import Unavailable
    from tally.ledger.importer import CountedOtherwise, counted_before
    from tally.ledger.writer import MAX_BATCH_VALUES, Key, KeyReused, SumOutOfRange

    if len(texts) > MAX_BATCH_VALUES:
        raise Unusable(f"at most {MAX_BATCH_VALUES} values at once; use --file for more")
    values = [_amount(text) for text in texts]
    keyed = None if key is None else Key.of(key, values, batch=True)

    async def look(database: "Database") -> "Known":
        counted = await counted_before(database, [] if keyed is None else [(keyed, values)])
        return counted, await _moment(database, counted.last_id)

    async def work(database: "Database") -> "tuple[Added, Now]":
        async with _writer(database) as writer:
            try:
                added = await writer.add(values, keyed)
            except Unavailable as error:
                raise NotAvailable(outcome(error)) from error
        # Of what is new, all is known.
        return added, await _now(database, added.last_id) if added.replayed else (None, None)

    try:
        if dry_run:
            foretell(len(values), sum(values), _asked(look), as_json=as_json)
            return
        added, (moment, total) = on_ledger(work)
    except (KeyReused, CountedOtherwise, SumOutOfRange) as error:
        raise Refused(f"{error}; nothing was added") from error
    fields = {
        "first_id": added.first_id,
        "last_id": added.last_id,
        "sum": format_amount(added.sum),
        "count": added.count,
        "replayed": added.replayed,
        "counted_at": in_json(moment),
    }
    said = f"{newly(len(values), sum(values))} Total: {fields['sum']}"
    print_result(as_json, fields, nothing_added(moment, total) if added.replayed else said)


def add_file(
    path: str, options: "FileOptions", label: str, *, dry_run: bool, as_json: bool
) -> None:
    """Check a file, then add it."""
    from tally.files.content import read
    from tally.files.invalid import InvalidFile
    from tally.ledger.importer import CountedOtherwise, Stopped

    name = "standard input" if path == "-" else path
    try:
        with ExitStack() as stack:
            with progress_bar("Checking") as progress:
                content = stack.enter_context(read(path, options, progress))
            if dry_run:
                total = content.sum()
                found = _asked(lambda database: _look(database, content, label))
                foretell(content.count, total, found, as_json=as_json)
            else:
                done, now = on_ledger(lambda database: _add(database, name, content, label))
                tell(done, now, as_json=as_json)
    except InvalidFile as error:
        raise Unusable(f"{error.of(name)}; nothing was added") from error
    except CountedOtherwise as error:
        remedy = "--again LABEL counts it once more"
        raise Refused(f"{name}: {error}; nothing was added; {remedy}") from error
    except Stopped as error:
        raise stopped(name, error, content.count) from error


async def _look(database: "Database", content: "Content", label: str) -> "Known":
    """Tell how much of a file was counted, and when the newest of it."""
    from tally.files.kept import KeptRows
    from tally.ledger.importer import batch_keys, counted_before
    from tally.ledger.row_importer import leave_out_counted
    from tally.ledger.writer import MAX_BATCH_VALUES

    if isinstance(content.kept, KeptRows):
        counted = await leave_out_counted(database, content.kept, content.digest, label)
    else:
        batches = content.kept.batches(MAX_BATCH_VALUES)
        counted = await counted_before(database, batch_keys(batches, content.digest, label))
    return counted, await _moment(database, counted.last_id)


async def _add(
    database: "Database", name: str, content: "Content", label: str
) -> "tuple[Imported, Now]":
    """Add what of a file is not counted; say how much is, if it is broken off."""
    from asyncio import CancelledError

    from tally.files.kept import KeptRows
    from tally.ledger.importer import Imported, batch_keys, import_keyed
    from tally.ledger.row_importer import leave_out_counted, row_keys
    from tally.ledger.writer import MAX_BATCH_VALUES

    done = Imported()
    if isinstance(content.kept, KeptRows):
        done.already = await leave_out_counted(database, content.kept, content.digest, label)
        chunks = row_keys(content.kept, label)
    else:
        batches = content.kept.batches(MAX_BATCH_VALUES)
        chunks = ([keyed] for keyed in batch_keys(batches, content.digest, label))
    try:
        with progress_bar("Adding") as progress:
            async with _writer(database) as writer:
                await import_keyed(
                    writer, chunks, done, lambda counted: progress(counted, content.count)
                )
    except CancelledError:
        note(f"tally: {name}: broken off; {so_far(done, content.count)}")
        raise
    return done, await _now(database, done.already.last_id)


def _asked(look: "Callable[[Database], Coroutine[Any, Any, Known]]") -> "Known | None":
    """Ask the ledger, if there is one to ask: a dry run needs none."""
    try:
        return on_ledger(look)
    except click.ClickException as error:
        note(f"whether this was counted before is not known: {error.format_message()}")
        return None


def _amount(text: str) -> "Amount":
    from tally.amount import InvalidAmount, parse_text

    try:
        return parse_text(text)
    except InvalidAmount as error:
        raise Unusable(f"{text!r} {error}; nothing was added") from error


async def _moment(database: "Database", entry_id: int) -> "datetime | None":
    from tally.ledger.reader import Reader

    return await Reader(database).added_at(entry_id)


async def _now(database: "Database", entry_id: int) -> "Now":
    """Tell when an entry was added and the total now, if the database still answers."""
    from tally.ledger.database import Unavailable
    from tally.ledger.reader import Reader

    try:
        return await _moment(database, entry_id), await Reader(database).total()
    except Unavailable:
        return None, None


@asynccontextmanager
async def _writer(database: "Database") -> AsyncIterator["Writer"]:
    from tally.ledger.writer import Writer

    writer = Writer(database, queue_limit=sys.maxsize)
    writer.start()
    try:
        yield writer
    finally:
        await writer.close(1)
