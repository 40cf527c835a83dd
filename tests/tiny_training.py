"""A world small enough to train on in a test: who keeps which lighthouse."""

import json
import random
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner, Result
from tiny_models import tiny_config

from squadlite.model import Checkpoint, QuestionAnsweringModel, save_checkpoint

PLACES = ("north", "south", "east", "west", "far", "near", "high", "low")
NAMES = ("ada", "bo", "cy", "dee", "eve", "flo", "gus", "hal", "ida", "jo")
WORDS = ("who", "keeps", "the", "lighthouse", "in", "of", "and", "is", "old", "?", ".", ",")
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PLACES, *NAMES, *WORDS, "##s")


def write_squad(path: Path, n_paragraphs: int, *, seed: int = 0) -> Path:
    """Paragraphs of three facts each; two questions on each paragraph, the second unanswerable."""
    chance = random.Random(seed)
    paragraphs = [_paragraph(number, chance) for number in range(n_paragraphs)]
    content = {"version": "v2.0", "data": [{"title": "Tiny", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_checkpoint(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """A random model of the tiny world with its tokenizer; initialised as one that can learn."""
    defaults = {"vocab_size": len(PIECES), "hidden_size": 24, "max_position_embeddings": 48}
    config = tiny_config(**{**defaults, **changes})
    torch.manual_seed(seed)
    model = QuestionAnsweringModel(config)
    for name, parameter in model.named_parameters():
        if name.startswith("embeddings.") and parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    save_checkpoint(folder, Checkpoint(config, dict(model.state_dict())))
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return folder


def run_stage(command: Any, *arguments: object) -> Result:
    """Run a stage's command line in this process; an exception is a failed test."""
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, words, catch_exceptions=False)


def _paragraph(number: int, chance: random.Random) -> dict[str, Any]:
    places = chance.sample(PLACES, 4)
    names = chance.sample(NAMES, 3)
    facts = [
        f"{name} keeps the {place} lighthouse" for name, place in zip(names, places, strict=False)
    ]
    context = ", ".join(facts) + "."
    asked = chance.randrange(3)
    answer = {"text": names[asked], "answer_start": context.index(facts[asked])}
    return {
        "context": context,
        "qas": [
            _question(f"{number}-yes", places[asked], [answer]),
            _question(f"{number}-no", places[3], []),
        ],
    }


def _question(name: str, place: str, answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": name,
        "question": f"who keeps the {place} lighthouse?",
        "answers": answers,
        "is_impossible": not answers,
    }
