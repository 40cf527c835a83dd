"""Whole models by our own kernels: windows, threads, and what is refused."""

import functools
import importlib.util
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from native_kernels import on_every_width, on_this_cpu, random_tensors, wide_config
from tiny_models import tiny_config

from squadlite.config import ModelConfig
from squadlite.native import cpu as cpu_module
from squadlite.native import native_scorer
from squadlite.native.cpu import Cpu
from squadlite.native.layout import Layout
from squadlite.native.scorer import NativeScorer

POSITIONS = 200  # so that a window has up to four blocks of rows


def make_scorer(cpu: Cpu, **changes: Any) -> NativeScorer:
    config = wide_config(cpu, **{"max_position_embeddings": POSITIONS} | changes)
    return NativeScorer(Layout(config, cpu), random_tensors(config))


shared_scorer = functools.cache(make_scorer)


def batch(config: ModelConfig, lengths: list[int], *, seed: int = 0) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    shape = len(lengths), max(lengths)
    mask = np.arange(shape[1]) < np.array(lengths)[:, None]
    ids = generator.integers(0, config.vocab_size, shape)
    return ids, generator.integers(0, max(config.type_vocab_size, 1), shape), mask


def score(scorer: NativeScorer, parts: tuple[np.ndarray, ...], *, threads: int = 1) -> np.ndarray:
    """(2, B, T)."""
    return np.stack(scorer(*parts, threads=threads))


@on_every_width
def test_a_short_window_after_a_long_one_is_scored_as_by_a_fresh_scorer(cpu: Cpu) -> None:
    used = make_scorer(cpu)
    for length in (1, 33, 64, 7):
        score(used, batch(used.config, [POSITIONS], seed=length))
        window = batch(used.config, [length], seed=1)
        np.testing.assert_array_equal(score(used, window), score(make_scorer(cpu), window))


@on_every_width
@pytest.mark.parametrize("length", [1, 8, 9, 64, 65, 129, POSITIONS])
def test_threads_change_no_bit(cpu: Cpu, length: int) -> None:
    scorer = shared_scorer(cpu)
    window = batch(scorer.config, [length])
    alone = score(scorer, window)
    assert np.isfinite(alone).all()
    for threads in (2, 3, 5) * 3:
        np.testing.assert_array_equal(score(scorer, window, threads=threads), alone)


@on_this_cpu
@pytest.mark.parametrize("threads", [1, 2])
def test_calls_at_once_change_no_bit(cpu: Cpu, threads: int) -> None:
    scorer = make_scorer(cpu)
    batches = [batch(scorer.config, [n, 100, 5 + n], seed=n) for n in range(1, 25)]
    expected = [score(scorer, parts) for parts in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda parts: score(scorer, parts, threads=threads), batches))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@on_this_cpu
def test_helpers_that_never_come_are_not_waited_for(cpu: Cpu) -> None:
    scorer = make_scorer(cpu)
    window = batch(scorer.config, [POSITIONS])
    alone = score(scorer, window)
    go_home = threading.Event()
    busy = [scorer._helpers.submit(go_home.wait) for _ in range(scorer._helpers._max_workers)]
    np.testing.assert_array_equal(score(scorer, window, threads=3), alone)
    go_home.set()
    assert all(helper.result() for helper in busy)


@on_this_cpu
def test_an_interrupted_call_leaves_a_scorer_that_serves(cpu: Cpu) -> None:
    scorer = make_scorer(cpu)
    window = batch(scorer.config, [64])
    forward = scorer._library.forward

    def interrupted(frame: int) -> None:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        forward(frame)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(scorer._library), "forward", property(lambda self: interrupted))
        score(scorer, window, threads=2)
    np.testing.assert_array_equal(score(scorer, window, threads=2), score(scorer, window))


@on_every_width
def test_a_window_is_embedded_alike_beside_others_with_threads_and_after_a_longer_one(
    cpu: Cpu,
) -> None:
    scorer = make_scorer(cpu)
    lengths = [POSITIONS, 3, 70, 31]
    ids, _, mask = batch(scorer.config, lengths)
    together = scorer.embed(ids, mask, threads=1)
    assert together.shape == (4, scorer.config.hidden_size)
    np.testing.assert_array_equal(scorer.embed(ids, mask, threads=3), together)
    for row, length in enumerate(lengths):
        alone = ids[row : row + 1, :length], mask[row : row + 1, :length]
        found = make_scorer(cpu).embed(*alone, threads=1)[0]
        np.testing.assert_array_equal(found, together[row])


@on_every_width
@pytest.mark.parametrize(
    "changes", [{"relative_position_buckets": 32}, {"embedding_size": 32}], ids=["bias", "narrow"]
)
def test_threads_and_neighbours_change_no_bit_of_any_family(
    cpu: Cpu, changes: dict[str, Any]
) -> None:
    scorer = make_scorer(cpu, **changes)
    lengths = [POSITIONS, 3, 70, 31]
    parts = batch(scorer.config, lengths)
    together = score(scorer, parts)
    np.testing.assert_array_equal(score(scorer, parts, threads=3), together)
    for row, length in enumerate(lengths):
        alone = tuple(part[row : row + 1, :length] for part in parts)
        np.testing.assert_array_equal(score(scorer, alone)[:, 0], together[:, row, :length])


