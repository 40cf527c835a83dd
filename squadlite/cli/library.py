"""`squadlite library`: many books in one file, asked together."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from squadlite.cli.answers import print_reply, reply_json
from squadlite.cli.engines import check_engine, engine_options, open_engine
from squadlite.cli.output import (
    Command,
    compute_option,
    format_bytes,
    json_option,
    model_option,
    print_json,
    print_table,
    progress_bar,
    show_notices,
    threads_option,
)
from squadlite.cli.questions import (
    Question,
    load_questions,
    question_options,
    typed_questions,
)

if TYPE_CHECKING:
    from squadlite.asking import Reply
    from squadlite.config import Compute
    from squadlite.engines import Engine
    from squadlite.library.adding import FileReport
    from squadlite.library.library import Library, LibraryBook

library_option = click.option(
    "--library",
    "library_file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="SQUADLITE_LIBRARY",
    help="The library's file.  [default: SQUADLITE_LIBRARY, or library.db among your data]",
)


@click.group()
def library() -> None:
    """
    Keep many books in one library and ask them together.

    \b
    Example:
      squadlite library add ~/Books
      squadlite library ask "Who keeps the lighthouse?"
    """


def _check_paths(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    if "" in value:  # an unset variable of a shell, which would stand for the current folder
        raise click.BadParameter("found '', expected a file or a folder")
    return value


def paths_argument(metavar: str, *, required: bool) -> Callable[[Command], Command]:
    """The argument `paths`: files of books, and folders of them."""
    return click.argument(
        "paths",
        metavar=metavar,
        nargs=-1,
        required=required,
        type=click.Path(),
        callback=_check_paths,
    )


@library.command()
@paths_argument("PATH...", required=True)
@model_option
@compute_option("auto")
@threads_option
@engine_options
@library_option
@json_option
@click.pass_context
def add(
    context: click.Context,
    paths: tuple[str, ...],
    model: Path,
    compute: "Compute",
    threads: int | None,
    engine: str,
    address: str | None,
    library_file: Path | None,
    as_json: bool,
) -> None:
    """
    Add books: files, and folders with all that is in them.

    Books that are there already and haven't changed are passed over; moved files are recognised.
    You may stop it at any time: run it again and it goes on. Files that can't be read are named,
    and the exit code is then 1.

    \b
    Example:
      squadlite library add ~/Books novel.epub
      squadlite library add /shelves --engine ray --address head:6379
    """
    from squadlite.library.library import Library

    threads = check_engine(engine, address, threads)
    with Library(library_file) as books, open_engine(engine, address, threads) as workers:
        with progress_bar("Indexing the books") as progress:
            reports = books.add(paths, engine=workers, progress=progress)
        for report in reports:
            if as_json:
                print_json(_report_json(report))
            else:
                _print_report(report)
        _add_vectors(books, workers, model, compute, threads)
        if not as_json:
            _print_summary(reports, len(books.books()))
    if any(report.book is None for report in reports):
        context.exit(1)


def _add_vectors(
    books: "Library", engine: "Engine", model: Path, compute: "Compute", threads: int | None
) -> None:
    from squadlite.answering.embedder import model_digest

    # Loading the model takes longer than finding out that all books are as they were.
    if not books.lacks_vectors(model_digest(model)):
        return
    from squadlite.answering.reader import Reader

    show_notices()
    embedder = Reader.load(model, threads=threads, compute=compute).embedder
    if embedder is not None:
        with progress_bar("Reading the books") as progress:
            books.add_vectors(embedder, engine=engine, progress=progress)


def _report_json(report: "FileReport") -> dict[str, Any]:
    return {
        "path": str(report.path),
        "change": report.change.value,
        "book": report.book,
        "detail": report.detail,
    }


def _print_report(report: "FileReport") -> None:
    from squadlite.library.adding import Change

    if report.change is Change.FAILED:
        print_failure(report)
    elif report.change is Change.MOVED and report.detail:
        click.echo(f"Moved: {report.detail} -> {report.path}")
    elif report.change is Change.DUPLICATE:
        click.echo(f"Duplicate: {report.path} is {report.detail}")


def print_failure(report: "FileReport") -> None:
    """Say on stderr why a file isn't in the library."""
    detail = report.detail
    if detail.startswith(f"{report.path.name}: "):
        # The name alone says too little where folders are added.
        detail = f"{report.path}{detail.removeprefix(report.path.name)}"
    click.echo(f"Not added: {' '.join(detail.split())}", err=True)


def _print_summary(reports: "list[FileReport]", n_books: int) -> None:
    counts = Counter(report.change.value for report in reports)
    changes = ", ".join(f"{count} {change}" for change, count in counts.items())
    click.echo(f"{changes or 'No books found'}. {n_books} in the library.")


@library.command(name="list")
@library_option
@json_option
def list_books(library_file: Path | None, as_json: bool) -> None:
    """
    List the books.

    \b
    Example:
      squadlite library list --json
    """
    from squadlite.library.library import Library

    with Library(library_file) as books:
        found = books.books()
    if as_json:
        for book in found:
            print_json(_book_json(book))
        return
    print_table(
        ["Book", "Title", "Author", "Chapters", "File"],
        [
            [str(book.id), book.title, book.author, str(book.chapters), str(book.paths[0])]
            for book in found
        ],
    )


def _book_json(book: "LibraryBook") -> dict[str, Any]:
    return {**asdict(book), "paths": [str(path) for path in book.paths]}


