import pytest
import torch
from torch.nn import functional

from tools.losses import span_loss

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