@on_every_width
def test_windows_do_not_see_each_other_nor_their_padding(cpu: Cpu) -> None:
    scorer = shared_scorer(cpu)
    lengths = [3, 70, 0, 31]
    ids, types, mask = batch(scorer.config, lengths)
    together = score(scorer, (ids, types, mask))
    for row, length in enumerate(lengths):
        if length:
            alone = tuple(part[row : row + 1, :length] for part in (ids, types, mask))
            np.testing.assert_array_equal(together[:, row, :length], score(scorer, alone)[:, 0])
    # A row without tokens has no logits, and padding has none.
    assert not together[:, ~mask].any()
    ids[~mask] = 0
    np.testing.assert_array_equal(score(scorer, (ids, types, mask)), together)


@on_this_cpu
def test_no_windows_are_no_error(cpu: Cpu) -> None:
    scorer = shared_scorer(cpu)
    for shape in ((0, 5), (2, 0)):
        nothing = np.zeros(shape, np.int64)
        assert score(scorer, (nothing, nothing, nothing == 1)).shape == (2, *shape)


@on_this_cpu
@pytest.mark.parametrize("bad", [-1, 40, 2**31, -(2**62)])
def test_ids_out_of_range_are_refused(cpu: Cpu, bad: int) -> None:
    scorer = shared_scorer(cpu)
    ids, types, mask = batch(scorer.config, [7, 4])
    for row, column in ((0, 0), (0, 6), (1, 6)):  # the last in padding
        wrong = ids.copy()
        wrong[row, column] = bad
        with pytest.raises(ValueError, match=r"^input_ids: found .* expected 0 to 39"):
            scorer(wrong, types, mask, threads=1)
        with pytest.raises(ValueError, match=r"^input_ids: found .* expected 0 to 39"):
            scorer.embed(wrong, mask, threads=1)
        wrong = types.copy()
        wrong[row, column] = bad
        with pytest.raises(ValueError, match=r"^token_type_ids: found .* expected 0 to 1"):
            scorer(ids, wrong, mask, threads=1)


@on_this_cpu
def test_a_model_without_token_types_takes_those_of_questions_and_contexts(cpu: Cpu) -> None:
    scorer = shared_scorer(cpu, type_vocab_size=0)
    ids, _, mask = batch(scorer.config, [9])
    zeros, ones = np.zeros_like(ids), np.ones_like(ids)
    np.testing.assert_array_equal(
        score(scorer, (ids, zeros, mask)), score(scorer, (ids, ones, mask))
    )


@on_this_cpu
def test_more_tokens_than_positions_are_refused(cpu: Cpu) -> None:
    scorer = shared_scorer(cpu)
    with pytest.raises(ValueError, match=f"found {POSITIONS + 1} tokens.* at most {POSITIONS}"):
        scorer(*batch(scorer.config, [POSITIONS + 1]), threads=1)


@on_this_cpu
def test_padding_before_a_token_is_refused(cpu: Cpu) -> None:
    scorer = shared_scorer(cpu)
    ids, types, mask = batch(scorer.config, [9, 9])
    mask[1, 3] = False
    with pytest.raises(ValueError, match="padding before a token"):
        scorer(ids, types, mask, threads=1)


@on_this_cpu
def test_a_scorer_serves_on_after_a_refusal(cpu: Cpu) -> None:
    scorer = make_scorer(cpu)
    ids, types, mask = batch(scorer.config, [9])
    expected = score(scorer, (ids, types, mask))
    with pytest.raises(ValueError, match="input_ids"):
        scorer(ids - 1000, types, mask, threads=1)
    np.testing.assert_array_equal(score(scorer, (ids, types, mask)), expected)


@on_this_cpu
def test_a_scorer_has_its_models_config_and_words(cpu: Cpu) -> None:
    config = wide_config(cpu)
    tensors = random_tensors(config)
    scorer = NativeScorer(Layout(config, cpu), tensors)
    assert scorer.config == config
    np.testing.assert_array_equal(scorer.word_embeddings, tensors["embeddings.word.weight"])


@on_this_cpu
def test_native_scorer_takes_models_that_fill_vectors_and_no_others(cpu: Cpu) -> None:
    config = wide_config(cpu)
    assert isinstance(native_scorer(config, random_tensors(config)), NativeScorer)
    for other in (
        tiny_config(hidden_size=9),
        wide_config(cpu, max_position_embeddings=513),
        wide_config(cpu, intermediate_size=18),
        wide_config(cpu, embedding_size=18),
    ):
        assert native_scorer(other, random_tensors(other)) is None


@on_this_cpu
def test_there_is_no_native_scorer_without_llvmlite(
    cpu: Cpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = wide_config(cpu)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert native_scorer(config, {}) is None


@on_this_cpu
def test_there_is_no_native_scorer_without_fast_instructions(
    cpu: Cpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_module, "this_cpu", lambda: None)
    assert native_scorer(wide_config(cpu), {}) is None
