"""Sign matrices: stored, seeded, and the generator."""

import math

import numpy as np
import pytest
import reference_reader
from bitarray import bitarray
from hypothesis import given
from hypothesis import strategies as st

from squadlite.container import Rademacher
from squadlite.container.codecs import seeded_signs, signs_of, sketch_matrix, splitmix64
from squadlite.errors import CodecError


@given(st.integers(1, 9), st.integers(0, 40), st.integers(0, 2**53 - 1))
def test_stored_and_seeded_signs_are_the_same_stream(m, n, seed):
    matrix = Rademacher(seed=seed).decode(b"", (m, n))
    stored = Rademacher().encode(matrix)
    words = splitmix64(seed, -(-m * n // 64)).astype("<u8").tobytes()
    mask = 2 ** (m * n) - 1
    assert int.from_bytes(stored, "little") == int.from_bytes(words, "little") & mask
    np.testing.assert_array_equal(Rademacher().decode(stored, (m, n)), matrix)
    assert Rademacher(seed=seed).encode(matrix) == b""


@given(st.integers(1, 9), st.integers(0, 40), st.data())
def test_bit_i_of_the_file_is_sign_i_of_the_bitarray_and_value_i_of_the_matrix(m, n, data):
    signs = bitarray(data.draw(st.lists(st.integers(0, 1), min_size=m * n, max_size=m * n)))
    matrix = sketch_matrix(signs, (m, n))
    scale = np.float32(1 / math.sqrt(m))
    assert matrix.reshape(-1).tolist() == [scale if sign else -scale for sign in signs]
    assert signs_of(matrix) == signs
    stored = Rademacher().encode(matrix)
    decoded = reference_reader.decode(stored, [m, n], {"name": "rademacher"})
    assert decoded == matrix.reshape(-1).tolist()
    assert [stored[i // 8] >> i % 8 & 1 for i in range(m * n)] == signs.tolist()
    assert Rademacher().signs(stored, (m, n)) == signs


@given(st.integers(0, 2**53 - 1), st.integers(0, 300))
def test_seeded_signs_are_the_bits_of_the_generator(seed, count):
    expected = [reference_reader.splitmix64(seed, i // 64) >> i % 64 & 1 for i in range(count)]
    assert seeded_signs(seed, count).tolist() == expected
    assert Rademacher(seed).signs(b"", (1, count)) == bitarray(expected)


def test_signs_of_another_number_make_no_matrix():
    with pytest.raises(ValueError, match="found 5, expected 6"):
        sketch_matrix(bitarray(5), (2, 3))


@given(st.integers(0, 2**64 - 1), st.integers(0, 30))
def test_the_generator_is_splitmix64(seed, count):
    expected = [reference_reader.splitmix64(seed, k) for k in range(count)]
    assert splitmix64(seed, count).tolist() == expected


@pytest.mark.parametrize("m", [1, 2, 256, 512, 3000])
def test_entries_are_plus_and_minus_one_over_root_m(m):
    matrix = Rademacher(seed=m).decode(b"", (m, 7))
    assert set(np.unique(np.abs(matrix))) == {np.float32(1 / math.sqrt(m))}


def test_the_matrix_of_the_spec():
    s = np.float32(math.sqrt(0.5))
    assert s.tobytes() == bytes.fromhex("f304353f")
    np.testing.assert_array_equal(
        Rademacher(seed=0).decode(b"", (2, 4)), [[s, s, s, s], [-s, s, -s, s]]
    )


def test_seeded_sketches_keep_inner_products_in_the_mean():
    sketch = Rademacher(seed=5).decode(b"", (4096, 6))
    np.testing.assert_allclose(sketch.T @ sketch, np.eye(6), atol=0.08)


def test_scales_computed_in_float32_are_taken():
    signs = np.where(np.arange(12).reshape(3, 4) % 3, 1, -1).astype(np.float32)
    for values in (signs / np.float32(math.sqrt(3)), signs * np.float32(3) ** np.float32(-0.5)):
        np.testing.assert_allclose(
            Rademacher().decode(Rademacher().encode(values), (3, 4)), values, rtol=1e-6
        )


@pytest.mark.parametrize("bad", [0.0, 0.4, -0.51, np.nan, np.inf])
def test_other_values_are_refused_with_their_place(bad):
    values = np.full((4, 3), 0.5, np.float32)
    values[2, 1] = bad
    with pytest.raises(CodecError, match=r"value at \[2, 1\]"):
        Rademacher().encode(values)


def test_values_that_a_seed_does_not_give_are_refused():
    matrix = Rademacher(seed=1).decode(b"", (2, 9))
    with pytest.raises(CodecError, match=r"value at \[0, 0\] is .*what seed 2 gives"):
        Rademacher(seed=2).encode(matrix)
    with pytest.raises(CodecError, match="expected floats"):
        Rademacher().encode(np.ones((1, 1), np.int8))


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2), (0, 4)])
def test_only_matrices_with_rows(shape):
    with pytest.raises(CodecError, match="expected \\(m, n\\)"):
        Rademacher().n_bytes(shape)
    with pytest.raises(CodecError, match="expected \\(m, n\\)"):
        Rademacher().encode(np.ones(shape))


def test_unused_bits_must_be_zero():
    with pytest.raises(CodecError, match="expected zero"):
        Rademacher().decode(b"\x08", (1, 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**53}, "seed 9007199254740992"),
        ({"seed": True}, "seed True"),
        ({"seed": 1.0}, "seed 1.0"),
        ({"seed": 1, "generator": "mt19937"}, "generator 'mt19937'"),
        ({"generator": "splitmix64"}, "without a seed"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(CodecError, match=message):
        Rademacher(**settings)
