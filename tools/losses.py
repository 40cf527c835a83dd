"""What training makes small. Every loss is a sum over the windows of a batch."""

import torch
from torch.nn import functional

_PADDING = -1e4  # a logit whose exp is 0, and which 0 times is still a number


def span_loss(
    logits: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor,
    gold: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """
    Minus the log-likelihood of the gold start and of the gold end, averaged over the two.

    Args:
        logits: start and end logits, (B, T) each.
        mask: (B, T) bool, False on padding.
        gold: start and end positions, (B,) int64 each; 0 for no answer.

    Returns:
        A scalar, summed over the B windows.

    Source: Devlin et al. 2018; Deng & Looi 2020, section 3.1.
    """
    losses = [
        functional.cross_entropy(part.masked_fill(~mask, _PADDING), positions, reduction="sum")
        for part, positions in zip(logits, gold, strict=True)
    ]
    return (losses[0] + losses[1]) / 2
