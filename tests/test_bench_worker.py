"""The worker obeys: one result line for each command, with what was asked in it."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.bench import worker
from squadlite.bench.kind import RuntimeKind
from squadlite.bench.worker import example_inputs, serve
from squadlite.model import Checkpoint, save_checkpoint

QUESTIONS = [{"id": str(number), "question": "who?", "answers": []} for number in range(4)]
PARAGRAPH = {"context": "the time traveller", "qas": QUESTIONS}
CONFIG = tiny_config(vocab_size=len(tiny_spec().vocab), max_position_embeddings=64)
SQUAD = {"data": [{"title": "", "paragraphs": [PARAGRAPH]}]}


class FakeRuntime:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def logits(
        self, input_ids: np.ndarray, token_type_ids: np.ndarray, attention_mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.shapes.append(input_ids.shape)
        logits = np.arange(input_ids.size, dtype=np.float32).reshape(input_ids.shape)
        return logits, logits


class OpenRuntime(FakeRuntime):
    """Tells what it was run with."""

    def instructions(self, run: Callable[[], object]) -> str:
        run()
        return f"beads, {self.shapes[-1]}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path, Checkpoint(CONFIG, random_model(CONFIG).state_dict()))
    (tmp_path / "vocab.txt").write_text("\n".join(tiny_spec().vocab) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture(params=[FakeRuntime])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    runtime: FakeRuntime = request.param()

    def prepare(model: Path, folder: Path, questions: Path | None) -> Path:
        (folder / "prepared").write_text(f"{model} {questions}")
        return folder / "prepared"

    kind = RuntimeKind(
        name="fake",
        precision="f32",
        is_peer=True,
        requires=("json",),
        prepare=prepare,
        load=lambda prepared, threads: runtime,
    )
    monkeypatch.setattr(worker, "RUNTIMES", {"fake": kind})
    return runtime


def obey(*commands: Mapping[str, Any]) -> list[dict[str, Any]]:
    results = io.StringIO()
    serve(io.StringIO("".join(json.dumps(command) + "\n" for command in commands)), results)
    return [json.loads(line) for line in results.getvalue().splitlines()]


def load(model: Path) -> dict[str, Any]:
    return {
        "do": "load",
        "kind": "fake",
        "model": str(model),
        "prepared": "p",
        "threads": 1,
        "config": CONFIG.to_dict(),
    }


def test_a_model_is_prepared_into_the_folder_given(
    runtime: FakeRuntime, model: Path, tmp_path: Path
) -> None:
    prepare = {"do": "prepare", "kind": "fake", "model": str(model), "folder": str(tmp_path)}
    (result,) = obey({**prepare, "questions": None})
    assert result == {"prepared": str(tmp_path / "prepared")}
    assert (tmp_path / "prepared").read_text() == f"{model} None"
    obey({**prepare, "questions": "squad.json"})
    assert (tmp_path / "prepared").read_text() == f"{model} squad.json"


def test_forward_passes_are_timed_but_for_the_first(runtime: FakeRuntime, model: Path) -> None:
    forward = {"do": "forward", "batch": 2, "length": 20, "vocab_size": 9, "repeats": 3}
    loaded, timed = obey(load(model), forward)
    assert loaded.keys() == {"import_s", "load_s", "load_rss"}
    assert len(timed["seconds"]) == 3
    assert min(timed["seconds"]) > 0
    assert runtime.shapes == [(2, 20)] * 4


def test_a_runtime_without_a_way_of_its_own_is_read_for(runtime: FakeRuntime, model: Path) -> None:
    asked = {"do": "question", "question": "who?", "passages": ["the time traveller", "a lever"]}
    _, timed, peak = obey(load(model), asked, {"do": "peak"})
    assert timed["seconds"] > 0
    assert runtime.shapes
    assert peak.keys() == {"peak_rss"}


@pytest.mark.parametrize(
    ("runtime", "told"),
    [(FakeRuntime, None), (OpenRuntime, "beads, (1, 7)")],
    indirect=["runtime"],
)
def test_instructions_are_named_where_the_runtime_can(
    runtime: FakeRuntime, model: Path, told: str | None
) -> None:
    _, found = obey(load(model), {"do": "instructions", "length": 7, "vocab_size": 9})
    assert found == {"instructions": told}


def test_the_first_answer_is_a_forward_pass_where_nothing_is_asked(
    runtime: FakeRuntime, model: Path
) -> None:
    first = {"do": "first", "question": None, "passages": [], "length": 8, "vocab_size": 9}
    assert obey(load(model), first)[1] == {}
    assert runtime.shapes == [(1, 8)]
    obey(load(model), first | {"question": "who?", "passages": ["the time traveller"]})
    assert len(runtime.shapes) == 2


def test_answers_come_with_their_null_scores(
    runtime: FakeRuntime, model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "squad.json"
    data.write_text(json.dumps(SQUAD))
    _, result = obey(load(model), {"do": "spans", "data": str(data), "limit": 2})
    assert list(result["spans"]) == ["0", "2"]
    text, null_score_diff = result["spans"]["0"]
    assert text in "the time traveller"
    assert null_score_diff < 0  # the fake's logits rise: [CLS] is never the best


def test_what_comes_before_loading_is_a_mistake(runtime: FakeRuntime) -> None:
    with pytest.raises(ValueError, match="no runtime is loaded"):
        obey({"do": "question", "question": "who?", "passages": []})


def test_example_inputs_are_the_same_for_every_runtime() -> None:
    ids, types, mask = example_inputs(3, 20, 50)
    again, _, _ = example_inputs(3, 20, 50)
    assert (ids == again).all()
    assert ids.shape == types.shape == mask.shape == (3, 20)
    assert (ids.dtype, types.dtype, mask.dtype) == (np.int64, np.int64, np.bool_)
    assert 0 <= ids.min() <= ids.max() < 50
    assert mask.all()
    assert not types.any()


@pytest.mark.parametrize("module", ["torch", "numpy", "transformers", "onnxruntime", "openvino"])
def test_a_worker_begins_without_what_a_runtime_imports(module: str) -> None:
    check = f"import sys, squadlite.bench.worker; sys.exit({module!r} in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_what_libraries_print_does_not_mix_with_results() -> None:
    code = """
import os
from squadlite.bench import worker
worker.Session.peak = lambda self: os.write(1, b"noise") and print("more", flush=True) or {"a": 1}
worker.main()
"""
    finished = subprocess.run(
        [sys.executable, "-c", code],
        input='{"do": "peak"}\n',
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert finished.stdout == '{"a": 1}\n'
    assert finished.stderr == "noisemore\n"
