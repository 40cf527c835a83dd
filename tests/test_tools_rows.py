import inspect
from itertools import pairwise
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config
from torch.nn import functional

from squadlite.model import QuestionAnsweringModel
from tools import rows
from tools.rows import FlashAttention, Inputs, RowAttention, last_hidden, read

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=5)


def windows(model: QuestionAnsweringModel, lengths: list[int]) -> Inputs:
    shape = len(lengths), max(lengths)
    generator = torch.Generator().manual_seed(sum(lengths))
    ids = torch.randint(model.config.vocab_size, shape, generator=generator)
    types = torch.randint(2, shape, generator=generator)
    return ids, types, torch.arange(shape[1]) < torch.tensor(lengths)[:, None]


def make_model(**changes: Any) -> QuestionAnsweringModel:
    return random_model(tiny_config(max_position_embeddings=40, **changes)).double()


FAMILIES = st.sampled_from([{}, {"relative_position_buckets": 32}, {"embedding_size": 5}])


@given(lengths=LENGTHS, changes=FAMILIES)
@settings(max_examples=20, deadline=None)
def test_rows_give_the_logits_of_padded_windows(
    lengths: list[int], changes: dict[str, Any]
) -> None:
    model = make_model(**changes)
    inputs = windows(model, lengths)
    mask = inputs[2]
    for found, expected in zip(read(model, inputs), model(*inputs), strict=True):
        torch.testing.assert_close(found[mask], expected[mask])
        assert not found[~mask].any()


@given(lengths=LENGTHS, changes=FAMILIES)
@settings(max_examples=20, deadline=None)
def test_rows_give_the_gradients_of_padded_windows(
    lengths: list[int], changes: dict[str, Any]
) -> None:
    def gradients(*, padded: bool) -> list[torch.Tensor]:
        model = make_model(**changes).requires_grad_(True)
        inputs = windows(model, lengths)
        start_logits, end_logits = model(*inputs) if padded else read(model, inputs)
        (start_logits - end_logits)[inputs[2]].square().sum().backward()
        return [part.grad for part in model.parameters() if part.grad is not None]

    for found, expected in zip(gradients(padded=False), gradients(padded=True), strict=True):
        torch.testing.assert_close(found, expected)


def test_hidden_states_stand_window_by_window() -> None:
    model = make_model()
    inputs = windows(model, [5, 9])
    hidden = last_hidden(model, inputs)
    assert hidden.shape == (14, model.config.hidden_size)
    alone = last_hidden(model, tuple(part[1:] for part in inputs))  # type: ignore[arg-type]
    torch.testing.assert_close(hidden[5:], alone)


def test_attention_stays_within_its_window() -> None:
    config = tiny_config()
    heads, lengths = config.num_heads, [3, 6]
    torch.manual_seed(1)
    query, key, value = torch.randn(3, 20, config.hidden_size)
    gathered = RowAttention(lengths, config)(query, key, value)
    for length, (first, _) in zip(lengths, pairwise([0, 3, 9]), strict=True):
        q, k, v = (
            part[first : first + length].view(length, heads, -1).transpose(0, 1)
            for part in (query, key, value)
        )
        expected = functional.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1)
        torch.testing.assert_close(gathered[first : first + length], expected)
    assert not gathered[sum(lengths) :].any()


def attend_in_turn(*arguments: Any) -> torch.Tensor:
    """As torch's `varlen_attn`, which only a GPU has: window by window, (rows, heads, width)."""
    if rows._flash_attention is not None:
        inspect.signature(rows._flash_attention).bind(*arguments)
    query, key, value, ends, same_ends, longest, same_longest = arguments
    assert ends.dtype == torch.int32
    assert torch.equal(ends, same_ends)
    assert longest == same_longest == int(ends.diff().max())
    gathered = [
        functional.scaled_dot_product_attention(
            *(part[first:last].transpose(0, 1) for part in (query, key, value))
        ).transpose(0, 1)
        for first, last in pairwise(ends.tolist())
    ]
    return torch.cat(gathered)


@given(lengths=LENGTHS)
@settings(max_examples=20, deadline=None)
def test_a_gpus_attention_is_given_rows_and_ends_of_windows(lengths: list[int]) -> None:
    config = tiny_config()
    torch.manual_seed(sum(lengths))
    query, key, value = torch.randn(3, sum(lengths), config.hidden_size)
    found = FlashAttention(attend_in_turn, torch.tensor(lengths), config)(query, key, value)
    torch.testing.assert_close(found, RowAttention(lengths, config)(query, key, value))
