"""The HTTP interface: which address does what. docs/http.md describes it."""

import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from squadlite.answering.reader import Reader
from squadlite.library.bound import Bound
from squadlite.library.library import Library, LibraryBook, Position
from squadlite.library.people import find_people
from squadlite.server.bodies import is_count, read_json, read_object, stream_body
from squadlite.server.events import EventStream, Feed
from squadlite.server.questions import Question, QuestionDesk
from squadlite.server.render import book_json, chapter_json, contents_json, people_json
from squadlite.server.replies import Json, error_response, failure
from squadlite.server.security import Guard
from squadlite.server.uploads import MAX_UPLOAD_BYTES, UploadDesk

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
MAX_QUESTION_CHARACTERS = 1000
MAX_CHAPTER_CHARACTERS = 4 << 20
# Threads that read and write the library for requests, besides those that answer questions.
_LIBRARY_THREADS = 4

# The system's own table may say otherwise, and browsers are told not to guess.
for _suffix, _type in (
    (".js", "text/javascript"),
    (".css", "text/css"),
    (".svg", "image/svg+xml"),
    (".webmanifest", "application/manifest+json"),
):
    mimetypes.add_type(_type, _suffix)

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Desks:
    """What works behind the interface, from the application's start to its end."""

    questions: QuestionDesk
    uploads: UploadDesk

    def close(self) -> None:
        """Stop their work; those who wait for it are told."""
        self.questions.close()
        self.uploads.close()


class Interface:
    """
    The requests that the server answers.

    Args:
        path: the library's file.
        reader: the model.
    """

    def __init__(self, path: Path, reader: Reader) -> None:
        self._path = path
        self._limiter = anyio.CapacityLimiter(_LIBRARY_THREADS)
        uploads = UploadDesk(path, reader.embedder, self._describe)
        self.desks = Desks(QuestionDesk(path, reader), uploads)

    def routes(self) -> list[Route]:
        """All that is under /api."""
        book = "/api/books/{book:int}"
        return [
            Route("/api", self.describe),
            Route("/api/books", self.list_books, methods=["GET"]),
            Route("/api/books", self.upload_book, methods=["POST"]),
            Route("/api/uploads/{upload}", self.watch_upload),
            Route(book, self.show_book, methods=["GET"]),
            Route(book, self.remove_book, methods=["DELETE"]),
            Route(f"{book}/chapters/{{chapter:int}}", self.show_chapter),
            Route(f"{book}/cover", self.show_cover),
            Route(f"{book}/people", self.list_people),
            Route(f"{book}/position", self.keep_position, methods=["PUT"]),
            Route(f"{book}/until", self.keep_until, methods=["PUT"]),
            Route("/api/questions", self.ask, methods=["POST"]),
        ]

    async def describe(self, request: Request) -> Response:
        """The OpenAPI document."""
        return FileResponse(FOLDER / "openapi.json")

    async def list_books(self, request: Request) -> Response:
        """The shelf."""
        books = await self._with_library(self._shown)
        return Json({"books": [self._describe(book) for book in books]})

    async def show_book(self, request: Request) -> Response:
        """A book with its contents."""

        def read(library: Library, book: LibraryBook) -> dict[str, Any]:
            with library.index(book.id) as index:
                return {**self._describe(book), "contents": contents_json(index.chapters)}

        return Json(await self._with_book(request, read))

    async def show_chapter(self, request: Request) -> Response:
        """A chapter's text."""
        number = request.path_params["chapter"]

        def read(library: Library, book: LibraryBook) -> dict[str, Any]:
            with library.index(book.id) as index:
                if number >= len(index.chapters):
                    raise HTTPException(404, f"no chapter {number}")
                chapter = index.chapter(number)
            if len(chapter.text) > MAX_CHAPTER_CHARACTERS:
                raise HTTPException(
                    413, f"a chapter of {len(chapter.text)} characters, too long to be shown"
                )
            return chapter_json(chapter)

        return Json(await self._with_book(request, read))

    async def show_cover(self, request: Request) -> Response:
        """A book's cover."""
        cover = await self._with_book(request, lambda library, book: library.cover(book.id))
        if cover is None:
            raise HTTPException(404, "a book without a cover")
        return Response(cover.data, media_type=cover.media_type)

    async def list_people(self, request: Request) -> Response:
        """Whom a book names up to where it may be told of."""

        def find(library: Library, book: LibraryBook) -> list[dict[str, Any]]:
            with library.index(book.id) as index:
                return people_json(find_people(index.read_chapters(), book.until))

        return Json({"people": await self._with_book(request, find)})

    async def remove_book(self, request: Request) -> Response:
        """Remove a book."""

        def remove(library: Library, book: LibraryBook) -> None:
            library.remove(book.id)
            self.desks.uploads.forget(book)

        await self._with_book(request, remove)
        return Response(status_code=204)

    async def keep_position(self, request: Request) -> Response:
        """Keep where the reader is."""
        place = await read_object(request, "chapter", "offset")
        chapter, offset = place["chapter"], place["offset"]

        def keep(library: Library, book: LibraryBook) -> None:
            _check_place(library, book, chapter, offset)
            library.keep_position(book.id, Position(chapter, offset))

        await self._with_book(request, keep)
        return Response(status_code=204)

    async def keep_until(self, request: Request) -> Response:
        """Keep how far a book may be told of."""
        place = await read_json(request)
        if place is not None and not (
            isinstance(place, dict) and place.keys() == {"chapter", "end"}
        ):
            raise HTTPException(400, "expected null, or a JSON object with chapter, end")

        def keep(library: Library, book: LibraryBook) -> None:
            bound = None
            if place is not None:
                _check_place(library, book, place["chapter"], place["end"])
                bound = Bound(place["chapter"], place["end"])
            library.read(book.id, bound)

        await self._with_book(request, keep)
        return Response(status_code=204)

    async def upload_book(self, request: Request) -> Response:
        """Take a book's file."""
        name = request.headers.get("x-filename")
        if name is None:
            # Another site's form can't send it, and its scripts have to ask the browser first.
            raise HTTPException(400, "no X-Filename, expected the book's name")
        uploads = self.desks.uploads
        with uploads.arriving() as file:
            async with aclosing(stream_body(request, MAX_UPLOAD_BYTES)) as pieces:
                async for piece in pieces:
                    file.write(piece)
            upload = await anyio.to_thread.run_sync(uploads.accept, file, name)
        return Json({"upload": upload.id}, 202)

    async def watch_upload(self, request: Request) -> ASGIApp:
        """What becomes of a book that was sent."""
        upload = self.desks.uploads.find(request.path_params["upload"])
        if upload is None:
            raise HTTPException(404, "no such upload")
        return EventStream(self.desks.uploads.events(upload))

    async def ask(self, request: Request) -> ASGIApp:
        """Answer a question."""
        asked = await read_object(request, "question", optional=("books", "min_score"))
        text, numbers, min_score = (asked.get(name) for name in ("question", "books", "min_score"))
        _check_question(text, numbers, min_score)
        books = await self._with_library(lambda library: self._askable(library, numbers))
        desk = self.desks.questions
        feed = Feed()
        question = Question(text, books, min_score, feed)
        desk.submit(question)
        return EventStream(feed.events(), on_end=lambda: desk.cancel(question))

    def _askable(self, library: Library, numbers: list[int] | None) -> tuple[int, ...]:
        """The numbers of the books to ask."""
        shown = {book.id: self.desks.uploads.is_ready(book) for book in self._shown(library)}
        for number in numbers or ():
            if number not in shown:
                raise HTTPException(404, f"no book {number}")
            if not shown[number]:
                raise HTTPException(409, f"book {number} is still being read")
        ready = tuple(number for number in shown if shown[number])
        if not ready:
            raise HTTPException(409, "there is no book to be asked")
        return tuple(dict.fromkeys(numbers)) if numbers else ready

    def _shown(self, library: Library) -> list[LibraryBook]:
        return list(filter(self.desks.uploads.is_shown, library.books()))

    def _describe(self, book: LibraryBook) -> dict[str, Any]:
        return book_json(book, indexed=self.desks.uploads.is_ready(book))

    async def _with_book(
        self, request: Request, work: Callable[[Library, LibraryBook], _Result]
    ) -> _Result:
        """Do something with the library and the book that a request's path names."""
        number = request.path_params["book"]

        def with_book(library: Library) -> _Result:
            for book in self._shown(library):
                if book.id == number:
                    return work(library, book)
            raise HTTPException(404, f"no book {number}")

        return await self._with_library(with_book)

    async def _with_library(self, work: Callable[[Library], _Result]) -> _Result:
        """Do something with the library in a thread, for which it is opened."""

        def in_thread() -> _Result:
            with Library(self._path) as library:
                return work(library)

        return await anyio.to_thread.run_sync(in_thread, limiter=self._limiter)


