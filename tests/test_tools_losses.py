import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tools.losses import group_span_loss, soft_span_loss
from tools.soft_targets import SoftTargets

MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])
ALONE = torch.tensor([0, 1])  # each window is its own group
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
    assert float(group_span_loss(logits, MASK, GOLD, ALONE)) == pytest.approx(expected, rel=1e-5)


def test_padding_has_no_part_in_the_loss() -> None:
    start, end = random_logits(0)
    other = start.clone()
    other[1, 3:] = 100
    losses = [group_span_loss((part, end), MASK, GOLD, ALONE) for part in (start, other)]
    assert torch.equal(*losses)


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


def soft_loss(
    student: tuple[torch.Tensor, torch.Tensor], teacher: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    probabilities = (teacher.masked_fill(~MASK, -torch.inf) / temperature).softmax(dim=-1)
    return soft_span_loss(
        student, MASK, SoftTargets.of(probabilities), ALONE, temperature=temperature
    )


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_soft_loss_is_the_papers_sum_where_all_tokens_are_kept(temperature: float) -> None:
    student, teacher = random_logits(0), random_logits(1)
    expected = 0.0
    for s, t in zip(student, teacher, strict=True):
        for row, length in enumerate((5, 3)):
            log_s = functional.log_softmax(s[row, :length] / temperature, dim=0)
            expected -= float(
                (functional.softmax(t[row, :length] / temperature, dim=0) * log_s).sum()
            )
    loss = soft_loss(student, torch.stack(teacher), temperature)
    assert float(loss) == pytest.approx(expected * temperature**2, rel=1e-5)


def test_the_soft_loss_joins_the_tokens_that_are_not_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 2, 1, 30, generator=generator)
    mask = torch.ones(1, 30, dtype=torch.bool)
    targets = SoftTargets.of(teacher.softmax(dim=-1))
    expected = 0.0
    for side in range(2):
        s, t = student[side, 0].softmax(dim=0), teacher[side, 0].softmax(dim=0)
        kept = targets.positions[side, 0].tolist()
        others = [token for token in range(30) if token not in kept]
        expected -= sum(float(t[token] * s[token].log()) for token in kept)
        expected -= float(t[others].sum() * s[others].sum().log())
    loss = soft_span_loss((student[0], student[1]), mask, targets, ALONE[:1])
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_student_has_the_least_loss_where_it_agrees_on_all_that_is_known() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher = 2 * torch.randn(2, 1, 30, generator=generator)
    mask = torch.ones(1, 30, dtype=torch.bool)
    targets = SoftTargets.of(teacher.softmax(dim=-1))
    student = teacher.clone()
    for side in range(2):
        others = sorted(set(range(30)) - set(targets.positions[side, 0].tolist()))
        student[side, 0, others] = student[side, 0, others[1:] + others[:1]]
    student.requires_grad_()
    soft_span_loss((student[0], student[1]), mask, targets, ALONE[:1]).backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6


def test_a_window_that_its_teacher_cannot_read_teaches_nothing() -> None:
    student = tuple(part.requires_grad_() for part in random_logits(0))
    soft_span_loss(student, MASK, SoftTargets.of(torch.zeros(2, 2, 5)), ALONE).backward()
    for part in student:
        assert part.grad is not None
        assert not part.grad.any()


def test_a_teacher_is_normalised_over_a_group_as_its_student_is() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 6, generator=generator)
    mask = torch.ones(3, 6, dtype=torch.bool)
    groups = torch.tensor([0, 0, 1])
    expected = 0.0
    for side in range(2):
        for windows in ([0, 1], [2]):
            s, t = (
                torch.cat([torch.zeros(1), (part - part[:, :1])[windows, 1:].flatten()])
                for part in (student[side], teacher[side])
            )
            expected -= float((t.softmax(dim=0) * s.log_softmax(dim=0)).sum())
    targets = SoftTargets.of(teacher.softmax(dim=-1))
    loss = soft_span_loss((student[0], student[1]), mask, targets, groups)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
