"""`squadlite serve`: the library as a page."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from squadlite.cli.library import library_option, paths_argument, print_failure
from squadlite.cli.output import (
    compute_option,
    json_option,
    model_option,
    print_json,
    progress_bar,
    show_notices,
    threads_option,
)
from squadlite.errors import ServerError

if TYPE_CHECKING:
    from squadlite.answering.reader import Reader
    from squadlite.config import Compute

DEFAULT_PORT = 8642
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,200}")


def _check_token(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if value is not None and not _TOKEN.fullmatch(value):
        raise click.BadParameter("expected 16 to 200 letters, digits, - and _")
    return value


@click.command()
@paths_argument("[BOOK]...", required=False)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to serve at; 0.0.0.0 for a phone in the same house, with a token then.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="The port; 0: any that is free.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--token",
    envvar="SQUADLITE_TOKEN",
    callback=_check_token,
    help="What every request must know.  [default: none at a loopback address, else random]",
)
@model_option
@compute_option("auto")
@threads_option
@library_option
@json_option
def serve(
    paths: tuple[str, ...],
    host: str,
    port: int,
    open_page: bool,
    token: str | None,
    model: Path,
    compute: "Compute",
    threads: int | None,
    library_file: Path | None,
    as_json: bool,
) -> None:
    """
    Show the library as a page in a browser.

    Each BOOK, a file or a folder, is added to the library first; where it is one book, the page
    opens at it. The browser may be on this machine or, with --host, on a phone or an e-reader in
    the same house. The HTTP interface is described at /api. Needs starlette and uvicorn (pip
    install 'squadlite[serve]'). Ctrl-C stops it.

    \b
    Examples:
      squadlite serve --open
      squadlite serve --open novel.epub
      squadlite serve --host 0.0.0.0
    """
    try:
        from squadlite.server.run import prepare, run
    except ModuleNotFoundError as error:
        raise ServerError(
            f"serving needs {error.name}, which is not installed: pip install 'squadlite[serve]'"
        ) from None
    from squadlite.answering.reader import Reader
    from squadlite.library.library import default_library_file

    file = library_file or default_library_file()
    show_notices()
    reader = Reader.load(model, threads=threads, compute=compute)
    added = _add_books(file, paths, reader)
    served = prepare(file, reader, host=host, port=port, token=token)
    url = served.url if len(added) != 1 else f"{served.url}#/books/{added.pop()}"
    if as_json:
        print_json({"url": url, "token": served.token})
    else:
        click.echo(f"The library is at {url}\nCtrl-C stops it.")
        if served.token is not None:
            _print_qr_code(url)
    if open_page:
        click.launch(url)
    run(served)


def _add_books(library_file: Path, paths: tuple[str, ...], reader: "Reader") -> set[int]:
    """Add books, or find them in the library, as `squadlite library add` does; their numbers."""
    from squadlite.library.library import Library

    if not paths:
        return set()
    with Library(library_file) as books:
        with progress_bar("Indexing the books") as progress:
            reports = books.add(paths, progress=progress)
        for report in reports:
            if report.book is None:
                print_failure(report)
        if reader.embedder is not None:
            with progress_bar("Reading the books") as progress:
                books.add_vectors(reader.embedder, progress=progress)
    return {report.book for report in reports if report.book is not None}


def _print_qr_code(link: str) -> None:
    try:
        import segno
    except ModuleNotFoundError:
        return
    segno.make(link, micro=False).terminal(compact=True)
