"""What the commands share: JSON lines, progress bars, tables, sizes."""

import json
import logging
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from squadlite.config import COMPUTES
from squadlite.errors import SquadliteError
from squadlite.models import DEFAULT_MODEL, find_model
from squadlite.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])

# What goes wrong without a bug; a broken pipe, which is an OSError, is no error of ours.
EXPECTED_ERRORS = (SquadliteError, OSError, MemoryError)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object a line, instead of text."
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads for the model.  [default: one per core]",
)
existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)
existing_path = click.Path(exists=True, path_type=Path)


class FiniteRange(click.FloatRange):
    """The type of a number within bounds: "nan", which `click.FloatRange` takes, is within none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


class _ModelPath(click.Path):
    # The path of an existing model, or that of one of our own by its name.
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(find_model(value), param, ctx)


model_option = click.option(
    "--model",
    type=_ModelPath(exists=True, path_type=Path),
    default=DEFAULT_MODEL,
    help="A .sqz file, a checkpoint folder, or a name: default, or large where it is shipped.",
)
output_file = click.Path(dir_okay=False, writable=True, path_type=Path)


def require_folder(output: Path | None) -> None:
    """Refuse an output file without a folder: what would fail after an hour's work fails now."""
    if output is not None and not output.parent.is_dir():
        raise click.UsageError(f"{output.parent} is not a folder.")


def one_line(error: Exception) -> str:
    """Say in one line what went wrong, as `EXPECTED_ERRORS` tell it."""
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "not enough memory"
    return " ".join(str(error).split())


_WORD = re.compile(r"\S+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# Decimal, as disks and the paper count.
_UNITS = {"B": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000}
_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>[kKmMgG]?[bB])?")


def parse_bytes(text: str) -> int:
    """
    Read a size as a person writes it: "8000000", "8MB", "8.5 mb"; `format_bytes` the other way.

    Raises:
        BadParameter: something else, or less than a byte.
    """
    match = _SIZE.fullmatch(text)
    count = round(float(match["number"]) * _UNITS[(match["unit"] or "B").upper()]) if match else 0
    if count < 1:
        raise click.BadParameter(f"found {text!r}, expected bytes, such as 8000000 or 8MB")
    return count


def print_json(value: object) -> None:
    """Print `value` as one line of JSON, and let a waiting reader have it at once."""
    click.echo(json.dumps(value, ensure_ascii=False))


def compute_option(default: str) -> Callable[[Command], Command]:
    """The option `--compute`."""
    return click.option(
        "--compute",
        type=click.Choice(COMPUTES),
        default=default,
        show_default=True,
        help="What the model computes in; auto: what is fastest here.",
    )


def show_notices() -> None:
    """Print what the library says of work that takes a while to stderr, where a person sees it."""
    log = logging.getLogger("squadlite")
    if sys.stderr.isatty() and not log.handlers:
        log.addHandler(logging.StreamHandler())
        log.setLevel(logging.INFO)


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """
    Show a progress bar on stderr, where a person can see it.

    Yields:
        A function `progress(done, total)`. The bar appears with its first call and goes away when
        all is done; where stderr isn't a terminal it does nothing.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with ExitStack() as shown:
        update: Progress | None = None

        def progress(done: int, total: int) -> None:
            nonlocal update
            if update is None:
                update = shown.enter_context(_rich_bar(title))
            update(done, total)
            if done == total:
                shown.close()
                update = None

        yield progress


@contextmanager
def _rich_bar(title: str) -> Iterator[Progress]:
    # rich costs a tenth of a second to import, which most commands needn't pay.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = RichProgress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # What is printed meanwhile goes above the bar, unless it goes to a file.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def shows_colours() -> bool:
    """Whether what is printed goes to where colours and bold letters can be seen."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not is_plain


def terminal_width() -> int:
    """Columns that a line may have; 80 where it goes to no terminal."""
    import shutil

    return shutil.get_terminal_size().columns


def wrapped(text: str, columns: int) -> Iterator[tuple[int, int]]:
    """
    Break a text into lines between words, and within words that are longer than a line.

    Args:
        text: any; its own line ends stay.
        columns: of a line; an ideograph takes two.

    Yields:
        Where each line begins in the text and ends, without the white space before the next.
    """
    first = 0
    for line in text.split("\n"):
        start, end, used = first, first, 0
        for word in _WORD.finditer(text, first, first + len(line)):
            gap, width = cells(text[end : word.start()]), cells(word.group())
            if used and used + gap + width > columns:
                yield start, end
                start, used, gap = word.start(), 0, 0
            end, used = word.end(), used + gap + width
            while used > columns and (cut := _cut(text, start, columns)) < end:
                yield start, cut
                start, used = cut, used - cells(text[start:cut])
        yield start, end
        first += len(line) + 1


def _cut(text: str, start: int, columns: int) -> int:
    # Behind as many characters as fit, one at least.
    used = 0
    for place in range(start, len(text)):
        used += cells(text[place])
        if used > columns and place > start:
            return place
    return len(text)


def cells(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    # Of rich this little part alone: all of it takes a tenth of a second to import.
    from rich.cells import cell_len

    return cell_len(text)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under headings: numbers aligned right, words left."""
    # A file's name may hold line ends and worse.
    shown = [[_CONTROL.sub(lambda sign: repr(sign[0])[1:-1], cell) for cell in row] for row in rows]
    columns = [_align(column) for column in zip(headings, *shown, strict=True)]
    heading, *lines = ("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
    click.secho(heading, bold=True)
    for line in lines:
        click.echo(line)


def _align(column: tuple[str, ...]) -> list[str]:
    width = max(map(len, column))
    heading, *cells = column
    numbers = all(cell[:1].isdigit() or cell[:1] in "-" for cell in cells)
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in (heading, *cells)]


def format_bytes(count: int) -> str:
    """Bytes as a person reads them, in decimal units as disks and the paper count: '28.3 MB'."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.1f} kB"
    return f"{count / 1_000_000:.2f} MB"
