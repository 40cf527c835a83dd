import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import random_model, tiny_config
from tiny_teachers import write_teacher
from tiny_training import run_stage, write_checkpoint, write_squad

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.errors import DatasetError
from squadlite.model import load_checkpoint, load_model
from tools.errors import TrainingError
from tools.evaluation import evaluate_model
from tools.finetune import main as finetune
from tools.folders import STAGES_FILE
from tools.state import TrainingState, WorkFolder
from tools.training import trainable_model

ROOT = Path(__file__).resolve().parent.parent
QUICK = ("--device", "cpu", "--precision", "f32", "--learning-rate", "3e-3", "--log-steps", "1")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint and data to train and to score it on."""
    folder = tmp_path_factory.mktemp("world")
    write_checkpoint(folder / "start")
    write_squad(folder / "train.json", 60)
    write_squad(folder / "dev.json", 20, seed=1)
    return folder


def train(world: Path, output: Path, *options: object) -> list[dict[str, Any]]:
    """Fine-tune the world's checkpoint; returns the lines of its log."""
    arguments = (world / "start", output, "--data", world / "train.json", *QUICK, *options)
    result = run_stage(finetune, *arguments)
    assert result.exit_code == 0, result.output
    return read_log(output)


def read_log(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder).tensors


def assert_equal_models(one: Path, other: Path) -> None:
    others = tensors_of(other)
    assert all(torch.equal(tensor, others[name]) for name, tensor in tensors_of(one).items())


def test_training_lowers_the_loss(world: Path, tmp_path: Path) -> None:
    log = train(world, tmp_path / "out", "--epochs", 6)
    losses = [line["loss"] for line in log]
    assert sum(losses[-5:]) / 5 < 0.6 * sum(losses[:5]) / 5
    assert [line["step"] for line in log] == list(range(1, 61))
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_the_log_has_means_over_its_steps_and_the_last_step(world: Path, tmp_path: Path) -> None:
    each = train(world, tmp_path / "each", "--epochs", 1)
    some = train(world, tmp_path / "some", "--epochs", 1, "--log-steps", 4)
    assert [line["step"] for line in some] == [4, 8, 10]
    losses = [line["loss"] for line in each]
    means = [sum(losses[:4]) / 4, sum(losses[4:8]) / 4, sum(losses[8:]) / 2]
    assert [line["loss"] for line in some] == pytest.approx(means)


def test_a_budget_counts_what_was_spent_before_a_stop(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--epochs", 10_000, "--max-seconds", 1, "--save-minutes", 0)
    save = WorkFolder.save

    def save_and_stop(work: WorkFolder, state: TrainingState) -> None:
        save(work, state)
        if state.seconds > 0.5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "save", save_and_stop)
        with pytest.raises(AssertionError, match="Aborted"):
            train(world, tmp_path / "out", *options)
    log = train(world, tmp_path / "out", *options, "--resume")
    seconds = [line["seconds"] for line in log]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 0.5


