import sys
from pathlib import Path

import click
import pytest

from tools.command import output_argument, run
from tools.errors import TrainingError


def exit_code_of(monkeypatch: pytest.MonkeyPatch, raised: BaseException | None, *words: str) -> int:
    @click.command()
    def command() -> None:
        if raised is not None:
            raise raised

    monkeypatch.setattr(sys, "argv", ["command", *words])
    with pytest.raises(SystemExit) as stopped:
        run(command)
    return int(stopped.value.code or 0)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (None, 0),
        (TrainingError("step 3: found a loss of nan"), 1),
        (FileNotFoundError(2, "No such file or directory", "data.json"), 1),
        (click.UsageError("bad"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_end_in_an_exit_code_and_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException | None,
    code: int,
) -> None:
    assert exit_code_of(monkeypatch, raised) == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (TrainingError("teacher tiny:\nno weights"), "teacher tiny: no weights"),
        (FileNotFoundError(2, "No such file", "data.json"), "data.json: No such file"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_an_error_is_told_in_the_words_of_squadlites_commands(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: Exception,
    told: str,
) -> None:
    assert exit_code_of(monkeypatch, raised) == 1
    assert capsys.readouterr().err == f"Error: {told}\n"


def test_an_unknown_option_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code_of(monkeypatch, None, "--nothing") == 2


def test_a_bug_is_shown_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(ZeroDivisionError):
        run(command)


@pytest.mark.parametrize(
    ("files", "code"), [(None, 0), ([], 0), (["stages.json", "a.txt"], 0), (["a.txt"], 2)]
)
def test_a_folder_that_no_stage_made_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: list[str] | None, code: int
) -> None:
    folder = tmp_path / "out"
    for name in files or ():
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("[]")
    if files == []:
        folder.mkdir()

    @click.command()
    @output_argument
    def command(output: Path) -> None:
        assert output == folder

    monkeypatch.setattr(sys, "argv", ["command", str(folder)])
    with pytest.raises(SystemExit) as stopped:
        run(command)
    assert (stopped.value.code or 0) == code
