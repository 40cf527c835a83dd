"""Books in Markdown, by way of HTML."""

import re
from pathlib import Path

from markdown_it import MarkdownIt

from squadlite.library.decoding import decode
from squadlite.library.html import book_from_page
from squadlite.library.structure import Book

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)\n(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = r"^{name}[ \t]*[:=](.*\S)"


def read_markdown(path: Path, data: bytes) -> Book:
    """
    Read a book in CommonMark with tables; its headings make the chapters.

    Front matter between "---" or "+++" lines gives title, author and language.

    Raises:
        BrokenBookError: no text.
    """
    text = decode(data)
    matter = _FRONT_MATTER.match(text)
    fields = matter[2] if matter else ""
    page = MarkdownIt("commonmark").enable("table").render(text[matter.end() :] if matter else text)
    return book_from_page(
        path,
        f"<html><body>{page}</body></html>",
        title=_field(fields, "title"),
        author=_field(fields, "author"),
        language=_field(fields, "lang") or _field(fields, "language"),
    )


def _field(fields: str, name: str) -> str:
    found = re.search(_FIELD.format(name=name), fields, re.IGNORECASE | re.MULTILINE)
    return found[1].strip().strip("\"'") if found else ""
