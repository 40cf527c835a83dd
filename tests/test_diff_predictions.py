"""What two models answer, side by side."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_files import model_config, random_arrays, write_model_file
from tiny_tokenizers import tiny_spec

from squadlite.answering.evaluate import EvaluationResult, evaluate
from squadlite.answering.reader import Reader
from squadlite.answering.squad import GoldAnswer, SquadExample
from squadlite.diff.predictions import Predictions, agreement, predict

CONTEXTS = (
    "The traveller built a machine of white ivory. The lever was the only thing that moved, and it "
    "moved so easily that a child might have pressed it by mistake.",
    "He kept the machine under a sheet.",
)
EXAMPLES = [
    SquadExample(f"{number}-{context}", question, text, (GoldAnswer("white ivory", 33),), "")
    for number, question in enumerate(("What was it made of?", "Who moved the lever?"))
    for context, text in enumerate(CONTEXTS)
]


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    return random_arrays(model_config())


def made(logits: dict[bytes, Any], answers: dict[str, str]) -> Predictions:
    return Predictions(EvaluationResult({}, answers, {}, {}, 0.0), logits)


def test_answers_and_scores_are_those_of_an_evaluation(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    model = write_model_file(tmp_path / "model.sqz", arrays=values)
    expected = evaluate(Reader.load(model, threads=1), EXAMPLES, limit=3)
    for threads in (1, 2):
        found = predict(model, EXAMPLES, limit=3, threads=threads)
        assert found.result.predictions == expected.predictions
        assert found.result.scores == pytest.approx(expected.scores)
        assert found.logits
        assert agreement(found, found).divergence == 0


def test_divergence_is_that_of_starts_and_ends_over_all_windows(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    name = "span_head.weight"
    other = values | {name: values[name] + np.float32(0.05)}
    a = predict(write_model_file(tmp_path / "a.sqz", arrays=values), EXAMPLES)
    b = predict(write_model_file(tmp_path / "b.sqz", arrays=other), EXAMPLES)
    total = 0.0
    for window, logits in a.logits.items():
        log_p, log_q = (
            torch.from_numpy(part).double().log_softmax(dim=1)
            for part in (logits, b.logits[window])
        )
        total += torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="sum").item()
    assert total > 0
    assert agreement(a, b).divergence == pytest.approx(total / len(a.logits))


@given(
    arrays(np.float32, (2, 5), elements=st.floats(-30, 30, width=32)), st.floats(-9, 9, width=32)
)
def test_divergence_knows_distributions_alone(logits: np.ndarray, shift: float) -> None:
    shifted = logits + np.float32(shift)
    found = agreement(made({b"w": logits}, {"q": ""}), made({b"w": shifted}, {"q": ""}))
    assert found.divergence == pytest.approx(0, abs=1e-5)
    turned = agreement(made({b"w": logits}, {"q": ""}), made({b"w": logits[:, ::-1]}, {"q": ""}))
    assert turned.divergence is not None
    assert turned.divergence >= 0


def test_windows_cut_otherwise_have_no_divergence(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    spec = tiny_spec()
    kept = range(len(spec.vocab) - 5)
    pruned = values | {"embeddings.word.weight": values["embeddings.word.weight"][: len(kept)]}
    a = predict(write_model_file(tmp_path / "a.sqz", arrays=values), EXAMPLES)
    b = predict(write_model_file(tmp_path / "b.sqz", arrays=pruned, spec=spec.keep(kept)), EXAMPLES)
    found = agreement(a, b)
    assert found.divergence is None
    assert found.n_questions == len(EXAMPLES)


def test_agreement_counts_answers_and_decisions() -> None:
    a = made({}, {"1": "ivory", "2": "", "3": "the lever", "4": ""})
    b = made({}, {"1": "ivory", "2": "", "3": "a child", "4": "he"})
    found = agreement(a, b)
    assert (found.n_questions, found.same_answers, found.same_decisions) == (4, 0.5, 0.75)
    assert found.divergence is None
