"""The fit against the definition: no other weights give a lower loss, and the slope there is 0."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.conditional_logit import Choices, fit_weights


def drawn(seed: int, *, questions: int = 60, features: int = 3) -> Choices:
    """Choices made by chance as the model says, some of them with several right ones."""
    chance = np.random.default_rng(seed)
    counts = chance.integers(1, 9, questions)
    table = chance.normal(size=(counts.sum(), features)) * [1.0, 10.0, 0.1] + [0.0, 5.0, -1.0]
    utilities = table @ [1.0, -0.1, 5.0] + 5.0
    is_right = np.zeros(counts.sum(), dtype=bool)
    for start, count in zip(np.cumsum(counts) - counts, counts, strict=True):
        weights = np.exp(np.append(utilities[start : start + count], 0.0))
        choice = chance.choice(count + 1, p=weights / weights.sum())
        if choice < count:
            is_right[start + choice] = True
            is_right[start + chance.integers(count)] = True
    return Choices(table, counts, is_right)


def loss(choices: Choices, weights: np.ndarray, bias: float, ridge: float) -> float:
    mean, scale = choices.features.mean(axis=0), choices.features.std(axis=0)
    penalized = np.append(weights * scale, bias + mean @ weights)
    total = 0.5 * ridge * float(penalized @ penalized)
    utilities = choices.features @ weights + bias
    start = 0
    for count in choices.counts.tolist():
        rows = slice(start, start + count)
        right = np.logaddexp.reduce(utilities[rows][choices.is_right[rows]], initial=-np.inf)
        total += np.logaddexp.reduce(utilities[rows], initial=0.0) - (
            right if choices.is_right[rows].any() else 0.0
        )
        start += count
    return float(total)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.1, 1.0, 10.0]))
def test_no_weights_nearby_are_better(seed: int, ridge: float) -> None:
    choices = drawn(seed)
    weights, bias = fit_weights(choices, ridge=ridge)
    best = loss(choices, weights, bias, ridge)
    chance = np.random.default_rng(seed)
    for size in (1e-3, 0.1, 1.0):
        change = size * chance.normal(size=4) / [1.0, 10.0, 0.1, 1.0]
        assert loss(choices, weights + change[:3], bias + change[3], ridge) >= best - 1e-9


def test_what_draws_the_choice_gets_its_sign() -> None:
    choices = drawn(0, questions=20_000)
    weights, _ = fit_weights(choices, ridge=1e-6)
    assert np.sign(weights).tolist() == [1.0, -1.0, 1.0]


def test_a_single_candidate_each_is_logistic_regression() -> None:
    values = np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]])
    is_right = np.array([True, False, False, True, True, False])
    weights, bias = fit_weights(Choices(values, np.ones(6, dtype=int), is_right), ridge=1e-9)
    assert bias == pytest.approx(np.log(1 / 2), abs=1e-6)
    assert weights[0] == pytest.approx(np.log(2 / 1) - np.log(1 / 2), abs=1e-6)


def test_a_feature_that_never_varies_has_no_weight() -> None:
    choices = drawn(1)
    constant = np.column_stack([choices.features, np.full(len(choices.features), 7.0)])
    weights, _ = fit_weights(Choices(constant, choices.counts, choices.is_right), ridge=1.0)
    assert weights[3] == 0.0
    assert weights[:3] == pytest.approx(fit_weights(choices, ridge=1.0)[0], rel=1e-6)


@pytest.mark.parametrize("right", [True, False])
def test_where_all_or_none_are_right_the_weights_stay_finite(right: bool) -> None:
    choices = drawn(2)
    same = Choices(choices.features, choices.counts, np.full(len(choices.is_right), right))
    weights, bias = fit_weights(same, ridge=1.0)
    assert np.isfinite([*weights, bias]).all()
    assert (np.median(choices.features @ weights + bias) > 0) == right


def test_the_same_choices_give_the_same_numbers() -> None:
    first, second = (fit_weights(drawn(3), ridge=1.0) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1] == second[1]
