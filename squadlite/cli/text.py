"""`squadlite text`: a book's chapters as they are read."""

from dataclasses import asdict
from pathlib import Path

import click

from squadlite.cli.output import existing_path, json_option, print_json


@click.command()
@click.argument("book", type=existing_path)
@json_option
def text(book: Path, as_json: bool) -> None:
    """
    Print the chapters of BOOK as they are read.

    It is the text that answers' offsets count in. With --json, one object a chapter: index, title,
    href, text, pages (where each begins).

    \b
    Example:
      squadlite text book.epub | less
    """
    from squadlite.library.book import open_book

    for chapter in open_book(book).chapters:
        if as_json:
            print_json(
                {
                    "index": chapter.index,
                    "title": chapter.title,
                    "href": chapter.href,
                    "text": chapter.text,
                    "pages": [asdict(page) for page in chapter.pages],
                }
            )
        else:
            click.secho(f"[{chapter.index}] {chapter.title}  ({chapter.href})\n", bold=True)
            click.echo(f"{chapter.text}\n")
