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


def soft_span_loss(
    logits: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor,
    teacher_logits: tuple[torch.Tensor, torch.Tensor],
    *,
    temperature: float = 1.0,
) -> torch.Tensor:
    """
    - sum_i t_i log s_i over the tokens i, for the starts and for the ends, the two added.

    Args:
        logits: the student's start and end logits, (B, T) each.
        mask: (B, T) bool, False on padding.
        teacher_logits: the teacher's, (B, T) each.
        temperature: divides both logits; the loss is multiplied by its square, which keeps the
            gradients' size (Hinton et al. 2015).

    Returns:
        A scalar, summed over the B windows.

    Source: Deng & Looi 2020, section 3.3.
    """
    loss = torch.zeros((), device=mask.device)
    for student, teacher in zip(logits, teacher_logits, strict=True):
        t = (teacher.masked_fill(~mask, _PADDING) / temperature).softmax(dim=-1)
        log_s = (student.masked_fill(~mask, _PADDING) / temperature).log_softmax(dim=-1)
        loss = loss - (t * log_s).sum()
    return loss * temperature**2


def hidden_loss(
    hidden: list[torch.Tensor], mask: torch.Tensor, teacher_hidden: list[torch.Tensor]
) -> torch.Tensor:
    """
    Squared differences of hidden states, averaged over each window's tokens and all layers.

    Args:
        hidden: the student's, (B, T, hidden) after each executed layer.
        mask: (B, T) bool, False on padding.
        teacher_hidden: the teacher's, of the same shapes.

    Returns:
        A scalar, summed over the B windows.

    Source: Jiao et al. 2019 (TinyBERT), section 3.1.
    """
    loss = torch.zeros((), device=mask.device)
    for student, teacher in zip(hidden, teacher_hidden, strict=True):
        errors = (student.float() - teacher.float()).square().mean(dim=-1)  # (B, T)
        loss = loss + ((errors * mask).sum(dim=-1) / mask.sum(dim=-1)).sum()
    return loss / len(hidden)