def test_one_seed_gives_one_model_and_another_another(world: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(world, tmp_path / name, "--epochs", 0.5, "--seed", seed)
    assert_equal_models(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_equal_models(tmp_path / "a", tmp_path / "c")


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-4), ("bf16", 2e-2)])
def test_accumulated_passes_give_the_gradients_of_one(
    world: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    options = ("--epochs", 1, "--dropout", 0, "--precision", precision)
    whole = train(world, tmp_path / "whole", *options)
    parts = train(world, tmp_path / "parts", *options, "--max-pass-tokens", 60)
    assert [line["loss"] for line in parts] == pytest.approx(
        [line["loss"] for line in whole], abs=tolerance
    )


def test_frozen_embeddings_stay(world: Path, tmp_path: Path) -> None:
    train(world, tmp_path / "out", "--epochs", 0.2, "--freeze-embeddings")
    before, after = tensors_of(world / "start"), tensors_of(tmp_path / "out")
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    assert same == {name for name in before if name.startswith("embeddings.")}


def test_bf16_computes_about_the_same(world: Path, tmp_path: Path) -> None:
    options = ("--epochs", 0.5, "--dropout", 0)
    full = train(world, tmp_path / "full", *options)
    half = train(world, tmp_path / "half", *options, "--precision", "bf16")
    assert [line["loss"] for line in half] == pytest.approx(
        [line["loss"] for line in full], rel=0.05
    )


def test_words_that_do_not_occur_learn_nothing_and_others_as_from_dense_gradients() -> None:
    torch.manual_seed(0)
    model = trainable_model(
        random_model(tiny_config(vocab_size=50)), torch.device("cpu"), freeze_embeddings=False
    )
    ids = torch.randint(10, 20, (3, 8))
    inputs = ids, torch.zeros_like(ids), torch.ones(3, 8, dtype=torch.bool)
    weight = model.embeddings.word.weight

    def gradient(*, sparse: bool) -> torch.Tensor:
        model.embeddings.word.sparse = sparse
        weight.grad = torch.zeros_like(weight)
        for _ in range(2):
            model(*inputs)[0].sum().backward()  # type: ignore[no-untyped-call]
        return weight.grad

    found = gradient(sparse=model.embeddings.word.sparse)
    torch.testing.assert_close(found, gradient(sparse=False))
    assert {int(row) for row in found.any(dim=1).nonzero()} == set(ids.unique().tolist())


def test_shared_layers_learn_from_each_of_their_uses(tmp_path: Path) -> None:
    write_squad(tmp_path / "train.json", 4)
    write_checkpoint(tmp_path / "start", num_layers=3, layer_map=(0, 1, 0))
    train(tmp_path, tmp_path / "out", "--epochs", 1)
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.config.layer_map == (0, 1, 0)
    before = tensors_of(tmp_path / "start")
    assert not any(torch.equal(before[name], t) for name, t in checkpoint.tensors.items() if t.ndim)


def test_a_time_budget_ends_a_long_training_with_a_rate_near_zero(
    world: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    log = train(world, tmp_path / "out", "--epochs", 10_000, "--max-seconds", 1)
    assert time.monotonic() - began < 60  # ten thousand epochs take minutes
    assert log[-1]["rate"] < 0.3 * max(line["rate"] for line in log)


def test_the_best_checkpoint_is_kept(world: Path, tmp_path: Path) -> None:
    # The rate rises nearly to the end, and training does harm: the first evaluation is the best.
    options = ("--evaluate", world / "dev.json", "--evaluate-steps", 5, "--evaluate-limit", 20)
    log = train(world, tmp_path / "out", "--epochs", 3, "--warmup", 0.9, *options)
    scores = [line["score"] for line in log if "score" in line]
    (stage,) = json.loads((tmp_path / "out" / "stages.json").read_text())
    assert len(scores) == 6
    assert stage["best_score"] == max(scores) > scores[-1]
    kept, tokenizer = load_model(tmp_path / "out"), Tokenizer(TokenizerSpec.load(tmp_path / "out"))
    windows = ReaderSettings().within(48)
    examples = load_squad(world / "dev.json")
    found = evaluate_model(kept, tokenizer, examples, limit=20, settings=windows)
    assert found["f1"] == max(scores)


def test_a_loss_that_is_no_number_stops_the_training(world: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / STAGES_FILE).touch()
    with pytest.raises(TrainingError, match=r"step \d+: found a (loss|gradient norm) of"):
        train(world, output, "--learning-rate", 1e20)
    assert [path.name for path in output.iterdir()] == [STAGES_FILE]


def test_answers_that_do_not_match_their_text_are_refused(world: Path, tmp_path: Path) -> None:
    content = (world / "train.json").read_text().replace('"answer_start": ', '"answer_start": 1')
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(DatasetError, match="match their text"):
        train(world, tmp_path / "out", "--data", tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((option, -1) for option in ("--epochs", "--batch-size", "--warmup", "--log-steps")),
        *(("--epochs", "inf"), ("--max-seconds", "nan"), ("--learning-rate", "nan")),
    ],
)
def test_settings_out_of_range_are_usage_errors(
    world: Path, tmp_path: Path, option: str, value: object
) -> None:
    arguments = (world / "start", tmp_path / "out", "--data", world / "train.json", option, value)
    result = run_stage(finetune, *arguments)
    assert result.exit_code == 2
    assert option.strip("-").replace("-", "_") in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_in_one_line(world: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="device cuda: found no GPU"):
        train(world, tmp_path / "out", "--device", "cuda")


def test_a_training_killed_and_resumed_ends_with_the_same_weights(
    world: Path, tmp_path: Path
) -> None:
    options = ("--epochs", "40", "--evaluate", str(world / "dev.json"), "--evaluate-steps", "100")
    whole = train(world, tmp_path / "whole", *options)

    output, saved = tmp_path / "killed", ("--save-minutes", "0.001")
    command = [sys.executable, "-m", "tools.finetune", world / "start", output, "--data"]
    command += [world / "train.json", *QUICK, *options, *saved]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ)
    log = tmp_path / "killed.training" / "log.jsonl"
    deadline = time.monotonic() + 300  # other programs may keep the cores busy
    while not (log.exists() and log.read_text().count("\n") > 150):
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert (log.parent / "state.pt").is_file()
    assert not output.exists()
    resumed = train(world, output, *options, *saved, "--resume")
    assert_equal_models(output, tmp_path / "whole")
    timeless = [{k: v for k, v in line.items() if k != "seconds"} for line in resumed]
    assert timeless == [{k: v for k, v in line.items() if k != "seconds"} for line in whole]


