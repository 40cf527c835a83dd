from pathlib import Path

import pytest
import torch
from tiny_training import run_stage, write_checkpoint, write_squad

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.model import Checkpoint, load_checkpoint, model_from_checkpoint
from tools.balance_null import main, null_direction
from tools.data import make_features, passes
from tools.evaluation import evaluate_model
from tools.finetune import main as finetune
from tools.folders import load_stages, write_output
from tools.rows import last_hidden

WINDOWS = ReaderSettings().within(48)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on its tiny world."""
    folder = tmp_path_factory.mktemp("world")
    write_checkpoint(folder / "start")
    write_squad(folder / "train.json", 60)
    options = ("--data", folder / "train.json", "--epochs", 60, "--learning-rate", "3e-3")
    run_stage(finetune, folder / "start", folder / "tuned", *options, "--device", "cpu")
    return folder


def f1(folder: Path, data: Path) -> dict[str, float]:
    model = model_from_checkpoint(load_checkpoint(folder))
    return evaluate_model(model, Tokenizer(TokenizerSpec.from_folder(folder)), load_squad(data))


def test_a_direction_tells_cls_from_all_other_tokens(world: Path) -> None:
    model = model_from_checkpoint(load_checkpoint(world / "tuned")).eval()
    tokenizer = Tokenizer(TokenizerSpec.from_folder(world / "tuned"))
    features = make_features(load_squad(world / "train.json"), tokenizer, WINDOWS)
    direction, error = null_direction(model, passes(features, 500, tokenizer))
    errors = []
    for batch in passes(features, 500, tokenizer):
        with torch.inference_mode():
            along = last_hidden(model, batch.inputs) @ direction
        lengths = batch.attention_mask.sum(dim=1)
        first = torch.zeros(len(along), dtype=torch.bool)
        first[lengths.cumsum(0) - lengths] = True
        errors.append((along[first] - 1).square().mean() + along[~first].square().mean())
    assert error < 0.2
    assert float(torch.stack(errors).mean() / 2) ** 0.5 == pytest.approx(error, rel=0.2)


def test_the_best_threshold_comes_nearer_to_0(world: Path, tmp_path: Path) -> None:
    # [CLS] is pushed down: hardly a question is left unanswered.
    checkpoint = load_checkpoint(world / "tuned")
    model = model_from_checkpoint(checkpoint).eval()
    tokenizer = Tokenizer(TokenizerSpec.from_folder(world / "tuned"))
    features = make_features(load_squad(world / "train.json"), tokenizer, WINDOWS)
    direction, _ = null_direction(model, passes(features, 500, tokenizer))
    head = checkpoint.tensors["span_head.weight"] - 4 * direction
    spoiled = Checkpoint(checkpoint.config, {**checkpoint.tensors, "span_head.weight": head})
    with write_output(tmp_path / "spoiled", spoiled, {"stage": "x"}, source=world / "tuned"):
        pass

    data = world / "train.json"
    result = run_stage(main, tmp_path / "spoiled", tmp_path / "balanced", "--data", data)
    assert result.exit_code == 0, result.output
    before, after = f1(tmp_path / "spoiled", data), f1(tmp_path / "balanced", data)
    assert after["f1"] > before["f1"] + 5
    assert abs(after["best_f1_thresh"]) < abs(before["best_f1_thresh"]) / 2
    assert load_stages(tmp_path / "balanced")[-1]["shift"] > 2
