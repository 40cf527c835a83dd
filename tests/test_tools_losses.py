import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tools.losses import group_span_loss, span_loss

MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])
GOLD = torch.tensor([3, 0]), torch.tensor([4, 0])


def random_logits(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 5, generator=generator), torch.randn(2, 5, generator=generator)


def test_the_loss_is_minus_the_mean_log_likelihood_of_start_and_end() -> None:
    logits = random_logits(0)
    expected = 0.0
    for part, gold in zip(logits, GOLD, strict=True):
        for row, length in enumerate((5, 3)):
            log_likelihood = functional.log_softmax(part[row, :length], dim=0)[gold[row]]
            expected -= float(log_likelihood) / 2
    assert float(span_loss(logits, MASK, GOLD)) == pytest.approx(expected, rel=1e-5)


def test_padding_has_no_part_in_the_loss() -> None:
    start, end = random_logits(0)
    other = start.clone()
    other[1, 3:] = 100
    assert torch.equal(span_loss((start, end), MASK, GOLD), span_loss((other, end), MASK, GOLD))


def test_a_group_of_one_window_has_the_loss_of_the_window() -> None:
    logits = random_logits(1)
    expected = span_loss(logits, MASK, GOLD)
    found = group_span_loss(logits, MASK, GOLD, torch.tensor([0, 1]))
    torch.testing.assert_close(found, expected)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_a_groups_spans_are_normalised_together_with_one_null(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n_windows, n_tokens = sum(sizes), 6
    logits = torch.randn(2, n_windows, n_tokens, generator=generator, dtype=torch.float64) * 4
    lengths = torch.randint(2, n_tokens + 1, (n_windows,), generator=generator)
    mask = torch.arange(n_tokens) < lengths[:, None]
    starts = torch.tensor(
        [int(torch.randint(0, int(n), (1,), generator=generator)) for n in lengths]
    )
    ends = torch.where(starts > 0, lengths - 1, 0)
    groups = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))

    expected = 0.0
    for group in range(len(sizes)):
        for part, gold in zip(logits, (starts, ends), strict=True):
            weights, right = [1.0], 0.0
            for window in (groups == group).nonzero().flatten().tolist():
                margins = (part[window] - part[window, 0]).exp()
                weights += margins[1 : lengths[window]].tolist()
                right += float(margins[gold[window]]) if gold[window] > 0 else 0.0
            expected -= math.log((right or 1.0) / sum(weights)) / 2
    found = group_span_loss((logits[0], logits[1]), mask, (starts, ends), groups)
    assert float(found) == pytest.approx(expected, rel=1e-9)
