import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.answering.windows import (
    TEMPLATES,
    Template,
    batches_by_length,
    pad_batch,
    split_into_windows,
)

CLS, SEP, PAD = 1, 2, 3
NAMED = {name: Template.named(name, cls_id=CLS, sep_id=SEP, pad_id=PAD) for name in TEMPLATES}
SIZES = st.integers(0, 60)


def ids(length: int, first: int = 100) -> np.ndarray:
    return np.arange(first, first + length)


def split(
    n_question: int, n_context: int, *, room: int = 20, doc_stride: int = 8, name: str = "bert"
) -> list:
    return list(
        split_into_windows(
            7,
            ids(n_question),
            ids(n_context, 1000),
            NAMED[name],
            max_seq_length=room + min(n_question, 5) + NAMED[name].n_special,
            max_question_length=5,
            doc_stride=doc_stride,
        )
    )


@given(SIZES, SIZES, st.integers(1, 30), st.integers(1, 40), st.sampled_from(sorted(TEMPLATES)))
def test_windows_cover_the_context_and_fit(
    n_question: int, n_context: int, room: int, doc_stride: int, name: str
) -> None:
    windows = split(n_question, n_context, room=room, doc_stride=doc_stride, name=name)
    n_special = {"bert": 3, "roberta": 4}[name]
    covered = np.zeros(n_context, dtype=bool)
    for window in windows:
        assert 0 < len(window.context_ids) <= room
        assert len(window) == min(n_question, 5) + len(window.context_ids) + n_special
        assert window.question_ids.tolist() == ids(min(n_question, 5)).tolist()
        assert window.context_ids[0] == 1000 + window.first_token
        covered[window.first_token : window.first_token + len(window.context_ids)] = True
    assert covered.all()
    starts = [window.first_token for window in windows]
    assert starts == [i * min(doc_stride, room) for i in range(len(windows))]


def test_no_window_begins_after_the_contexts_end_is_in_one() -> None:
    assert [len(window.context_ids) for window in split(3, 28)] == [20, 20]
    assert [len(window.context_ids) for window in split(3, 29)] == [20, 20, 13]


def test_an_empty_context_has_no_window() -> None:
    assert split(3, 0) == []


@given(st.lists(st.integers(1, 20), max_size=40), st.integers(1, 100))
def test_batches_hold_every_window_once_within_the_budget(
    lengths: list[int], max_batch_tokens: int
) -> None:
    windows = [window for length in lengths for window in split(2, length)]
    batches = list(batches_by_length(windows, max_batch_tokens))
    assert sorted(id(w) for batch in batches for w in batch) == sorted(map(id, windows))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(map(len, batch)) <= max_batch_tokens
    in_order = [len(window) for batch in batches for window in batch]
    assert in_order == sorted(in_order, reverse=True)


@given(
    st.lists(st.tuples(SIZES, st.integers(1, 60)), min_size=1, max_size=6),
)
def test_a_padded_batch_is_what_bert_takes(sizes: list[tuple[int, int]]) -> None:
    windows = [split(*size)[-1] for size in sizes]
    batch = pad_batch(windows)
    length = max(map(len, windows))
    for row, window in enumerate(windows):
        question, context = window.question_ids.tolist(), window.context_ids.tolist()
        padding = length - len(window)
        n_first = len(question) + 2
        assert batch.input_ids[row].tolist() == (
            [CLS, *question, SEP, *context, SEP] + [PAD] * padding
        )
        n_second = len(context) + 1
        assert batch.token_type_ids[row].tolist() == [0] * n_first + [1] * n_second + [0] * padding
        assert batch.attention_mask[row].sum() == len(window)
        assert batch.input_ids[row, batch.context_mask[row]].tolist() == context
        assert window.context_start == n_first


@given(
    st.lists(st.tuples(SIZES, st.integers(1, 60)), min_size=1, max_size=6),
)
def test_a_padded_batch_is_what_roberta_takes(sizes: list[tuple[int, int]]) -> None:
    windows = [split(*size, name="roberta")[-1] for size in sizes]
    batch = pad_batch(windows)
    length = max(map(len, windows))
    for row, window in enumerate(windows):
        question, context = window.question_ids.tolist(), window.context_ids.tolist()
        padding = length - len(window)
        assert batch.input_ids[row].tolist() == (
            [CLS, *question, SEP, SEP, *context, SEP] + [PAD] * padding
        )
        assert not batch.token_type_ids[row].any()
        assert batch.attention_mask[row].sum() == len(window)
        assert batch.input_ids[row, batch.context_mask[row]].tolist() == context


def test_a_batch_needs_a_window() -> None:
    with pytest.raises(ValueError, match="empty"):
        pad_batch([])
