"""Questions that are typed or come through a pipe, one after another."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli import (  # noqa: F401
    book,
    cache,
    checkpoint,
    model,
)

from squadlite.cli import run

pytestmark = pytest.mark.usefixtures("cache")


def type_in(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def lines_with(sign: str, text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(sign)]


def test_each_line_of_a_pipe_is_asked_and_shown_before_its_reply(
    book: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    type_in(monkeypatch, b"\xef\xbb\xbfWho was late?\r\n\n  \n  What did he ask for?")
    assert run(["ask", str(book), "--model", str(model)]) == 0
    captured = capsys.readouterr()
    assert lines_with("> ", captured.out) == ["> Who was late?", "> What did he ask for?"]
    assert len(captured.out.split("\n\n> ")) == 2
    assert captured.err == ""


def test_a_pipe_gives_a_line_of_json_for_each_question(
    book: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    type_in(monkeypatch, b"Who was late?\nWhat did he ask for?\n")
    assert run(["ask", str(book), "--model", str(model), "--json"]) == 0
    replies = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [reply["question"] for reply in replies] == ["Who was late?", "What did he ask for?"]


def test_a_pipe_with_nothing_in_it_asks_nothing(
    book: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    type_in(monkeypatch, b"")
    assert run(["ask", str(book), "--model", str(model)]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_pipe_of_something_else_than_text_is_told_in_one_line(
    book: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    type_in(monkeypatch, b"Who?\n\xff\xfe\n")
    assert run(["ask", str(book), "--model", str(model), "--json"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert captured.err.startswith("Error: standard input: line 2: ")
    assert captured.err.count("\n") == 1


def test_without_standard_input_a_question_must_be_given(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", None)
    assert run(["ask", str(book)]) == 2
    assert "there is no standard input" in capsys.readouterr().err


def test_a_library_is_asked_so_too(
    book: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setenv("SQUADLITE_LIBRARY", str(book.with_name("library.db")))
    assert run(["library", "add", str(book), "--model", str(model)]) == 0
    capsys.readouterr()
    type_in(monkeypatch, b"Who was late?\nWhat did he ask for?\n")
    assert run(["library", "ask", "--model", str(model)]) == 0
    assert lines_with("> ", capsys.readouterr().out) == [
        "> Who was late?",
        "> What did he ask for?",
    ]


class Terminal:
    """A person's end of a terminal, at which a command runs."""

    def __init__(self, command: list[str], **options: object) -> None:
        self._end, other = os.openpty()
        streams = {"stdin": other, "stdout": other, "stderr": other, **options}
        self._process = subprocess.Popen(command, close_fds=True, **streams)  # type: ignore[call-overload]
        os.close(other)
        self.seen = ""
        self._known = 0

    def wait_for(self, text: str) -> None:
        """Read what is printed until the text comes, behind what was waited for before."""
        while text not in self.seen[self._known :]:
            self.seen += next(self._printed())
        self._known = self.seen.index(text, self._known) + len(text)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._end, text.encode())

    def finish(self) -> int:
        """Read the rest; the exit code."""
        self.seen += "".join(self._printed())
        os.close(self._end)
        return self._process.wait()

    def _printed(self) -> Iterator[str]:
        try:
            while data := os.read(self._end, 4096):
                yield data.decode()
        except OSError:  # the command has ended
            return


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.parametrize("to_file", [False, True])
def test_a_person_is_asked_for_one_question_after_another(
    to_file: bool, book: Path, model: Path, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    command = [sys.executable, "-m", "squadlite", "ask", str(book), "--model", str(model)]
    with (tmp_path / "replies").open("w+", encoding="utf-8") as file:
        terminal = Terminal(
            [*command, *["--json"] * to_file], **{"stdout": file} if to_file else {}
        )
        terminal.wait_for("Ctrl-D")
        for question in ("Who was late?", "Who asked for mutton?"):
            terminal.wait_for("> ")
            terminal.type(f"{question}\n")
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.finish() == 0
        file.seek(0)
        replies = file.read()
    assert terminal.seen.count("> Who") == 2
    if to_file:
        asked = [json.loads(line)["question"] for line in replies.splitlines()]
        assert asked == ["Who was late?", "Who asked for mutton?"]
