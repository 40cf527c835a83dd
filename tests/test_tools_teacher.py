from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import random_model, tiny_config
from tiny_teachers import own_teacher, write_teacher
from tiny_training import PIECES, run_stage, write_checkpoint, write_squad

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import WordPieceSpec
from tools.data import Feature, make_features
from tools.errors import TrainingError
from tools.folders import StageInput, load_input
from tools.prune_vocab import main as prune_vocab
from tools.soft_targets import SoftTargets
from tools.teacher import Teacher, load_teacher

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own

CPU = torch.device("cpu")
SHORT = ReaderSettings(max_seq_length=20, max_question_length=12, doc_stride=4)
TOKENIZER = Tokenizer(WordPieceSpec(vocab=PIECES))
KINDS = ("mpnet", "bert", "roberta")


class World:
    """Windows of the tiny world, and a teacher of every kind of transformers."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("transformers", reason="comes with squadlite[train]")
        self.examples = load_squad(write_squad(folder / "squad.json", 4))
        self.student = load_input(write_checkpoint(folder / "student"))
        self.features = make_features(self.examples, TOKENIZER, SHORT)
        texts = [example.context for example in self.examples[:2]]
        self.folders = {kind: write_teacher(folder / kind, kind, texts) for kind in KINDS}

    def load(self, folder: Path, *, student: StageInput | None = None, **options: Any) -> Teacher:
        settings = {"longest": 20, "same_hidden": False, "device": CPU, "precision": "f32"}
        return load_teacher(folder, student or self.student, self.examples, **settings | options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def dense(targets: SoftTargets, row: int, n_tokens: int) -> np.ndarray:
    """(2, n_tokens): the probabilities that are kept, and 0."""
    laid_on = np.zeros((2, n_tokens))
    for side in range(2):
        positions = targets.positions[side, row].tolist()
        log_probs = targets.log_probs[side, row].tolist()
        for position, log_prob in zip(positions, log_probs, strict=False):
            laid_on[side, position] += np.exp(log_prob)
    return laid_on


def slow_answer(
    folder: Path, feature: Feature, example: SquadExample, temperature: float
) -> np.ndarray:
    """(2, n_tokens): ask transformers' own pipeline about one window, and go by the characters."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    student = TOKENIZER.encode(example.context).offsets
    student = student[feature.window.first_token :][: len(feature.window.context_ids)]
    first, last = int(student[0, 0]), int(student[-1, 1])
    pair = tokenizer(
        example.question, example.context, return_offsets_mapping=True, return_tensors="pt"
    )
    parts = pair.sequence_ids()
    offsets = pair.pop("offset_mapping")[0].tolist()
    shown = [
        place
        for place, (start, end) in enumerate(offsets)
        if parts[place] != 1 or (end > first and start < last)
    ]
    with torch.inference_mode():
        output = model(**{name: part[:, shown] for name, part in pair.items()})
    question = TOKENIZER.encode(example.question).offsets
    context_start = feature.window.context_start
    homes = {
        0: 0,
        len(parts) - 1: len(feature) - 1,
        parts.index(0) + parts.count(0): context_start - 1,
    }
    laid_on = np.zeros((2, len(feature)))
    for side, logits in enumerate((output.start_logits[0], output.end_logits[0])):
        for place, weight in zip(shown, (logits / temperature).exp().tolist(), strict=True):
            if parts[place] is None:
                home = homes.get(place, -1)
            else:
                character = offsets[place][side] - side
                tokens = student if parts[place] else question
                (held,) = (i for i, (a, b) in enumerate(tokens) if a <= character < b)
                home = held + (context_start if parts[place] else 1)
            if home >= 0:
                laid_on[side, home] += weight
    return laid_on / laid_on.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_answers_lie_where_a_slow_walk_lays_them(
    world: World, kind: str, temperature: float
) -> None:
    teacher = world.load(world.folders[kind])
    features = world.features[:3]
    targets = teacher.ask(features, temperature=temperature)
    for row, feature in enumerate(features):
        example = world.examples[feature.window.pair]
        expected = slow_answer(world.folders[kind], feature, example, temperature)
        found = dense(targets, row, len(feature))
        kept = found > 0
        np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-3, atol=1e-6)
        rest = targets.log_probs[:, row, -1].exp().numpy()
        np.testing.assert_allclose(found.sum(axis=1) + rest, 1, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_has_the_same_answer_in_any_company(world: World, kind: str) -> None:
    teacher = world.load(world.folders[kind])
    together = teacher.ask(world.features, temperature=1.0)
    rows = {feature.number: row for row, feature in enumerate(world.features)}
    n_asked = 0
    for some, targets in teacher.ask_by_length(
        world.features, temperature=1.0, max_pass_tokens=100
    ):
        assert len(some) == 1 or len(some) * max(map(len, some)) <= 100
        for row, feature in enumerate(some):
            other = dense(together, rows[feature.number], len(feature))
            np.testing.assert_allclose(dense(targets, row, len(feature)), other, atol=1e-5)
        n_asked += len(some)
    assert n_asked == len(world.features)


def test_our_own_kind_reads_as_transformers_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = world.load(world.folders["bert"]).ask(world.features, temperature=1.0)
    monkeypatch.setattr("tools.teacher.is_ours", lambda folder: False)
    theirs = world.load(world.folders["bert"]).ask(world.features, temperature=1.0)
    torch.testing.assert_close(ours.log_probs.exp(), theirs.log_probs.exp(), atol=1e-4, rtol=1e-3)


def test_a_pruned_student_is_taught_by_the_whole_vocabulary(world: World, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("who keeps the north lighthouse in of and is ?", encoding="utf-8")
    arguments = (world.student.folder, tmp_path / "pruned", "--corpus", corpus, "--size", 24)
    assert run_stage(prune_vocab, *arguments).exit_code == 0
    student = load_input(tmp_path / "pruned")
    features = make_features(world.examples, Tokenizer(student.spec), SHORT)
    for kind in KINDS:
        teacher = world.load(world.folders[kind], student=student)
        targets = teacher.ask(features, temperature=1.0)
        whole = targets.log_probs.exp().sum(dim=-1)
        torch.testing.assert_close(whole, torch.ones_like(whole))


def test_a_window_too_long_for_its_teacher_has_no_answer(world: World) -> None:
    teacher = world.load(world.folders["mpnet"])
    by_length = sorted(world.features, key=len)
    teacher.n_positions = len(by_length[0]) + 1
    targets = teacher.ask([by_length[0], by_length[-1]], temperature=1.0)
    assert targets.log_probs[:, 0].isfinite().any()
    assert targets.log_probs[:, 1].isneginf().all()


def test_a_damaged_teacher_is_refused(world: World) -> None:
    model = random_model(tiny_config(vocab_size=len(PIECES), max_position_embeddings=48))
    with torch.no_grad():
        model.span_head.bias[0] = torch.nan
    with pytest.raises(TrainingError, match="not finite"):
        own_teacher(model, TOKENIZER).ask(world.features[:2], temperature=1.0)


def test_hidden_states_are_compared_with_a_model_alike_alone(world: World, tmp_path: Path) -> None:
    wide = write_checkpoint(tmp_path / "wide", hidden_size=36)
    assert world.load(wide).n_positions == 48
    with pytest.raises(TrainingError, match="hidden_size 36, expected 24"):
        world.load(wide, same_hidden=True)
    cased = replace(world.student, spec=replace(world.student.spec, lowercase=False))
    with pytest.raises(TrainingError, match="other tokens"):
        world.load(wide, student=cased, same_hidden=True)
    with pytest.raises(TrainingError, match="other tokens"):
        world.load(world.folders["mpnet"], same_hidden=True)


def test_too_few_positions_are_refused(world: World) -> None:
    # RoBERTa's kind begins to count its 80 positions behind that of padding, which is 1.
    assert world.load(world.folders["mpnet"], longest=77).n_positions == 78
    with pytest.raises(TrainingError, match="found 78 positions, expected 79"):
        world.load(world.folders["mpnet"], longest=78)
    assert world.load(world.folders["bert"], longest=80).n_positions == 80
