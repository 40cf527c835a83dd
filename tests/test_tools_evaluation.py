from pathlib import Path

import torch
from tiny_training import write_checkpoint, write_squad

from squadlite.answering.evaluate import evaluate
from squadlite.answering.reader import Reader
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.convert import convert
from squadlite.model import TorchScorer, load_checkpoint, load_model
from tools.evaluation import evaluate_model, score_path


def test_a_model_in_training_is_scored_as_a_reader_scores_it(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    examples = load_squad(write_squad(tmp_path / "data.json", 20))
    model = load_model(tmp_path / "in")
    tokenizer = Tokenizer(TokenizerSpec.load(tmp_path / "in"))
    expected = evaluate(Reader(TorchScorer(model), tokenizer, threads=1), examples, limit=15).scores
    model.train()
    assert evaluate_model(model, tokenizer, examples, limit=15) == expected
    assert model.training
    assert all(not module._forward_hooks for module in model.modules())


def test_folders_and_files_are_counted_and_scored(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "in", num_layers=4, layer_map=(0, 0, 1, 1))
    examples = load_squad(write_squad(tmp_path / "data.json", 5))
    convert(folder, tmp_path / "in.sqz", bits=16)
    stored = sum(tensor.numel() for tensor in load_checkpoint(folder).tensors.values())
    for path in (folder, tmp_path / "in.sqz"):
        num_parameters, scores = score_path(path, examples)
        assert num_parameters == stored
        assert scores is not None
        assert scores["total"] == 10
    assert score_path(folder, None) == (stored, None)


def test_scoring_leaves_gradients_alone(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    examples = load_squad(write_squad(tmp_path / "data.json", 2))
    model = load_model(tmp_path / "in")
    model.requires_grad_(True)
    evaluate_model(model, Tokenizer(TokenizerSpec.load(tmp_path / "in")), examples)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.is_grad_enabled()
