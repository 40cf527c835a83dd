"""`squadlite people`: whom a book names, and which places."""

from pathlib import Path

import click

from squadlite.cli.output import (
    existing_path,
    json_option,
    print_json,
    print_table,
    progress_bar,
)

_SHOWN_NAMES = 3


@click.command()
@click.argument("book", type=existing_path)
@click.option(
    "--until",
    help='How far you have read: "Chapter 7", "page 123", "45%" or CHAPTER:OFFSET. Nothing that '
    "stands behind is told or counted.",
)
@json_option
def people(book: Path, until: str | None, as_json: bool) -> None:
    """
    List the people and places that BOOK names.

    And with each, how often it is named and where first. They are told by the words around their
    names, in English above all; now and then wrongly.

    \b
    Examples:
      squadlite people book.epub
      squadlite people book.epub --until "Chapter 7"
    """
    from squadlite.library.bound import Bound
    from squadlite.library.index import BookIndex
    from squadlite.library.people import find_people

    with progress_bar("Indexing the book") as progress:
        index = BookIndex.open(book, progress=progress)
    with index:
        bound = None if until is None else Bound.parse(until, index)
        found = find_people(index.read_chapters(), bound)
        titles = [chapter.title for chapter in index.chapters]
    if as_json:
        for person in found:
            print_json(
                {
                    "name": person.name,
                    "kind": person.kind,
                    "count": person.count,
                    "first": {"chapter": person.chapter, "offset": person.offset},
                    "names": person.names,
                }
            )
        return
    print_table(
        ["Times", "Name", "Kind", "First in", "Also called"],
        [
            [
                str(person.count),
                person.name,
                person.kind,
                titles[person.chapter],
                ", ".join([name for name in person.names if name != person.name][:_SHOWN_NAMES]),
            ]
            for person in found
        ],
    )
