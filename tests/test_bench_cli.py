"""`squadlite bench` as its users meet it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.bench.floor import Limits, Peak
from squadlite.bench.processes import Worker
from squadlite.cli import run
from squadlite.model import Checkpoint, save_checkpoint

BOOK = "# One\n\n" + "The traveller built a machine of white ivory. It had one lever.\n\n" * 20
LIMITS = Limits(1, {"f32": Peak(1e9, "kernel", (1, 2, 3))}, {1 << 20: 1e10})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "tiny"
    vocab = tiny_spec().vocab
    config = tiny_config(vocab_size=len(vocab), max_position_embeddings=128)
    save_checkpoint(folder, Checkpoint(config, random_model(config).state_dict()))
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    path = folder.parent / "tiny.sqz"
    assert run(["convert", str(folder), "-o", str(path), "--json"]) == 0
    return path


@pytest.fixture
def quick_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    # Real ones take seconds, and have tests of their own.
    call = Worker.call

    def limits_at_once(self: Worker, do: str, **arguments: Any) -> dict[str, Any]:
        return LIMITS.to_dict() if do == "limits" else call(self, do, **arguments)

    monkeypatch.setattr(Worker, "call", limits_at_once)


@pytest.mark.usefixtures("quick_limits")
def test_a_model_is_measured_from_its_file_to_a_table_and_a_line_of_json(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUADLITE_CACHE", str(tmp_path / "cache"))
    book, output = tmp_path / "book.md", tmp_path / "bench.json"
    book.write_text(BOOK)
    options = ["--runtime", "squadlite f32", "--threads", "1", "--batch", "1,2", "--length", "16"]
    quick = ["--rounds", "1", "--starts", "1", "--book", str(book), "--question", "what machine?"]
    assert run(["bench", str(model), *options, *quick, "--json", str(output)]) == 0

    printed = capsys.readouterr()
    assert printed.err == ""
    assert "tiny.sqz, forward passes" in printed.out
    (line,) = output.read_text(encoding="utf-8").splitlines()
    result = json.loads(line)
    assert result["benchmark"] == "runtimes"
    assert result["machine"]["versions"]["torch"]
    assert result["limits"] == [json.loads(json.dumps(LIMITS.to_dict()))]
    assert result["settings"]["question"] == "what machine?"
    (row,) = result["models"][0]["runtimes"]
    assert row["why_not"] is None
    assert row["bytes"] == model.stat().st_size
    assert [cell["batch"] for cell in row["forward"]] == [1, 2]
    assert row["import_s"]["median"] > row["load_warm_s"]["median"] > 0
    assert row["first_answer_s"]["median"] > row["import_s"]["median"]
    assert row["question"][0]["seconds"]["median"] > 0
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threads", "0"], "'0' is not a list of whole numbers"),
        (["--batch", "1,x"], "'1,x' is not a list of whole numbers"),
        (["--length", ""], "'' is not a list of whole numbers"),
        (["--json", "no/such/folder/bench.json"], "no/such/folder is not a folder"),
        (["--plot", "no/such/folder/bench.png"], "no/such/folder is not a folder"),
        (["--runtime", "abacus"], "'abacus' is not one of squadlite f32,"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_measured(
    model: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(model), *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_plot_without_matplotlib_fails_before_anything_is_measured(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(["bench", str(model), "--plot", "plot.png"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: a plot needs matplotlib")
    assert "pip install 'squadlite[bench]'" in error


def test_a_damaged_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "damaged.sqz"
    path.write_bytes(b"nothing")
    assert run(["bench", str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def children_of(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text(encoding="ascii").split()]


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(),
    reason="only Linux tells which children a process has",
)
def test_ctrl_c_leaves_no_worker_behind(model: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "squadlite", "bench", str(model), "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not (children := children_of(process.pid)):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)  # let the worker begin its work
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "\nInterrupted.\n")
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
