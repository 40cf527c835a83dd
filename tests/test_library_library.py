"""The library: books added, recognised, kept whole whatever happens, removed."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from epubs import package, page, write_epub
from fake_embedder import FakeEmbedder

from squadlite.errors import BookIndexError, LibraryError
from squadlite.library import adding as adding_module
from squadlite.library import database as database_module
from squadlite.library.adding import Change, FileReport
from squadlite.library.bound import Bound
from squadlite.library.database import APPLICATION_ID, MIGRATIONS, Database
from squadlite.library.library import Library, Position, default_library_file
from squadlite.library.query import Query
from squadlite.library.structure import Cover

ROOT = Path(__file__).resolve().parent.parent
TEXT = """
salt mule bridge toll goat tarn powder sledge lamp keeper winter letter ferry
rope baker candle orchard miller river stone anchor harbour captain needle thread cellar
"""
WORDS = TEXT.split()


def write_book(folder: Path, name: str, *, sentences: int = 40, title: str | None = None) -> Path:
    """A book of its own words, in two chapters."""
    generator = random.Random(name)
    folder.mkdir(parents=True, exist_ok=True)
    chapters = (
        " ".join(
            " ".join(generator.choices(WORDS, k=8)).capitalize() + f" {name}."
            for _ in range(sentences)
        )
        for _ in range(2)
    )
    text = "\n\n".join(f"# Part {number}\n\n{body}" for number, body in enumerate(chapters))
    path = folder / f"{name}.md"
    path.write_text(f"---\ntitle: {title or name}\n---\n\n{text}\n", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Anna", "Boris", "Clara"):
        write_book(tmp_path / "books", name)
    return tmp_path / "books"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library(tmp_path / "library.db") as opened:
        yield opened


def changes(reports: list[FileReport]) -> dict[str, Change]:
    return {report.path.name: report.change for report in reports}


def found(library: Library, question: str) -> list[tuple[str, int, int, float, str]]:
    """What a search finds, the books named by their files."""
    with library.shelf() as shelf:
        return [
            (shelf.cite(passage).source.path, passage.chapter_index, passage.start,  # type: ignore[union-attr]
             passage.score, passage.text)
            for passage in shelf.search(Query(question, embedder=FakeEmbedder()), 9)
        ]  # fmt: skip


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(path: Path) -> None:
        raise AssertionError(f"{name} of {path}")

    monkeypatch.setattr(adding_module, name, fail)


def test_a_folder_is_added_in_order(library: Library, folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    reports = library.add([folder], progress=lambda *step: steps.append(step))
    assert changes(reports) == dict.fromkeys(["Anna.md", "Boris.md", "Clara.md"], Change.ADDED)
    assert steps == [(1, 3), (2, 3), (3, 3)]
    books = library.books()
    assert [(book.id, book.title, book.chapters) for book in books] == [
        (1, "Anna", 2), (2, "Boris", 2), (3, "Clara", 2)
    ]  # fmt: skip
    assert books[0].paths == (folder / "Anna.md",)
    assert all(book.is_current and book.until is None and book.vectors is None for book in books)


def test_unchanged_books_are_not_read_again(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([folder])
    forbid(monkeypatch, "digest_of")
    reports = library.add([folder, folder / "Anna.md"])
    assert list(changes(reports).values()) == [Change.UNCHANGED] * 3


PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def write_covered_book(folder: Path, cover: bytes | None) -> Path:
    item = '<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>'
    files: dict[str, str | bytes] = {
        "OPS/book.opf": package(["1.xhtml"], extra=item if cover else ""),
        "OPS/1.xhtml": page("<p>The mule was grey.</p>"),
    }
    return write_epub(folder / "covered.epub", files | ({"OPS/c.png": cover} if cover else {}))


def test_a_cover_is_kept_with_its_book(library: Library, folder: Path) -> None:
    path = write_covered_book(folder, PNG)
    library.add([folder / "Anna.md", path])
    plain, covered = library.books()
    assert (plain.has_cover, covered.has_cover) == (False, True)
    assert library.cover(plain.id) is None
    assert library.cover(covered.id) == Cover("image/png", PNG)
    write_covered_book(folder, None)
    library.add([path])
    assert library.cover(covered.id) is None
    write_covered_book(folder, PNG + b"!")
    library.add([path])
    assert library.cover(covered.id) == Cover("image/png", PNG + b"!")
    library.remove(covered.id)
    assert library._database.rows("SELECT * FROM covers") == []


def test_the_readers_position_is_kept(library: Library, folder: Path) -> None:
    library.add([folder])
    assert library.books()[0].position is None
    library.keep_position(1, Position(1, 7))
    assert [book.position for book in library.books()] == [Position(1, 7), None, None]
    for nowhere in (Position(2, 0), Position(-1, 0), Position(0, -1), Position(0, 10**6)):
        with pytest.raises(LibraryError, match="book 1"):
            library.keep_position(1, nowhere)
    with pytest.raises(LibraryError, match="book 9"):
        library.keep_position(9, Position(0, 0))
    assert library.books()[0].position == Position(1, 7)


def test_what_others_write_is_noticed(library: Library, folder: Path) -> None:
    before = library.data_version()
    assert library.data_version() == before
    with Library(library.path) as other:
        other.add([folder / "Anna.md"])
    assert library.data_version() != before


def test_a_touched_book_is_not_indexed_again(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([folder])
    os.utime(folder / "Anna.md", (1, 1))
    forbid(monkeypatch, "open_book")
    assert changes(library.add([folder]))["Anna.md"] is Change.UNCHANGED
    forbid(monkeypatch, "digest_of")
    library.add([folder])


def test_a_moved_book_is_recognised(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([folder])
    old, new = folder / "Anna.md", folder / "moved" / "Ann.md"
    new.parent.mkdir()
    old.rename(new)
    forbid(monkeypatch, "open_book")
    reports = {report.path: report for report in library.add([folder])}
    assert reports[new] == FileReport(new, Change.MOVED, 1, str(old))
    assert library.find("1").paths == (new,)
    assert len(library.books()) == 3


def test_books_that_exchange_their_names_keep_their_numbers(library: Library, folder: Path) -> None:
    library.add([folder])
    anna, boris = folder / "Anna.md", folder / "Boris.md"
    anna.rename(folder / "x.md")
    boris.rename(anna)
    (folder / "x.md").rename(boris)
    library.add([folder])
    assert [(book.title, book.paths) for book in library.books()] == [
        ("Anna", (boris,)), ("Boris", (anna,)), ("Clara", (folder / "Clara.md",))
    ]  # fmt: skip


def test_a_duplicate_is_named_once(library: Library, folder: Path) -> None:
    library.add([folder])
    copy = folder / "copy.md"
    copy.write_bytes((folder / "Anna.md").read_bytes())
    (report,) = [report for report in library.add([folder]) if report.path == copy]
    assert report == FileReport(copy, Change.DUPLICATE, 1, str(folder / "Anna.md"))
    assert changes(library.add([folder]))["copy.md"] is Change.UNCHANGED
    assert len(library.books()) == 3
    assert library.find("Anna").paths == (folder / "Anna.md", copy)


def test_a_changed_book_keeps_its_number_and_its_place(library: Library, folder: Path) -> None:
    library.add([folder])
    library.read(1, Bound(1, 20))
    write_book(folder, "Anna", sentences=50)
    assert changes(library.add([folder]))["Anna.md"] is Change.UPDATED
    book = library.find("Anna")
    assert (book.id, book.until) == (1, Bound(1, 20))
    assert 0 < book.known_passages < book.passages
    assert_whole(library)


def test_another_book_under_a_known_name_is_another_book(library: Library, folder: Path) -> None:
    library.add([folder])
    library.read(1, Bound(0, 9))
    (folder / "Anna.md").write_bytes(
        write_book(folder / "elsewhere", "Dora").read_bytes().replace(b"Anna", b"Dora")
    )
    library.add([folder / "Anna.md"])
    assert [book.title for book in library.books()] == ["Boris", "Clara", "Dora"]
    dora = library.find("Dora")
    assert (dora.id, dora.until) == (4, None)
    assert_whole(library)


def test_files_that_cannot_be_read_stop_no_others(library: Library, folder: Path) -> None:
    (folder / "broken.epub").write_bytes(b"PK\x03\x04 nothing")
    (folder / "empty.txt").write_bytes(b"")
    gone = folder / "gone.epub"
    reports = {report.path.name: report for report in library.add([folder, gone])}
    for name in ("broken.epub", "empty.txt", "gone.epub"):
        assert reports[name].change is Change.FAILED
        assert reports[name].book is None
        assert name in reports[name].detail
    assert len(library.books()) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_text_is_told(library: Library, folder: Path) -> None:
    path = os.fsencode(folder) + b"/\xff.md"
    Path(os.fsdecode(path)).write_text("Some words.", encoding="utf-8")
    (failed,) = [r for r in library.add([folder]) if r.change is Change.FAILED]
    assert failed.detail.isascii()
    assert len(library.books()) == 3


def test_the_places_kept_in_a_book_that_becomes_shorter_are_its_end(
    library: Library, folder: Path
) -> None:
    library.add([folder])
    library.read(1, Bound(1, 20))
    library.keep_position(1, Position(1, 7))
    (folder / "Anna.md").write_text("---\ntitle: Anna\n---\n\nNo more.\n", encoding="utf-8")
    assert changes(library.add([folder]))["Anna.md"] is Change.UPDATED
    book = library.books()[0]
    assert (book.id, book.chapters) == (1, 1)
    assert (book.until, book.position) == (Bound(0, 8), Position(0, 8))
    assert book.known_passages == book.passages


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")
def test_a_link_in_a_circle_is_no_book(library: Library, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(LibraryError, match="expected a number, path or title"):
        library.find(str(link))


def test_a_damaged_index_is_named_and_its_book_can_be_removed(
    library: Library, folder: Path
) -> None:
    library.add([folder])
    ((image,),) = library._database.rows("SELECT image FROM indexes WHERE book = 1")
    damaged = image[:100] + bytes(len(image) - 100)
    with library._database.writing():
        library._database.write("UPDATE indexes SET image = ? WHERE book = 1", damaged)
    with pytest.raises(LibraryError, match=r"book 1: its index in .* is damaged"):
        library.index(1)
    library.remove(1)
    assert_whole(library)


def test_an_index_that_is_damaged_further_in_is_named_when_it_is_searched(
    library: Library, folder: Path
) -> None:
    library.add([folder])
    ((image,),) = library._database.rows("SELECT image FROM indexes WHERE book = 1")
    places = range(0, len(image), 4096)
    refused = 0
    for place in places:
        damaged = image[:place] + b"\xff" * 4096 + image[place + 4096 :]
        with library._database.writing():
            library._database.write("UPDATE indexes SET image = ? WHERE book = 1", damaged)
        try:
            with library.index(1) as index:
                index.search(Query("Who kept the mule?"), 5)
                index.terms()
                list(index.read_chapters())
        except (LibraryError, BookIndexError) as error:
            assert "is damaged" in str(error)
            refused += 1
    assert refused > len(places) // 2


def test_a_book_that_changes_while_it_is_read_is_not_taken(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = adding_module.open_book

    def change_and_read(path: Path) -> object:
        path.write_text(f"{path.read_text(encoding='utf-8')} More.", encoding="utf-8")
        return read(path)

    monkeypatch.setattr(adding_module, "open_book", change_and_read)
    assert changes(library.add([folder / "Anna.md"]))["Anna.md"] is Change.FAILED
    monkeypatch.undo()
    assert changes(library.add([folder / "Anna.md"]))["Anna.md"] is Change.ADDED


def assert_whole(library: Library) -> None:
    """The terms of all books are counted as their indexes say, and nothing is left of others."""
    terms = set(library._database.rows("SELECT book, term, passages FROM terms"))
    expected = set()
    for book in library.books():
        with library.index(book.id) as index:
            known = index.known(book.until)
            counts = {(book.id, term, known.frequency(term)) for term in index.terms()}
            expected |= {count for count in counts if count[-1]}
            assert len(known.table) == book.known_passages
    assert terms == expected
    for table in ("indexes", "files"):
        books = {book for (book,) in library._database.rows(f"SELECT book FROM {table}")}
        assert books == {book.id for book in library.books()}
    assert library._database.rows("PRAGMA foreign_key_check") == []
    assert library._database.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_removed_book_leaves_nothing_and_its_space(library: Library, folder: Path) -> None:
    write_book(folder, "Long", sentences=3000)
    library.add([folder])
    library.add_vectors(FakeEmbedder())
    before = library.status().n_bytes
    library.remove(library.find("Long").id)
    assert library.status().n_bytes < before / 2
    assert [book.title for book in library.books()] == ["Anna", "Boris", "Clara"]
    assert_whole(library)
    assert (folder / "Long.md").exists()
    with pytest.raises(LibraryError, match="book 9"):
        library.remove(9)


def test_a_removed_number_is_not_given_again(library: Library, folder: Path) -> None:
    library.add([folder])
    library.remove(3)
    library.add([folder])
    assert [book.id for book in library.books()] == [1, 2, 4]


def test_vectors_are_made_once_and_kept(library: Library, folder: Path) -> None:
    library.add([folder])
    embedder = FakeEmbedder()
    assert library.lacks_vectors(embedder.digest)
    steps: list[tuple[int, int]] = []
    library.add_vectors(embedder, progress=lambda *step: steps.append(step))
    total = library.status().passages
    assert len(embedder.embedded) == total
    assert steps == sorted(steps)
    assert steps[-1] == (total, total)
    assert not library.lacks_vectors(embedder.digest)
    library.add_vectors(embedder)
    assert len(embedder.embedded) == total
    library.add_vectors(FakeEmbedder("another"))
    assert {book.vectors for book in library.books()} == {"another"}


@pytest.mark.parametrize(
    ("name", "title"),
    [("2", "Boris"), ("boris", "Boris"), ("nna", "Anna"), ("books/Clara.md", "Clara")],
)
def test_a_book_is_found_by_number_title_or_path(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, title: str
) -> None:
    library.add([folder])
    monkeypatch.chdir(folder.parent)
    assert library.find(name).title == title


def test_a_name_of_several_books_names_them(library: Library, folder: Path) -> None:
    library.add([folder, write_book(folder, "Anna2", title="Anna Two")])
    assert library.find("anna").title == "Anna"
    with pytest.raises(LibraryError, match=r"found 2.*Anna \(.*Anna\.md\).*Anna Two \("):
        library.find("ann")
    with pytest.raises(LibraryError, match="'Zoe'"):
        library.find("Zoe")


def test_what_is_not_read_yet_is_never_found(library: Library, folder: Path) -> None:
    library.add([folder])
    library.add_vectors(FakeEmbedder())
    library.read(1, Bound(0, 600))
    assert_whole(library)
    assert library.find("Anna").until == Bound(0, 600)
    with library.shelf() as shelf:
        for passage in shelf.search(
            Query("What of the salt of Anna?", embedder=FakeEmbedder()), 50
        ):
            assert passage.book != 1 or (passage.chapter_index, passage.start) < (0, 600)
            assert passage.book != 1 or passage.end <= 600
    library.read(1, None)
    assert library.find("Anna").until is None
    assert_whole(library)


def test_scores_are_those_of_a_library_of_what_is_known(tmp_path: Path, folder: Path) -> None:
    book = folder / "Anna.md"
    with Library(tmp_path / "one.db") as whole:
        whole.add([folder])
        with whole.index(1) as index:
            text = index.chapter(0).text
        whole.read(1, Bound(0, len(text)))
        expected_path = str(book)
        bounded = found(whole, "salt of Anna")
    head, _, _ = book.read_text(encoding="utf-8").partition("# Part 1")
    book.write_text(head, encoding="utf-8")
    with Library(tmp_path / "two.db") as known:
        known.add([folder])
        assert found(known, "salt of Anna") == bounded
    assert any(place[0] == expected_path for place in bounded)


def test_indexes_of_another_version_wait_to_be_made_anew(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([folder])
    before = found(library, "salt")
    library._database.write("UPDATE books SET index_version = 0 WHERE id = 1")
    assert library.status().outdated_books == 1
    assert not library.find("Anna").is_current
    assert all("Anna" not in path for path, *_ in found(library, "salt of Anna"))
    with pytest.raises(LibraryError, match="book 1"):
        library.shelf([1])
    with pytest.raises(LibraryError, match="book 1"):
        library.index(1)
    assert changes(library.add([folder]))["Anna.md"] is Change.UPDATED
    assert found(library, "salt") == before
    assert_whole(library)


def test_an_empty_library_is_told_when_asked(library: Library) -> None:
    with pytest.raises(LibraryError, match="no books"):
        library.shelf()


def test_files_that_are_gone_are_counted(library: Library, folder: Path) -> None:
    library.add([folder])
    (folder / "Anna.md").unlink()
    status = library.status()
    assert (status.books, status.files, status.missing_files) == (3, 3, 1)
    assert status.books_without_vectors == 3


def test_the_library_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUADLITE_LIBRARY", str(tmp_path / "mine" / "books.db"))
    assert default_library_file() == tmp_path / "mine" / "books.db"
    with Library():
        assert (tmp_path / "mine" / "books.db").exists()
    monkeypatch.delenv("SQUADLITE_LIBRARY")
    assert default_library_file().name == "library.db"


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE books (id)")
    connection.close()


def later_version(path: Path) -> None:
    Library(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (other_program, "another program's database"),
        (later_version, "version 999"),
        (lambda path: path.write_bytes(b"no database at all" * 99), "not a database"),
        (lambda path: path.mkdir(), "can't be used"),
    ],
)
def test_a_file_that_is_no_library_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "library.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LibraryError, match=message):
        Library(path)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_damaged_library_is_told(library: Library, folder: Path) -> None:
    library.add([folder])
    library._database.shrink()
    size = library.path.stat().st_size
    with library.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(LibraryError, match="can't be used"), Library(library.path) as damaged:
        damaged.books()


# --- versions ---


def schema(path: Path) -> set[tuple[str, str]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        found = {(name, " ".join(sql.split())) for name, sql in rows}
    connection.close()
    return found


def test_the_library_says_what_it_is(library: Library) -> None:
    assert library._database.rows("PRAGMA application_id") == [(APPLICATION_ID,)]
    assert library._database.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert library._database.rows("PRAGMA journal_mode") == [("wal",)]
    assert library._database.rows("PRAGMA auto_vacuum") == [(2,)]


def test_every_table_and_column_is_documented(library: Library) -> None:
    document = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in document.splitlines() if line.startswith("| `")}
    tables = library._database.rows(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    )
    assert {name for (name,) in tables} == rows.keys()
    for name, line in rows.items():
        for _, column, *_ in library._database.rows(f"PRAGMA table_info({name})"):
            assert f"`{column}`" in line, f"{name}.{column}"
    assert f"| {len(MIGRATIONS)} | " in document


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_library_of_an_earlier_version_becomes_one_of_today(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    with Library(tmp_path / "today.db") as today:
        today.add([folder])
        expected = found(today, "salt of Anna")
        tables = {
            table: today._database.rows(f"SELECT * FROM {table}")
            for table in ("books", "files", "indexes", "terms")
        }
    monkeypatch.setattr(database_module, "MIGRATIONS", MIGRATIONS[:version])
    path = tmp_path / "early.db"
    with Database(path) as early, early.writing():
        for table, rows in tables.items():
            columns = len(early.rows(f"PRAGMA table_info({table})"))
            marks = ", ".join("?" * columns)
            early.write_all(f"INSERT INTO {table} VALUES ({marks})", [r[:columns] for r in rows])
    monkeypatch.undo()
    with Library(path) as library:
        assert found(library, "salt of Anna") == expected
        assert_whole(library)
        library.read(1, Bound(0, 100))
    assert schema(path) == schema(tmp_path / "today.db")


def test_a_migration_that_fails_leaves_the_library_as_it_was(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    with Library(path) as library:
        library.add([folder])
    before = schema(path)
    failing = "CREATE TABLE new (id); INSERT INTO nowhere VALUES (1)"
    monkeypatch.setattr(database_module, "MIGRATIONS", (*MIGRATIONS, failing))
    with pytest.raises(LibraryError, match="nowhere"):
        Library(path)
    monkeypatch.undo()
    assert schema(path) == before
    with Library(path) as library:
        assert len(library.books()) == 3


# --- other processes ---

ADD = textwrap.dedent(
    """
    import sys
    sys.path[:0] = ["tests"]
    from fake_embedder import FakeEmbedder
    from squadlite.library.library import Library
    print("begun", flush=True)
    with Library(sys.argv[1]) as library:
        reports = library.add(sys.argv[2:])
        library.add_vectors(FakeEmbedder())
    assert all(report.book is not None for report in reports), reports
    """
)


def start_adding(library: Path, *paths: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", ADD, str(library), *map(str, paths)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, b"")


def test_a_library_that_several_make_at_once_is_one(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.db"
        together = threading.Barrier(6)

        def opened(_: int, path: Path = path, together: threading.Barrier = together) -> int:
            together.wait()
            with Library(path) as library:
                return len(library.books())

        with ThreadPoolExecutor(6) as threads:
            assert list(threads.map(opened, range(6))) == [0] * 6


def test_processes_that_add_at_once_don_t_hinder_one_another(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", [tmp_path / "one", tmp_path / "two"]
    for number in range(12):
        write_book(shared, f"Shared{number}")
        write_book(own[number % 2], f"Own{number}")
    path = tmp_path / "library.db"
    adding = [start_adding(path, shared, folder) for folder in own]
    for process in adding:
        finish(process)
    with Library(path) as library:
        assert len(library.books()) == 24
        assert all(book.vectors == "letters" for book in library.books())
        assert_whole(library)


def contents(library: Library) -> dict[str, list[tuple[object, ...]]]:
    """All that a library holds, without the numbers of its books."""
    return {
        name: library._database.rows(query)
        for name, query in {
            "files": "SELECT path, digest FROM files JOIN books ON id = book ORDER BY path",
            "indexes": "SELECT digest, image FROM indexes JOIN books ON id = book ORDER BY digest",
            "terms": "SELECT digest, term, terms.passages FROM terms JOIN books ON id = book"
            " ORDER BY digest, term",
            "vectors": "SELECT digest, model, codes, scales FROM vectors JOIN books ON id = book"
            " ORDER BY digest",
        }.items()
    }


def check_kills(tmp_path: Path, *, kills: int, books: int, seed: int) -> None:
    """Kill a process that adds books, at random moments, and let another go on each time."""
    folder = tmp_path / "books"
    for number in range(books):
        write_book(folder, f"Book{number}", sentences=120)
    whole = tmp_path / "whole.db"
    started = time.monotonic()
    finish(start_adding(whole, folder))
    longest = time.monotonic() - started
    generator = random.Random(seed)
    path = tmp_path / "killed.db"
    for _ in range(kills):
        process = start_adding(path, folder)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(generator.uniform(0, longest / 4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with Library(path) as killed:
            assert_whole(killed)
    finish(start_adding(path, folder))
    with Library(whole) as expected, Library(path) as killed:
        assert_whole(killed)
        assert contents(killed) == contents(expected)
        for question in ("salt and rope", "Who kept the lamp of Book3?", "the captain's needle"):
            assert found(killed, question) == found(expected, question)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_adding_goes_on_after_a_kill(tmp_path: Path) -> None:
    check_kills(tmp_path, kills=3, books=12, seed=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_adding_goes_on_after_twenty_kills(tmp_path: Path) -> None:
    check_kills(tmp_path, kills=20, books=60, seed=2)
