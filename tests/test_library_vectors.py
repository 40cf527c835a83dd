"""Vectors of passages: how near they stay to what they were, and how an index keeps them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.library import vectors as vectors_module
from squadlite.library.vectors import (
    VECTORS_TABLE,
    PassageVectors,
    read_vectors,
    write_vectors,
)


def unit_vectors(number: int, width: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((number, width), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture
def index() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(VECTORS_TABLE)
        yield connection


@given(st.integers(0, 20), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_numbers_stay_within_half_a_step(number: int, width: int, seed: int) -> None:
    exact = unit_vectors(number, width, seed)
    packed = PassageVectors.quantize("model", exact)
    assert packed.codes.dtype == np.int8
    found = packed.codes * packed.scales[:, None]
    bound = np.abs(exact).max(axis=1, keepdims=True, initial=0) / 254
    assert (np.abs(found - exact) <= bound * (1 + 1e-4)).all()


@given(st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_cosines_are_nearly_the_exact_ones(number: int, seed: int) -> None:
    exact, (asked,) = unit_vectors(number, 384, seed), unit_vectors(1, 384, seed + 1)
    found = PassageVectors.quantize("model", exact).cosines(asked)
    assert found.shape == (number,)
    np.testing.assert_allclose(found, exact @ asked, atol=0.01)


def test_cosines_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    packed, (asked,) = PassageVectors.quantize("m", unit_vectors(10, 8)), unit_vectors(1, 8, 1)
    whole = packed.cosines(asked)
    for size in (1, 3, 5, 10):
        monkeypatch.setattr(vectors_module, "_PASSAGES_AT_A_TIME", size)
        np.testing.assert_allclose(packed.cosines(asked), whole, rtol=1e-6)


def test_a_vector_of_zeros_is_near_nothing() -> None:
    packed = PassageVectors.quantize("model", np.zeros((2, 4), np.float32))
    assert packed.cosines(np.array([1, 0, 0, 0], np.float32)).tolist() == [0, 0]


@pytest.mark.parametrize("number", [0, 1, 7])
def test_an_index_gives_back_what_it_was_given(index: sqlite3.Connection, number: int) -> None:
    assert read_vectors(index) is None
    for model in ("one", "another"):
        written = PassageVectors.quantize(model, unit_vectors(number, 12))
        write_vectors(index, written)
        read = read_vectors(index)
        assert read is not None
        assert read.model == model
        np.testing.assert_array_equal(read.codes, written.codes)
        np.testing.assert_array_equal(read.scales, written.scales)