@library.command()
@click.argument("books", metavar="BOOK...", nargs=-1, required=True)
@library_option
@json_option
def remove(books: tuple[str, ...], library_file: Path | None, as_json: bool) -> None:
    """
    Remove each BOOK from the library.

    A BOOK is named by its number, title or path; its files stay where they are.

    \b
    Example:
      squadlite library remove 7 "The Time Machine"
    """
    from squadlite.library.library import Library

    with Library(library_file) as shelved:
        for book in {found.id: found for found in map(shelved.find, books)}.values():
            shelved.remove(book.id)
            if as_json:
                print_json(_book_json(book))
            else:
                click.echo(f"Removed {book.title} ({book.paths[0]})")


@library.command()
@click.argument("question", required=False)
@click.option(
    "--book",
    "names",
    multiple=True,
    help="Ask only this book, by number, title or path; may be repeated.",
)
@question_options
@compute_option("auto")
@threads_option
@engine_options
@library_option
@json_option
def ask(
    question: str | None,
    names: tuple[str, ...],
    questions: Path | None,
    model: Path,
    top_k: int,
    passages: int | None,
    min_score: float | None,
    compute: "Compute",
    threads: int | None,
    engine: str,
    address: str | None,
    library_file: Path | None,
    as_json: bool,
) -> None:
    """
    Ask all books a QUESTION and cite the place that answers it.

    The books that promise most are found first, and their most promising passages read. Answers
    and their scores are as those of `squadlite ask`. Without a QUESTION you are asked for one after
    another, or they are read from a pipe, one a line.

    \b
    Examples:
      squadlite library ask "Who keeps the lighthouse?"
      squadlite library ask "Who is Filby?" --book "The Time Machine" --book 7
      squadlite library ask --questions questions.jsonl > answers.jsonl
    """
    asked = load_questions(question, questions)

    from squadlite.library.library import Library

    threads = check_engine(engine, address, threads)
    with Library(library_file) as books, open_engine(engine, address, threads) as workers:
        started = time.perf_counter()
        numbers = [books.find(name).id for name in names] or None
        with (
            # Of the passages of books that have no vectors yet, and of the questions.
            progress_bar("Asking the library") as progress,
            books.shelf(numbers, engine=workers, progress=progress) as shelf,
        ):
            opened = time.perf_counter()
            from squadlite.answering.reader import Reader
            from squadlite.asking import DEFAULT_PASSAGES, ask_shelf

            show_notices()
            reader = Reader.load(model, threads=threads, compute=compute)
            load_ms = (time.perf_counter() - opened) * 1000
            costs = {"load_ms": load_ms, "index_ms": (opened - started) * 1000}
            ask_all = partial(
                ask_shelf,
                shelf=shelf,
                reader=reader,
                top_k=top_k,
                passages=passages or DEFAULT_PASSAGES,
                min_score=min_score,
            )

            def show(item: Question, reply: "Reply") -> None:
                if as_json or questions is not None:
                    print_json(reply_json(item, reply, costs))
                else:
                    print_reply(reply, "The library")

            if asked is None:
                # Of many an engine works ahead, and would wait here for what isn't typed yet.
                for item in typed_questions("The library", as_json=as_json):
                    show(item, *ask_all([item.text]))
                return
            replies = ask_all([item.text for item in asked])
            for done, (item, reply) in enumerate(zip(asked, replies, strict=True), start=1):
                show(item, reply)
                progress(done, len(asked))


@library.command()
@click.argument("book")
@click.option(
    "--at",
    "place",
    help='How far you have read: "Chapter 7", "page 123", "45%" or CHAPTER:OFFSET; "100%": all.',
)
@library_option
@json_option
def read(book: str, place: str | None, library_file: Path | None, as_json: bool) -> None:
    """
    Keep how far you have read BOOK, or say how far.

    Nothing that stands behind has any part in answers from then on.

    \b
    Example:
      squadlite library read "The Salt Road" --at "Chapter 3"
    """
    from squadlite.library.bound import Bound
    from squadlite.library.library import Library

    with Library(library_file) as books:
        found = books.find(book)
        with books.index(found.id) as index:
            if place is not None:
                books.read(found.id, Bound.parse(place, index))
                found = books.find(str(found.id))
            until = found.until
            chapter = None if until is None else index.chapters[until.chapter]
    if as_json:
        print_json(_book_json(found))
    elif until is None or chapter is None:
        click.echo(f"{found.title}: no place kept; all of it is searched.")
    else:
        click.echo(
            f"{found.title}: read to {chapter.title}, {until.chapter}:{until.end} "
            f"({found.known_passages} of {found.passages} passages)"
        )


@library.command()
@library_option
@json_option
def status(library_file: Path | None, as_json: bool) -> None:
    """
    Say where the library is, how large, and what is left to do.

    \b
    Example:
      squadlite library status
    """
    from squadlite.library.library import Library

    with Library(library_file) as books:
        found = books.status()
    if as_json:
        print_json({**vars(found), "path": str(found.path)})
        return
    click.echo(f"{found.path}  ({format_bytes(found.n_bytes)})")
    click.echo(f"{found.books} books, {found.passages} passages, {found.files} files")
    for what, count in (
        ("Files that are gone, whose books can still be asked", found.missing_files),
        ("Books without vectors yet, to be added again", found.books_without_vectors),
        ("Books indexed by an older squadlite, to be added again", found.outdated_books),
    ):
        if count:
            click.echo(f"{what}: {count}")
