"""
Opens damaged copies of books: each gives a book or a BookError, in bounded memory and time.

    python -m benchmarks.fuzz_books BOOK.mobi BOOK.fb2 --count 20000

Each copy is damaged in a few places: bytes flipped, cut out, put in, copied from elsewhere, numbers
made huge, the file cut off. Half of the places are near what looks like a table (four capitals in
a row), and near the start. Of a ZIP archive, a member is damaged as often as the archive itself,
so that damage gets past the checksums. The damage follows from --seed and the copy's number, so
any one of them can be made again (--first, --count 1).

Columns: copies tried; how many were still read; how many were refused, by which error; exceptions
that are not ours, which there must be none of; the slowest copy in seconds of CPU time; the peak
memory of the process that opened them all, and of one that opens the whole file.
"""

import io
import random
import re
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import click

from benchmarks.growth import peak_memory
from squadlite.cli.output import print_json, print_table, progress_bar
from squadlite.errors import BookError
from squadlite.library.book import open_book
from tools.command import existing_file, run

MB = 1_000_000
MAX_EDITS = 12
HOT_BYTES = 64
_TABLE_NAME = re.compile(rb"[A-Z]{4}")
_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff", b"\x80\0\0\0")
# Copies that one process opens; its peak memory is told with the rest.
CHUNK = 500


@dataclass
class Outcome:
    """What became of the copies of one book."""

    tried: int = 0
    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_copy: int = -1
    peak: int = 0

    def add(self, other: "Outcome") -> None:
        """Count another's copies in."""
        self.tried += other.tried
        self.read += other.read
        self.refused.update(other.refused)
        self.faults += other.faults
        self.peak = max(self.peak, other.peak)
        if other.slowest > self.slowest:
            self.slowest, self.slowest_copy = other.slowest, other.slowest_copy


def damage(data: bytes, chance: random.Random) -> bytes:
    """A copy that is damaged in a few places."""
    if chance.random() < 0.5 and data.startswith(b"PK\x03\x04"):
        return _with_damaged_member(data, chance)
    hot = [0, *(found.start() for found in _TABLE_NAME.finditer(data))]
    damaged = bytearray(data)
    # Damage that moves nothing leaves the places right that tables name, and so gets further.
    kinds = 4 if chance.random() < 0.5 else 8
    for _ in range(chance.randint(1, MAX_EDITS)):
        size = len(damaged)
        place = chance.randrange(size) if size else 0
        if chance.random() < 0.5:
            place = min(chance.choice(hot) + chance.randrange(HOT_BYTES), max(0, size - 1))
        length = 1 << chance.randrange(8)
        match chance.randrange(kinds):
            case 0:
                bit = 1 << chance.randrange(8)
                damaged[place : place + 1] = bytes(b ^ bit for b in damaged[place : place + 1])
            case 1:
                damaged[place : place + 1] = chance.randbytes(1)
            case 2:
                number = chance.choice(_NUMBERS)[: 1 << chance.randrange(3)]
                damaged[place : place + len(number)] = number
            case 3:
                length = min(length, size - place)
                other = chance.randint(0, size - length)
                damaged[place : place + length] = damaged[other : other + length]
            case 4:
                del damaged[place : place + length]
            case 5:
                damaged[place:place] = chance.randbytes(length)
            case 6:
                damaged[place:place] = damaged[place : place + length] * chance.randint(1, 40)
            case _ if chance.random() < 0.3:
                del damaged[place:]
    return bytes(damaged)


def _with_damaged_member(data: bytes, chance: random.Random) -> bytes:
    """A copy of an archive with one member damaged, and sums that are right again."""
    copy = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as whole,
        zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        chosen = chance.choice(whole.infolist())
        for info in whole.infolist():
            content = whole.read(info)
            archive.writestr(info, damage(content, chance) if info is chosen else content)
    return copy.getvalue()


def try_copies(book: Path, seed: int, numbers: range) -> Outcome:
    """Open the damaged copies of these numbers."""
    data = book.read_bytes()
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / book.name
        for number in numbers:
            path.write_bytes(damage(data, random.Random(f"{seed} {number}")))
            started = time.process_time()
            try:
                found = open_book(path)
                if not found.chapters or not all(chapter.text for chapter in found.chapters):
                    outcome.faults.append(f"{number}: a chapter without text")
                outcome.read += 1
            except BookError as error:
                outcome.refused[type(error).__name__] += 1
                if "\n" in str(error):
                    outcome.faults.append(f"{number}: an error of several lines: {error}")
            except Exception:  # noqa: BLE001 - what is looked for
                outcome.faults.append(f"{number}: {traceback.format_exc()}")
            seconds = time.process_time() - started
            if seconds > outcome.slowest:
                outcome.slowest, outcome.slowest_copy = seconds, number
            outcome.tried += 1
    outcome.peak = peak_memory()
    return outcome


def whole_peak(book: Path) -> int:
    """The peak memory of reading a book as it is."""
    open_book(book)
    return peak_memory()


def _cell(value: object) -> str:
    return str(len(value)) if isinstance(value, list) else str(value)


@click.command()
@click.argument("books", type=existing_file, nargs=-1, required=True)
@click.option("--count", default=1000, show_default=True, help="Damaged copies of each book.")
@click.option("--first", default=0, show_default=True, help="The number of the first copy.")
@click.option("--seed", default=0, show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Processes at a time.")
def main(books: tuple[Path, ...], count: int, first: int, seed: int, jobs: int) -> None:
    """Open --count damaged copies of each of BOOKS; exit code 1 if any raised what isn't ours."""
    rows: list[dict[str, object]] = []
    for book in books:
        outcome = Outcome()
        context = get_context("spawn")
        with (
            ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1) as processes,
            progress_bar(book.name) as progress,
        ):
            whole = processes.submit(whole_peak, book)
            numbers = range(first, first + count)
            chunks = [numbers[start : start + CHUNK] for start in range(0, count, CHUNK)]
            for tried in processes.map(partial(try_copies, book, seed), chunks):
                outcome.add(tried)
                progress(outcome.tried, count)
        rows.append(
            {
                "book": book.name,
                "copies": outcome.tried,
                "read": outcome.read,
                "refused": dict(outcome.refused.most_common()),
                "faults": outcome.faults,
                "slowest_s": round(outcome.slowest, 2),
                "slowest_copy": outcome.slowest_copy,
                "peak_mb": round(outcome.peak / MB, 1),
                "whole_peak_mb": round(whole.result() / MB, 1),
            }
        )
        for fault in outcome.faults[:5]:
            click.echo(f"{book.name}, copy {fault}", err=True)
    columns = [column for column in rows[0] if column != "slowest_copy"]
    print_table(columns, [[_cell(row[column]) for column in columns] for row in rows])
    print_json({"benchmark": "fuzz_books", "seed": seed, "rows": rows})
    if any(row["faults"] for row in rows):
        raise click.ClickException("exceptions that are not ours")


if __name__ == "__main__":
    run(main)
