"""The teacher in ../shared: MPNet, whose pieces are BERT's under other numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from squadlite.answering.evaluate import spread
from squadlite.answering.metrics import squad_scores
from squadlite.answering.reader import ReaderSettings
from squadlite.answering.spans import TokenSpan, best_token_spans, make_reading
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from tools.data import Feature, make_features
from tools.folders import StageInput, load_input
from tools.settings import Precision, best_precision
from tools.soft_targets import SoftTargets
from tools.teacher import Teacher, load_teacher

pytest.importorskip("transformers", reason="comes with squadlite[train]")
pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def student(shared: Path) -> StageInput:
    return load_input(shared / "checkpoints" / "minilm-l6-squad2")


@pytest.fixture(scope="module")
def examples(shared: Path) -> list[SquadExample]:
    return list(spread(load_squad(shared / "data" / "cs224n-dev-v2.0.json"), 100))


def load(
    shared: Path, student: StageInput, examples: list[SquadExample], precision: Precision
) -> tuple[Teacher, list[Feature]]:
    features = make_features(examples, Tokenizer(student.spec), ReaderSettings())
    teacher = load_teacher(
        shared / "checkpoints" / "mpnet-squad2-teacher",
        student,
        examples,
        longest=max(map(len, features)),
        same_hidden=False,
        device=CPU,
        precision=precision,
    )
    return teacher, features


def dense_logs(targets: SoftTargets, row: int, n_tokens: int) -> np.ndarray:
    """(2, n_tokens) float32: the log probabilities that are kept; others are hardly likely."""
    laid_on = np.full((2, n_tokens), -30, dtype=np.float32)
    for side in range(2):
        # Unused positions are 0, so that [CLS], the first, has to come last.
        for k in reversed(range(targets.positions.shape[-1])):
            laid_on[side, targets.positions[side, row, k]] = targets.log_probs[side, row, k]
    return laid_on


def test_its_answers_are_those_to_berts_pieces_under_its_numbers(
    shared: Path, student: StageInput, examples: list[SquadExample]
) -> None:
    teacher, features = load(shared, student, examples[:4], "f32")
    for feature in features:
        window = feature.window
        ids = [0, *window.question_ids + 4, 2, 2, *window.context_ids + 4, 2]
        row = torch.tensor([ids])
        with torch.inference_mode():
            logits = torch.stack(teacher.model(row, torch.zeros_like(row), row != 1))[:, 0]
        left_out = window.context_start
        logits = torch.cat([logits[:, :left_out], logits[:, left_out + 1 :]], dim=1)
        expected = logits.log_softmax(dim=-1).numpy()
        found = dense_logs(teacher.ask([feature], temperature=1.0), 0, len(feature))
        kept = found > -30
        np.testing.assert_allclose(found[kept], expected[kept], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("share", [1, 2])
def test_it_answers_through_students_of_a_whole_and_of_half_a_vocabulary(
    shared: Path, student: StageInput, examples: list[SquadExample], share: int
) -> None:
    spec = student.spec
    student = replace(student, spec=spec.keep(range(len(spec.vocab) // share)))
    teacher, features = load(shared, student, examples, best_precision(CPU))
    found: dict[int, list[TokenSpan]] = {pair: [] for pair in range(len(examples))}
    for some, targets in teacher.ask_by_length(features, temperature=1.0, max_pass_tokens=1024):
        for row, feature in enumerate(some):
            found[feature.window.pair] += best_spans(feature, targets, row)
    best, diffs = {}, {}
    for pair, example in enumerate(examples):
        tokens = Tokenizer(student.spec).encode(example.context)
        reading = make_reading(example.context, tokens, found[pair], 0.0, 1)
        best[example.id], diffs[example.id] = reading.spans[0].text, reading.null_score_diff
    assert squad_scores(examples, best, diffs)["f1"] > 60


def best_spans(feature: Feature, targets: SoftTargets, row: int) -> list[TokenSpan]:
    """The best span of a window, counted in its context, with its margin above "no answer"."""
    laid_on = dense_logs(targets, row, len(feature))[:, None]
    window = feature.window
    place = np.arange(len(feature))[None]
    is_context = (place >= window.context_start) & (place < len(feature) - 1)
    (spans,) = best_token_spans(*laid_on, is_context, n_best=1, max_answer_length=30)
    null_score = float(laid_on[0, 0, 0] + laid_on[1, 0, 0])
    shifted = (span.shifted(window.first_token - window.context_start) for span in spans)
    return [replace(span, logit=span.logit - null_score) for span in shifted]
