"""The shelf over HTTP: books sent, shown, bounded, removed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from epubs import package, page, write_epub
from hypothesis import given
from hypothesis import strategies as st
from lxml import html as lxml_html
from servers import BOOK, BRIDGE, FERRY, FILLER, add_book, ask, client_of, upload
from starlette.routing import Route
from starlette.testclient import TestClient

from squadlite.errors import LibraryError
from squadlite.library.library import Library
from squadlite.server import app as app_module
from squadlite.server.render import chapter_html

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with client_of(tmp_path) as client:
        yield client


def test_a_book_that_is_sent_appears_whole(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/api/books").json() == {"books": []}
    *progress, (name, book) = upload(client, name="the%20ferry.md")
    assert name == "book"
    assert [name for name, _ in progress] == ["progress"] * len(progress)
    assert book == {
        "id": 1, "title": "The Ferry", "author": "A. Writer", "language": "", "chapters": 2,
        "passages": 2, "cover": None, "until": None, "position": None, "indexed": True,
    }  # fmt: skip
    assert client.get("/api/books").json() == {"books": [book]}
    (path,) = (tmp_path / "library.db.books").rglob("*.md")
    assert (path.name, path.read_text(encoding="utf-8")) == ("the ferry.md", BOOK)


def test_a_book_without_its_vectors_is_not_shown(client: TestClient, tmp_path: Path) -> None:
    add_book(client)
    with Library(tmp_path / "library.db") as library, library._database.writing():
        library._database.write("DELETE FROM vectors")
    assert client.get("/api/books").json() == {"books": []}
    assert client.get("/api/books/1").status_code == 404
    assert client.post("/api/questions", json={"question": "Who?"}).status_code == 409


def test_books_get_what_they_lack_when_the_server_starts(tmp_path: Path) -> None:
    path = tmp_path / "ferry.md"
    path.write_text(BOOK, encoding="utf-8")
    with Library(tmp_path / "library.db") as library:
        library.add([path])
    with client_of(tmp_path) as client:
        # Behind what the server does first.
        upload(client, "The mule was grey.", "mule.txt")
        assert [book["indexed"] for book in client.get("/api/books").json()["books"]] == [True] * 2


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "empty.md", "empty.md: an empty file, expected a book"),
        (b"\x89PNG\r\n\x1a\n", "a.epub", "a PNG image"),
        (b"PK\x03\x04 and no more", "a.epub", "a.epub: "),
        (bytes(range(256)) * 9, "noise", "not text"),
    ],
)
def test_what_is_no_book_is_refused_in_one_line_and_leaves_nothing(
    client: TestClient, tmp_path: Path, content: bytes, name: str, message: str
) -> None:
    event, told = upload(client, content, name)[-1]
    assert event == "error"
    assert message in told["error"]
    assert "\n" not in told["error"]
    assert client.get("/api/books").json() == {"books": []}
    assert list((tmp_path / "library.db.books").iterdir()) == []


def test_where_the_library_cant_be_written_only_what_was_sent_is_dropped(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(library: Library, paths: object) -> None:
        raise LibraryError("no room")

    add_book(client)
    monkeypatch.setattr(Library, "add", add)
    for content, name in ((BOOK, "again.md"), ("The mule was grey.", "mule.txt")):
        assert upload(client, content, name)[-1] == ("error", {"error": "no room"})
    (folder,) = (tmp_path / "library.db.books").iterdir()
    assert [file.name for file in folder.iterdir()] == ["ferry.md"]


def test_the_same_book_again_is_the_same_book(client: TestClient) -> None:
    assert add_book(client) == add_book(client) == add_book(client, name="other.md") == 1
    assert len(client.get("/api/books").json()["books"]) == 1


def test_an_upload_that_nobody_knows_is_not_found(client: TestClient) -> None:
    assert client.get("/api/uploads/u1").status_code == 404
    add_book(client)
    assert client.get("/api/uploads/u1").status_code == 200
    assert client.get("/api/uploads/u2").status_code == 404


def test_a_removed_book_is_gone_with_the_file_that_was_sent(
    client: TestClient, tmp_path: Path
) -> None:
    add_book(client)
    removed = client.delete("/api/books/1")
    assert (removed.status_code, removed.content) == (204, b"")
    assert client.get("/api/books").json() == {"books": []}
    assert list((tmp_path / "library.db.books").iterdir()) == []
    assert client.delete("/api/books/1").status_code == 404
    assert add_book(client) == 2


def test_a_removed_book_that_was_not_sent_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "books" / "mine" / "ferry.md"
    path.parent.mkdir(parents=True)
    path.write_text(BOOK, encoding="utf-8")
    with Library(tmp_path / "library.db") as library:
        library.add([path])
    with client_of(tmp_path) as client:
        assert client.delete("/api/books/1").status_code == 204
    assert path.exists()


def test_a_chapter_is_paragraphs_with_their_places(client: TestClient) -> None:
    add_book(client)
    book = client.get("/api/books/1").json()
    assert book["contents"] == [
        {"index": 0, "title": "The Ferry"}, {"index": 1, "title": "The Bridge"}
    ]  # fmt: skip
    chapter = client.get("/api/books/1/chapters/0").json()
    assert chapter == {
        "index": 0,
        "title": "The Ferry",
        "length": 110 + len(FILLER),
        "html": '<p data-start="0">The Ferry</p>'
        '<p data-start="11">The ferry was a machine of planks; it went twice a day.</p>'
        '<p data-start="68">The ferryman was paid in apples &amp; pears.</p>'
        f'<p data-start="110">{FILLER}</p>',
    }
    assert client.get("/api/books/1/chapters/2").status_code == 404
    assert client.get("/api/books/2/chapters/0").status_code == 404


@given(st.text(st.sampled_from("ab<>&\"'\n é\N{PILE OF POO}\u2028"), max_size=60))
def test_the_html_of_a_chapter_is_its_text(text: str) -> None:
    shown = chapter_html(text)
    if not shown:
        assert text.strip("\n") == ""
        return
    for paragraph in lxml_html.fragments_fromstring(shown):
        assert paragraph.tag == "p"
        assert not len(paragraph)
        start, content = int(paragraph.get("data-start")), paragraph.text
        assert content
        assert text[start : start + len(content)] == content


def test_a_cover_is_shown_as_what_it_is(client: TestClient, tmp_path: Path) -> None:
    item = '<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>'
    path = write_epub(
        tmp_path / "covered.epub",
        {
            "OPS/book.opf": package(["1.xhtml"], extra=item),
            "OPS/1.xhtml": page("<p>The mule was grey.</p>"),
            "OPS/c.png": PNG,
        },
    )
    number = add_book(client, path.read_bytes(), "covered.epub")
    address = client.get(f"/api/books/{number}").json()["cover"]
    cover = client.get(address)
    assert (cover.headers["content-type"], cover.content) == ("image/png", PNG)
    assert client.get("/api/books/99/cover").status_code == 404


def test_the_readers_place_is_kept(client: TestClient) -> None:
    add_book(client)
    place = {"chapter": BRIDGE, "offset": 5}
    kept = client.put("/api/books/1/position", json=place)
    assert (kept.status_code, kept.content) == (204, b"")
    assert client.get("/api/books/1").json()["position"] == place
    assert client.put("/api/books/9/position", json=place).status_code == 404


def test_a_bound_hides_what_stands_behind_it_from_questions(client: TestClient) -> None:
    add_book(client)

    def answers() -> str:
        return json.dumps(dict(ask(client, "Who had told him of the bridge?"))["reply"]["answers"])

    assert "Nobody" in answers()
    bound = {"chapter": FERRY, "end": 66}
    assert client.put("/api/books/1/until", json=bound).status_code == 204
    assert client.get("/api/books/1").json()["until"] == bound
    assert "Bridge" not in answers()
    assert "apples" not in answers()
    headers = {"Content-Type": "application/json"}
    assert client.put("/api/books/1/until", content="null", headers=headers).status_code == 204
    assert client.get("/api/books/1").json()["until"] is None
    assert "Nobody" in answers()


def test_people_are_named_up_to_the_bound(client: TestClient) -> None:
    book = (
        f"# One\n\nThe boat was hers, said Mrs. Tully. Mrs. Tully laughed.\n\n{FILLER}\n\n"
        f"# Two\n\nThe mule was his, said Mr. Rusk. Mr. Rusk laughed.\n\n{FILLER}\n"
    )
    add_book(client, book, "two.md")

    def named() -> list[dict[str, object]]:
        return list(client.get("/api/books/1/people").json()["people"])

    assert [person["name"] for person in named()] == ["Mrs. Tully", "Mr. Rusk"]
    schemas = client.get("/api").json()["components"]["schemas"]
    check(named()[1], schemas["Person"], schemas)
    assert named()[0]["first"] == {"chapter": 0, "offset": 29}
    assert client.put("/api/books/1/until", json={"chapter": 1, "end": 0}).status_code == 204
    assert [person["name"] for person in named()] == ["Mrs. Tully"]


@pytest.mark.parametrize(
    "body",
    [
        {}, [], 7, "Chapter 1", {"chapter": 0}, {"chapter": 2, "OFFSET": 0},
        {"chapter": 0, "OFFSET": 9999}, {"chapter": None, "OFFSET": 0},
        {"chapter": -1, "OFFSET": 0}, {"chapter": 0, "OFFSET": -1}, {"chapter": 0.5, "OFFSET": 0},
        {"chapter": True, "OFFSET": 0}, {"chapter": "0", "OFFSET": 0},
        {"chapter": 10**30, "OFFSET": 0}, {"chapter": 0, "OFFSET": 10**30},
        {"chapter": 0, "OFFSET": 0, "more": 1},
    ],
)  # fmt: skip
def test_a_place_that_the_book_does_not_have_is_refused(client: TestClient, body: object) -> None:
    add_book(client)
    for path, name in (("position", "offset"), ("until", "end")):
        named = json.dumps(body).replace("OFFSET", name)
        headers = {"Content-Type": "application/json"}
        refused = client.put(f"/api/books/1/{path}", content=named, headers=headers)
        assert refused.status_code == 400, refused.text
        assert list(refused.json()) == ["error"]
    assert client.get("/api/books/1").json()["until"] is None


def test_numbers_beyond_all_bounds_are_not_found(client: TestClient) -> None:
    add_book(client)
    for path in (f"/api/books/{10**30}", f"/api/books/1/chapters/{10**30}", "/api/books/-1"):
        assert client.get(path).status_code == 404


def test_a_method_that_is_not_meant_is_refused(client: TestClient) -> None:
    for method, path in (("PUT", "/api/books"), ("POST", "/"), ("GET", "/api/questions")):
        refused = client.request(method, path)
        assert refused.status_code == 405
        assert list(refused.json()) == ["error"]


def test_a_chapter_that_is_too_long_is_not_sent(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_book(client)
    monkeypatch.setattr(app_module, "MAX_CHAPTER_CHARACTERS", 109 + len(FILLER))
    assert client.get("/api/books/1/chapters/1").status_code == 200
    assert client.get("/api/books/1/chapters/0").status_code == 413


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LibraryError("library.db: can't be used\nas a library"),
         "library.db: can't be used as a library"),
        (RuntimeError("of ours\nTraceback"), "something went wrong here"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_in_one_line(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(library: Library) -> None:
        raise error

    monkeypatch.setattr(Library, "books", fail)
    failed = client.get("/api/books")
    assert (failed.status_code, failed.json()) == (500, {"error": message})


def test_the_interface_describes_all_that_it_has(client: TestClient) -> None:
    described = client.get("/api").json()
    documented = {
        (path, method.upper())
        for path, methods in described["paths"].items()
        for method in methods
        if method != "parameters"
    }
    routes = {
        (route.path.replace(":int}", "}"), method)
        for route in client.app.routes  # type: ignore[attr-defined]
        if isinstance(route, Route) and route.path.startswith("/api")
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert documented == routes
    schemas = json.dumps(described)
    for name in described["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in schemas or f"({name})" in schemas


def test_replies_are_of_the_described_form(client: TestClient) -> None:
    add_book(client)
    client.put("/api/books/1/position", json={"chapter": 0, "offset": 0})
    schemas = client.get("/api").json()["components"]["schemas"]
    check(client.get("/api/books").json()["books"][0], schemas["Book"], schemas)
    *_, (_, reply) = ask(client)
    assert reply["answers"]
    check(reply, schemas["Reply"], schemas)


def check(value: object, schema: dict, schemas: dict) -> None:  # type: ignore[type-arg]
    """As far as our own document goes; every property is required."""
    if "$ref" in schema:
        check(value, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    elif "allOf" in schema:
        for part in schema["allOf"]:
            check(value, part, schemas)
    elif "anyOf" in schema:
        option = schema["anyOf"][value is None]
        check(value, option, schemas)
    elif "enum" in schema:
        assert value in schema["enum"]
    else:
        kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
                 "number": (int, float), "null": type(None)}  # fmt: skip
        assert isinstance(value, kinds[schema["type"]]), (value, schema)
        if isinstance(value, dict):
            for name in schema["required"]:
                check(value[name], schema["properties"][name], schemas)
        if isinstance(value, list):
            for item in value:
                check(item, schema["items"], schemas)
