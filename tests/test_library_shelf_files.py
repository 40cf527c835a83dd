"""Folders of books: which files are found, in which order, and what a Calibre library gives."""

import os
import sqlite3
from pathlib import Path

import pytest
from epubs import book_of
from mobis import write_mobi

from squadlite.errors import BookError
from squadlite.library.shelf_files import find_books


def names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_books(folder)]


def write(folder: Path, *files: str) -> None:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Once upon a time.")


def test_a_file_is_itself(tmp_path: Path) -> None:
    write(tmp_path, "anything.xyz")
    assert list(find_books(tmp_path / "anything.xyz")) == [tmp_path / "anything.xyz"]


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BookError, match="no such file or folder"):
        list(find_books(tmp_path / "nothing"))


def test_books_are_known_by_name_or_content_and_sorted(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", "a/z.md", "a/b/c.PDF", "c.py", "notes", "pictures/1.jpg", "x.opf")
    book_of(tmp_path / "an epub", {"one.xhtml": "<p>Once.</p>"})
    write_mobi(tmp_path / "old.dat", b"<p>Once.</p>")
    (tmp_path / "image.bin").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "empty").mkdir()
    assert names(tmp_path) == ["a/b/c.PDF", "a/z.md", "an epub", "b.txt", "old.dat"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, ".a.txt", ".trash/b.txt", "c.txt", "._c.epub")
    assert names(tmp_path) == ["c.txt"]


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "shelf", "a.txt", "b/c.txt")
    write(tmp_path / "elsewhere", "d.txt")
    (tmp_path / "shelf" / "b" / "up").symlink_to(tmp_path / "shelf")
    (tmp_path / "shelf" / "z").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "shelf" / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "shelf" / "self.txt").symlink_to(tmp_path / "shelf" / "self.txt")
    os.mkfifo(tmp_path / "shelf" / "pipe.txt")
    assert names(tmp_path / "shelf") == ["a.txt", "b/c.txt", "z/d.txt"]


def calibre_library(folder: Path, books: dict[str, list[tuple[str, str]]]) -> Path:
    """A Calibre library: for each book's folder, the names and formats of its files."""
    folder.mkdir(exist_ok=True)
    with sqlite3.connect(folder / "metadata.db") as database:
        database.execute("CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, path TEXT)")
        database.execute("CREATE TABLE data (book INTEGER, format TEXT, name TEXT)")
        for number, (place, files) in enumerate(books.items()):
            database.execute("INSERT INTO books VALUES (?, '', ?)", (number, place))
            for name, kind in files:
                database.execute("INSERT INTO data VALUES (?, ?, ?)", (number, kind, name))
    database.close()
    return folder


def test_a_calibre_library_gives_each_book_once_in_its_best_format(tmp_path: Path) -> None:
    folder = calibre_library(
        tmp_path / "library",
        {
            "B/Two (2)": [("Two", "PDF"), ("Two", "AZW3"), ("Two", "EPUB")],
            "A/One (1)": [("One", "TXT"), ("One", "MOBI"), ("One", "CBZ")],
            "C/Three (3)": [("Three", "CBZ"), ("Three", "ORIGINAL_EPUB")],
            "D/Four (4)": [("Four", "EPUB")],
        },
    )
    write(folder, "A/One (1)/One.mobi", "A/One (1)/One.txt", "C/Three (3)/Three.cbz", "extra.txt")
    write(folder, "B/Two (2)/Two.azw3", "B/Two (2)/Two.pdf", "B/Two (2)/cover.txt")
    # Two's EPUB and Four's have been removed behind Calibre's back.
    assert names(folder) == ["A/One (1)/One.mobi", "B/Two (2)/Two.azw3"]
    assert names(tmp_path) == ["library/A/One (1)/One.mobi", "library/B/Two (2)/Two.azw3"]


def test_a_calibre_library_cannot_lead_outside(tmp_path: Path) -> None:
    write(tmp_path, "secret.txt")
    folder = calibre_library(
        tmp_path / "library", {"..": [("secret", "TXT")], str(tmp_path): [("secret", "TXT")]}
    )
    assert names(folder) == []


def test_paths_of_a_calibre_library_that_no_file_can_have_are_passed_over(tmp_path: Path) -> None:
    folder = calibre_library(
        tmp_path / "library",
        {"a\0": [("b", "TXT")], "round": [("b", "TXT")], "x" * 999: [("b", "TXT")]},
    )
    (folder / "round").symlink_to(folder / "round")
    assert names(folder) == []


def test_a_view_without_end_is_no_calibre_library(tmp_path: Path) -> None:
    folder = calibre_library(tmp_path / "library", {"a": [("b", "TXT")]})
    with sqlite3.connect(folder / "metadata.db") as database:
        database.execute("DROP TABLE books")
        database.execute(
            "CREATE VIEW books AS WITH RECURSIVE n (id) AS"
            " (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id, 'a' AS path FROM n"
        )
    database.close()
    write(folder, "a/b.txt")
    assert names(folder) == ["a/b.txt"]


@pytest.mark.parametrize("content", [b"no database", b""])
def test_another_metadata_db_is_no_calibre_library(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "a.txt")
    (tmp_path / "metadata.db").write_bytes(content)
    assert names(tmp_path) == ["a.txt"]
