"""What training makes small. Every loss is a sum over the windows of a batch."""

import torch
from torch.nn import functional

from tools.soft_targets import SoftTargets

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
    targets: SoftTargets,
    *,
    temperature: float = 1.0,
) -> torch.Tensor:
    """
    - sum_c t_c log s_c over the tokens c that are kept of the teacher and the class of all others,
    for the starts and for the ends, the two added.

    The others are one class: of them only the sum is known. A guess such as an even spread would
    teach the student that guess; this asks nothing but that the sums agree, so that a student has
    the least loss exactly where all that is known of its teacher is true of it.

    Args:
        logits: the student's start and end logits, (B, T) each.
        mask: (B, T) bool, False on padding.
        targets: what the teacher says of the B windows, its logits divided by `temperature`.
        temperature: divides the student's logits; the loss is multiplied by its square, which
            keeps the gradients' size (Hinton et al. 2015).

    Returns:
        A scalar, summed over the B windows.

    Source: Deng & Looi 2020, section 3.3, but for the class of all others.
    """
    loss = torch.zeros((), device=mask.device)
    for student, positions, log_t in zip(logits, targets.positions, targets.log_probs, strict=True):
        log_s = (student.float().masked_fill(~mask, _PADDING) / temperature).log_softmax(dim=-1)
        others = log_s.scatter(-1, positions, _PADDING).logsumexp(dim=-1, keepdim=True)
        log_s = torch.cat([log_s.gather(-1, positions), others], dim=-1)
        loss = loss - (log_t.exp() * log_s).sum()
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
