"""Books, chapters, people and replies as the server gives them: JSON, with HTML of plain text."""

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from squadlite.asking import Answer, Place, Reply
from squadlite.library.index import ChapterInfo
from squadlite.library.library import LibraryBook
from squadlite.library.people import Person
from squadlite.library.structure import PARAGRAPH_BREAK, Chapter

# A book's own titles may be of any length.
_LONGEST_TITLE = 500


def book_json(book: LibraryBook, *, indexed: bool) -> dict[str, Any]:
    """
    A book of the library, without its contents.

    Args:
        book: the book.
        indexed: whether it can be asked.
    """
    return {
        "id": book.id,
        "title": book.title[:_LONGEST_TITLE],
        "author": book.author[:_LONGEST_TITLE],
        "language": book.language[:_LONGEST_TITLE],
        "chapters": book.chapters,
        "passages": book.passages,
        "cover": f"/api/books/{book.id}/cover" if book.has_cover else None,
        "until": None if book.until is None else vars(book.until),
        "position": None if book.position is None else vars(book.position),
        "indexed": indexed,
    }


def chapter_json(chapter: Chapter) -> dict[str, Any]:
    """A chapter with its text as HTML."""
    return {**_chapter(chapter), "length": len(chapter.text), "html": chapter_html(chapter.text)}


def chapter_html(text: str) -> str:
    """
    A chapter's text in paragraphs; nothing of the book's own markup is left in it.

    Args:
        text: as of `Chapter`.

    Returns:
        `<p data-start="OFFSET">` for each paragraph: how many characters of the text stand before
        it. Its content is the text's, character by character; lines are apart by "\\n".
    """
    return "".join(
        f'<p data-start="{start}">{escape(paragraph)}</p>' for start, paragraph in _paragraphs(text)
    )


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for paragraph in text.split(PARAGRAPH_BREAK):
        if paragraph:
            yield start, paragraph
        start += len(paragraph) + len(PARAGRAPH_BREAK)


def contents_json(chapters: tuple[ChapterInfo, ...]) -> list[dict[str, Any]]:
    """The chapters without their text."""
    return [_chapter(chapter) for chapter in chapters]


def people_json(people: Iterable[Person]) -> list[dict[str, Any]]:
    """The people and places of a book."""
    return [
        {
            "name": person.name[:_LONGEST_TITLE],
            "kind": person.kind.value,
            "count": person.count,
            "first": {"chapter": person.chapter, "offset": person.offset},
        }
        for person in people
    ]


def reply_json(reply: Reply) -> dict[str, Any]:
    """A reply with its answers."""
    return {
        "question": reply.question,
        "answer": reply.answer,
        "score": reply.score,
        "null_score": reply.null_score,
        "answers": answers_json(reply),
    }


def answers_json(reply: Reply) -> list[dict[str, Any]]:
    """The answers of a reply to a question that was put to a library."""
    return [
        {
            **_place(answer),
            "score": answer.score,
            "book": {
                "id": answer.source.id if answer.source else 0,
                "title": answer.book[:_LONGEST_TITLE],
            },
            "places": [_place(place) for place in answer.places],
        }
        for answer in reply.answers
    ]


def _place(place: Answer | Place) -> dict[str, Any]:
    return {
        "text": place.text,
        "chapter": _chapter(place.chapter),
        "start": place.start,
        "end": place.end,
        "page": place.page,
        "passage": vars(place.passage),
    }


def _chapter(chapter: Chapter | ChapterInfo) -> dict[str, Any]:
    return {"index": chapter.index, "title": chapter.title[:_LONGEST_TITLE]}
