"""What training makes small. Every loss is a sum over the groups or windows of a batch."""

import torch

from tools.soft_targets import SoftTargets

_PADDING = -1e4  # a logit whose exp is 0, and which 0 times is still a number


def group_span_loss(
    logits: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor,
    gold: tuple[torch.Tensor, torch.Tensor],
    groups: torch.Tensor,
) -> torch.Tensor:
    """
    Minus the log-likelihood of the gold starts and of the gold ends among a group's windows,
    averaged over the two.

    A window's logits are taken relative to its own [CLS]; then all tokens of the group and one
    null of 0 are normalised together. So a span's logits less its window's null score, which is
    the margin that answers are ranked by, compare across passages. Where several windows hold the
    answer, their probabilities add up. For a group of one window it is BERT's loss.

    Args:
        logits: start and end logits, (B, T) each.
        mask: (B, T) bool, False on padding.
        gold: start and end positions, (B,) int64 each; 0 where the window doesn't hold the answer.
        groups: (B,) int64, the group of each window, 0..G-1, ascending.

    Returns:
        A scalar, summed over the G groups.

    Source: Devlin et al. 2018; Deng & Looi 2020, section 3.1; Clark & Gardner 2018, section 3.3
    (shared normalisation); Wang et al. 2019.
    """
    n_groups = int(groups[-1]) + 1
    loss = torch.zeros((), device=mask.device)
    for part, positions in zip(logits, gold, strict=True):
        margins = part - part[:, :1]
        windows = margins.masked_fill(~mask, _PADDING)[:, 1:].logsumexp(dim=1)  # (B,)
        totals = _add_up(windows, groups, n_groups, beside=True)
        right = margins.gather(1, positions[:, None])[:, 0].masked_fill(positions == 0, _PADDING)
        found = _add_up(right, groups, n_groups, beside=False)
        has_answer = found > _PADDING / 2
        loss = loss + totals.sum() - found[has_answer].sum()
    return loss / 2


def _add_up(
    logs: torch.Tensor, groups: torch.Tensor, n_groups: int, *, beside: bool
) -> torch.Tensor:
    # (B,) logarithms -> (G,) of each group's sum, with a null of log 1 beside them.
    counts = torch.bincount(groups, minlength=n_groups)
    places = torch.arange(len(groups), device=groups.device) - (counts.cumsum(0) - counts)[groups]
    table = logs.new_full((n_groups, int(counts.max()) + 1), _PADDING)
    table = table.index_put((groups, places + 1), logs)
    if beside:
        table = table.index_fill(1, torch.zeros(1, dtype=torch.int64, device=table.device), 0.0)
    return table.logsumexp(dim=1)


def soft_span_loss(
    logits: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor,
    targets: SoftTargets,
    groups: torch.Tensor,
    *,
    temperature: float = 1.0,
) -> torch.Tensor:
    """
    - sum_c t_c log s_c over a group's classes c, for the starts and for the ends, the two added.

    The classes are the tokens that are kept of the teacher, for each window all its other tokens
    together, and one null. Both distributions are normalised over the group as in
    `group_span_loss`.

    The others are one class: of them only the sum is known. A guess such as an even spread would
    teach the student that guess; this asks nothing but that the sums agree, so that a student has
    the least loss exactly where all that is known of its teacher is true of it.

    Args:
        logits: the student's start and end logits, (B, T) each.
        mask: (B, T) bool, False on padding.
        targets: what the teacher says of the B windows, its logits divided by `temperature`.
        groups: (B,) int64, the group of each window, 0..G-1, ascending.
        temperature: divides the student's logits; the loss is multiplied by its square, which
            keeps the gradients' size (Hinton et al. 2015).

    Returns:
        A scalar, summed over the G groups. Windows that the teacher can't read have no part in it.

    Source: Deng & Looi 2020, section 3.3, but for the class of all others and the groups.
    """
    n_groups = int(groups[-1]) + 1
    loss = torch.zeros((), device=mask.device)
    for student, positions, log_t in zip(logits, targets.positions, targets.log_probs, strict=True):
        readable = log_t.isfinite().any(dim=-1)
        odds = log_t[:, 1:] - log_t[:, :1].clamp(min=_PADDING)  # (B, K)
        totals = _add_up(odds.logsumexp(dim=-1).clamp(min=_PADDING), groups, n_groups, beside=True)
        t = (odds - totals[groups][:, None]).exp()

        margins = (student - student[:, :1]).float().masked_fill(~mask, _PADDING) / temperature
        windows = margins[:, 1:].logsumexp(dim=-1).masked_fill(~readable, _PADDING)
        others = margins.scatter(-1, positions, _PADDING).logsumexp(dim=-1, keepdim=True)
        s = torch.cat([margins.gather(-1, positions[:, 1:]), others], dim=-1)
        loss = loss + _add_up(windows, groups, n_groups, beside=True).sum() - (t * s).sum()
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