def _check_place(library: Library, book: LibraryBook, chapter: object, offset: object) -> None:
    """
    Find out whether a book has a place.

    Raises:
        HTTPException: it hasn't.
    """
    if is_count(chapter) and is_count(offset):
        with library.index(book.id) as index:
            if chapter < len(index.chapters) and offset <= len(index.chapter(chapter).text):
                return
    raise HTTPException(400, "expected a chapter of the book and an offset in its text")


def _check_question(text: object, numbers: object, min_score: object) -> None:
    """
    Find out whether a question may be asked: its text, of which books, and how sure of an answer.

    Raises:
        HTTPException: it mayn't.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_QUESTION_CHARACTERS:
        raise HTTPException(
            400, f"question: expected words, {MAX_QUESTION_CHARACTERS} characters at most"
        )
    if min_score is not None and not (
        isinstance(min_score, int | float)
        and not isinstance(min_score, bool)
        and 0 <= min_score <= 1
    ):
        raise HTTPException(400, "min_score: expected a number from 0 to 1")
    if numbers is not None and not (
        isinstance(numbers, list) and numbers and all(map(is_count, numbers))
    ):
        raise HTTPException(400, "books: expected null or a list of books' numbers")


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, error.headers)


class OneLine:
    """
    Makes a JSON object of one line of whatever an application doesn't expect.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
            return
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is shown a traceback
            message = failure(error, f"{scope['method']} {scope['path']}")
        if not has_begun:
            await error_response(500, message)(scope, receive, send)


def make_app(path: Path, reader: Reader, *, host: str, token: str | None = None) -> Starlette:
    """
    Make the application, whose `state.desks` are there from its start to its end.

    Args:
        path: the library's file.
        reader: the model.
        host: the address that it is served at.
        token: what every request must know; None: nothing.
    """
    interface = Interface(path, reader)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(interface.desks.close)

    def file(name: str) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            return FileResponse(STATIC / name)

        return respond

    app = Starlette(
        routes=[
            Route("/", file("index.html")),
            Route("/manifest.webmanifest", file("manifest.webmanifest")),
            Route("/worker.js", file("worker.js")),
            Route("/icon.svg", file("icon.svg")),
            Route("/icon.png", file("icon.png")),
            Mount("/static", StaticFiles(directory=STATIC)),
            *interface.routes(),
        ],
        middleware=[Middleware(Guard, host=host, token=token), Middleware(OneLine)],
        exception_handlers={HTTPException: _refuse},
        lifespan=lifespan,
    )
    app.state.desks = interface.desks
    return app
