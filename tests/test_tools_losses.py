import pytest
import torch
from torch.nn import functional

from tools.losses import soft_span_loss, span_loss
from tools.soft_targets import SoftTargets

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


def soft_loss(
    student: tuple[torch.Tensor, torch.Tensor], teacher: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    probabilities = (teacher.masked_fill(~MASK, -torch.inf) / temperature).softmax(dim=-1)
    return soft_span_loss(student, MASK, SoftTargets.of(probabilities), temperature=temperature)


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
    loss = soft_span_loss((student[0], student[1]), mask, targets)
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
    soft_span_loss((student[0], student[1]), mask, targets).backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6


def test_a_window_that_its_teacher_cannot_read_teaches_nothing() -> None:
    student = tuple(part.requires_grad_() for part in random_logits(0))
    soft_span_loss(student, MASK, SoftTargets.of(torch.zeros(2, 2, 5))).backward()
    for part in student:
        assert part.grad is not None
        assert not part.grad.any()