# All of what trains the default model: a question's passages together, vectors, packed weights.
BOOKS = (
    *("--group-passages", "--contrast-weight", "0.5", "--max-pass-tokens", "400"),
    *("--quantize-bits", "4", "--quantize-per", "group"),
)


def test_a_training_for_books_goes_on_where_it_was_stopped(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--epochs", 4, "--batch-size", 3, "--save-minutes", 0, *BOOKS)
    train(world, tmp_path / "whole", *options)
    save = WorkFolder.save

    def save_and_stop(work: WorkFolder, state: TrainingState) -> None:
        save(work, state)
        if state.step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "save", save_and_stop)
        with pytest.raises(AssertionError, match="Aborted"):
            train(world, tmp_path / "stopped", *options)
    log = train(world, tmp_path / "stopped", *options, "--resume")
    assert log[-1]["step"] > 8
    assert_equal_models(tmp_path / "stopped", tmp_path / "whole")
    said = json.loads((tmp_path / "stopped" / "squadlite.json").read_text())
    assert said["embedding"]["pooling"] == "mean"


@pytest.mark.parametrize("extra", [(), BOOKS])
def test_two_processes_train_as_one(world: Path, tmp_path: Path, extra: tuple[str, ...]) -> None:
    options = ("--epochs", "1.5", "--dropout", "0", "--batch-size", "11", *extra)
    alone = train(world, tmp_path / "alone", *options)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += ["2", "-m", "tools.finetune", world / "start", tmp_path / "pair", "--data"]
    command += [world / "train.json", *QUICK, *options]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    pair = read_log(tmp_path / "pair")
    assert [line["loss"] for line in pair] == pytest.approx(
        [line["loss"] for line in alone], abs=1e-3
    )
    (stage,) = json.loads((tmp_path / "pair" / "stages.json").read_text())
    assert stage["processes"] == 2


def test_a_student_comes_nearer_to_its_teacher(world: Path, tmp_path: Path) -> None:
    train(world, tmp_path / "teacher", "--epochs", 3)
    options = ("--epochs", 2, "--teacher", tmp_path / "teacher", "--dropout", 0)
    log = train(world, tmp_path / "student", *options, "--hard-weight", 0, "--hidden-weight", 1)
    losses = [line["loss"] for line in log]
    assert losses[-1] < 0.8 * losses[0]
    options += ("--teacher-cache", tmp_path / "answers")
    train(world, tmp_path / "kept", *options)
    (kept,) = (tmp_path / "answers").iterdir()
    (part,) = kept.iterdir()
    written = part.stat().st_mtime_ns
    train(world, tmp_path / "again", *options)
    assert_equal_models(tmp_path / "kept", tmp_path / "again")
    assert part.stat().st_mtime_ns == written
    (stage,) = json.loads((tmp_path / "student" / "stages.json").read_text())
    assert stage["teaching"]["hidden_weight"] == 1


@pytest.mark.filterwarnings("ignore")  # transformers' own
@pytest.mark.parametrize("kind", ["mpnet", "roberta"])
def test_a_teacher_of_another_kind_teaches_with_and_without_a_cache(
    world: Path, tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("transformers", reason="comes with squadlite[train]")
    teacher = write_teacher(tmp_path / "teacher", kind, ["who keeps the lighthouse?"])
    options = ("--epochs", 0.5, "--teacher", teacher, "--dropout", 0, "--hard-weight", 0)
    beside = train(world, tmp_path / "beside", *options)
    kept = train(world, tmp_path / "kept", *options, "--teacher-cache", tmp_path / "answers")
    assert [line["loss"] for line in kept] == pytest.approx(
        [line["loss"] for line in beside], rel=1e-2
    )
