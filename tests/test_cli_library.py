"""`squadlite library` as its users meet it: what is printed, exit codes, no traceback ever."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from test_cli import BOOK, QUESTION, checkpoint, model  # noqa: F401

from squadlite.cli import run

OTHER = """# The Ferry

The ferry was a machine of planks; it went twice a day, and the ferryman was paid in apples.
He had never been told to stop.
"""


@pytest.fixture(autouse=True)
def library_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SQUADLITE_LIBRARY", str(tmp_path / "library.db"))
    return tmp_path / "library.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "ivory.md").write_text(BOOK, encoding="utf-8")
    (folder / "ferry.md").write_text(OTHER, encoding="utf-8")
    return folder


@pytest.fixture
def added(folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> Path:  # noqa: F811
    assert run(["library", "add", str(folder), "--model", str(model)]) == 0
    capsys.readouterr()
    return folder


def printed_json(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_add_says_what_became_of_each_file(
    added: Path, model: Path, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    (added / "ivory.md").rename(added / "moved.md")
    (added / "copy.md").write_bytes((added / "ferry.md").read_bytes())
    (added / "empty.md").write_bytes(b"")
    assert run(["library", "add", str(added), "--model", str(model)]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"Duplicate: {added / 'copy.md'} is {added / 'ferry.md'}",
        f"Moved: {added / 'ivory.md'} -> {added / 'moved.md'}",
        "1 unchanged, 1 duplicate, 1 failed, 1 moved. 2 in the library.",
    ]
    assert printed.err.splitlines() == [
        f"Not added: {added / 'empty.md'}: an empty file, expected a book"
    ]


def test_a_path_without_a_name_is_not_the_current_folder(
    library_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["library", "add", ""]) == 2
    assert "expected a file or a folder" in capsys.readouterr().err
    assert not library_file.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_file_whose_name_is_not_utf_8_is_not_added(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.md"))
    path.write_text(OTHER, encoding="utf-8")
    assert run(["library", "add", str(path), "--json"]) == 1
    assert printed_json(capsys)[0]["path"] == str(path)
    assert run(["library", "add", str(path)]) == 1
    expected = f"Not added: '{folder}/caf\\udce9.md': a name that isn't text, expected UTF-8\n"
    assert capsys.readouterr().err == expected


def test_add_prints_an_object_a_file(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    assert run(["library", "add", str(folder), "--model", str(model), "--json"]) == 0
    assert printed_json(capsys) == [
        {"path": str(folder / name), "change": "added", "book": number, "detail": ""}
        for number, name in ((1, "ferry.md"), (2, "ivory.md"))
    ]


def test_list_names_every_book(added: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["library", "list"]) == 0
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["Book", "Title", "Author", "Chapters", "File"]
    assert first.split()[:3] == ["1", "The", "Ferry"]
    assert second.endswith(str(added / "ivory.md"))
    assert run(["library", "list", "--json"]) == 0
    assert [book["paths"] for book in printed_json(capsys)] == [
        [str(added / "ferry.md")], [str(added / "ivory.md")]
    ]  # fmt: skip


def test_ask_says_which_book_each_answer_is_from(
    added: Path, model: Path, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    asked = ["library", "ask", QUESTION, "--model", str(model), "--top-k", "50"]
    assert run([*asked, "--json"]) == 0
    (reply,) = printed_json(capsys)
    titles = {1: "The Ferry", 2: "The Ivory Lever"}
    names = {1: "ferry.md", 2: "ivory.md"}
    assert {answer["source"]["id"] for answer in reply["answers"]} == {1, 2}
    for answer in reply["answers"]:
        number = answer["source"]["id"]
        assert answer["book"] == titles[number]
        assert answer["source"]["path"] == str(added / names[number])
        book = " ".join(((added / names[number]).read_text(encoding="utf-8")).split())
        assert " ".join(answer["text"].split()) in book
    assert run([*asked, "--min-score", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "The library doesn't say."
    assert any("(The Ferry: The Ferry" in line for line in lines)


def test_ask_can_be_told_which_books(
    added: Path, model: Path, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    for names, expected in (
        (["ferry"], {1}),
        ([str(added / "ivory.md")], {2}),
        (["1", "ivory"], {1, 2}),
    ):
        books = [word for name in names for word in ("--book", name)]
        command = ["library", "ask", QUESTION, "--model", str(model), "--top-k", "50", "--json"]
        assert run([*command, *books]) == 0
        (reply,) = printed_json(capsys)
        assert {answer["source"]["id"] for answer in reply["answers"]} == expected


def test_a_file_of_questions_gives_a_line_for_each(
    added: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    questions = tmp_path / "questions.jsonl"
    lines = [{"id": number, "question": QUESTION} for number in range(3)]
    questions.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert run(["library", "ask", "--questions", str(questions), "--model", str(model)]) == 0
    assert [reply["id"] for reply in printed_json(capsys)] == ["0", "1", "2"]


def test_read_keeps_a_place_behind_which_nothing_is_told(
    added: Path, model: Path, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    assert run(["library", "read", "ivory"]) == 0
    assert "no place kept" in capsys.readouterr().out
    assert run(["library", "read", "ivory", "--at", "The Ivory Lever"]) == 0
    assert "read to The Ivory Lever" in capsys.readouterr().out
    assert run(["library", "read", "ivory", "--json"]) == 0
    (book,) = printed_json(capsys)
    assert book["until"]["chapter"] == 0
    assert run(["library", "ask", "Who asked for mutton?", "--model", str(model), "--json"]) == 0
    (reply,) = printed_json(capsys)
    assert all("mutton" not in answer["passage"]["text"] for answer in reply["answers"])


def test_a_removed_book_is_gone(added: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["library", "remove", "ferry", "1"]) == 0
    assert capsys.readouterr().out == f"Removed The Ferry ({added / 'ferry.md'})\n"
    assert run(["library", "status", "--json"]) == 0
    (status,) = printed_json(capsys)
    assert (status["books"], status["files"], status["missing_files"]) == (1, 1, 0)


def test_status_says_what_is_to_be_done(
    added: Path, library_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (added / "ferry.md").unlink()
    assert run(["library", "status"]) == 0
    first, second, third, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(str(library_file))
    assert second.startswith("2 books, ")
    assert third == "Files that are gone, whose books can still be asked: 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "Who?"], "no books"),
        (["remove", "Emma"], "book 'Emma'"),
        (["read", "Emma"], "book 'Emma'"),
        (["ask", "Who?", "--book", "Emma"], "book 'Emma'"),
        (["list", "--library", __file__], "not a database"),
    ],
)
def test_errors_are_one_line_and_exit_1(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["library", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert message in line
