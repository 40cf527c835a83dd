from contextlib import nullcontext

import numpy as np
import pytest
import torch
from tiny_models import tiny_config
from tiny_training import PIECES
from torch.nn import functional

from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import WordPieceSpec
from squadlite.answering.windows import Window
from squadlite.model import QuestionAnsweringModel
from tools.contrast import Contrast, ContrastSettings
from tools.data import Feature, Group
from tools.dropout import dropout
from tools.processes import Processes

TOKENIZER = Tokenizer(WordPieceSpec(vocab=PIECES))
SETTINGS = ContrastSettings(weight=0.5, temperature=0.1, negatives=1)


def feature(question: list[int], context: list[int], answer: tuple[int, int] | None) -> Feature:
    window = Window(0, np.array(question), np.array(context), 0, TOKENIZER.template)
    first, last = answer or (-window.context_start, -window.context_start)
    return Feature(0, window, window.context_start + first, window.context_start + last)


def group(number: int, *, answerable: bool = True, negatives: int = 2) -> Group:
    question = [5 + number, 20, 21]
    own = feature(question, [22, 5 + number, 13 + number, 24], (2, 2) if answerable else None)
    others = [feature(question, [22, 30, 24 + n], None) for n in range(negatives)]
    return Group("book", (own, *others))


def make_model() -> QuestionAnsweringModel:
    torch.manual_seed(5)
    return QuestionAnsweringModel(tiny_config(vocab_size=len(PIECES), max_position_embeddings=40))


def contrast(settings: ContrastSettings = SETTINGS, *, max_pass_tokens: int = 1000) -> Contrast:
    return Contrast(
        settings,
        TOKENIZER,
        Processes(0, 1, torch.device("cpu")),
        max_pass_tokens=max_pass_tokens,
        autocast=nullcontext,
    )


def backward(contrast: Contrast, model: QuestionAnsweringModel, batch: list[Group]) -> torch.Tensor:
    return contrast.backward(model, contrast.compare(batch))


def vector(model: QuestionAnsweringModel, ids: list[int]) -> torch.Tensor:
    input_ids = torch.tensor([[TOKENIZER.cls_id, *ids, TOKENIZER.sep_id]])
    embedded = model.embeddings(input_ids, torch.zeros_like(input_ids))

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        heads = model.config.num_heads
        q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (q, k, v))
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    return functional.normalize(model.encode(embedded, attend)[0].mean(dim=0), dim=0)


def plain_loss(model: QuestionAnsweringModel, n_groups: int) -> torch.Tensor:
    """The loss of `group(0..n-1)` in plain loops."""
    passages = [[22, 5 + n, 13 + n, 24] for n in range(n_groups)]
    negatives = [[22, 30, 24] for _ in range(n_groups)]
    losses = []
    for n in range(n_groups):
        question = vector(model, [5 + n, 20, 21])
        logits = torch.stack([question @ vector(model, p) / 0.1 for p in passages + negatives])
        losses.append(logits.logsumexp(0) - logits[n])
    return 0.5 * torch.stack(losses).mean()


@pytest.mark.parametrize("max_pass_tokens", [1, 1000])
def test_loss_and_gradients_are_those_of_the_whole_batch_at_once(max_pass_tokens: int) -> None:
    model, plain = make_model().requires_grad_(True), make_model().requires_grad_(True)
    batch = [group(n) for n in range(3)]
    loss = backward(contrast(max_pass_tokens=max_pass_tokens), model, batch)
    expected = plain_loss(plain, 3)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for found, parameter in zip(model.parameters(), plain.parameters(), strict=True):
        if parameter.grad is not None:
            torch.testing.assert_close(found.grad, parameter.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("max_pass_tokens", [1, 1000])
def test_gradients_are_those_of_the_vectors_compared_whatever_is_dropped(
    max_pass_tokens: int,
) -> None:
    model = make_model().train()
    embedded: list[torch.Tensor] = []
    with dropout(model, 0.3):
        # After the hook that drops.
        model.embeddings.register_forward_hook(lambda *call: embedded.append(call[2].detach()))
        backward(
            contrast(max_pass_tokens=max_pass_tokens), model, [group(number) for number in range(3)]
        )
    first, second = embedded[: len(embedded) // 2], embedded[len(embedded) // 2 :]
    assert all(map(torch.equal, first, second))
    assert any((part == 0).any() for part in first)


def test_a_passage_that_holds_the_answer_is_no_negative() -> None:
    model = make_model()
    own = group(0)
    # It holds piece 13, which answers the first question; its own answer is piece 25.
    answer_too = feature([6, 20, 21], [13, 24, 25], (2, 2))
    other = Group("book", (answer_too, feature([6, 20, 21], [23, 31], None)))
    alone = backward(contrast(), model, [own])
    with_hidden = contrast(ContrastSettings(weight=0.5, temperature=0.1, negatives=0))
    both = backward(with_hidden, model, [own, other])
    # Without negatives and with the other's passage left out the first question has no choice.
    question, passage = vector(model, [6, 20, 21]), vector(model, [13, 24, 25])
    wrong = vector(model, [22, 5, 13, 24])
    logits = torch.stack([question @ passage, question @ wrong]) / 0.1
    assert alone > 0
    torch.testing.assert_close(both, 0.5 * (logits.logsumexp(0) - logits[0]).detach() / 2)


@pytest.mark.parametrize("batch", [[group(0, answerable=False)], [group(0, negatives=0)], []])
def test_groups_that_tell_nothing_cost_nothing(batch: list[Group]) -> None:
    model = make_model().requires_grad_(True)
    assert backward(contrast(), model, batch) == 0
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("wrong", [{"weight": 0.0}, {"temperature": -1.0}, {"negatives": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="contrast"):
        ContrastSettings(**wrong)  # type: ignore[arg-type]
