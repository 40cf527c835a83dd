"""Linear quantization held to its formula in plain Python, and to its error bound."""

import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from squadlite.container import Linear
from squadlite.container.codecs import linear, ranges
from squadlite.errors import CodecError

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9)
codecs = st.one_of(
    st.builds(Linear, st.integers(1, 16)),
    st.builds(
        Linear,
        st.integers(1, 16),
        st.just("row"),
        range_dtype=st.sampled_from(["f16", "f32"]),
        search_range=st.booleans(),
    ),
    st.builds(
        Linear,
        st.integers(1, 16),
        st.just("group"),
        st.integers(1, 12),
        range_dtype=st.sampled_from(["f16", "f32"]),
        search_range=st.booleans(),
    ),
)


def round_trip(codec, values):
    codec = codec.fitted(values)
    data = codec.encode(values)
    assert len(data) == codec.n_bytes(values.shape)
    return codec, data, codec.decode(data, values.shape)


def groups_of(codec, values):
    """The groups of a tensor by the words of the spec: lists of flat positions."""
    positions = np.arange(values.size).reshape(values.shape)
    if values.size == 0:
        return []
    if codec.per == "tensor" or values.ndim == 0:
        return [positions.ravel().tolist()]
    if codec.per == "row":
        return [row.ravel().tolist() for row in positions]
    rows = positions.reshape(-1, values.shape[-1])
    size = codec.group_size
    return [row[at : at + size].tolist() for row in rows for at in range(0, len(row), size)]


def stored_ranges(codec, data, count):
    letter = "e" if codec.range_dtype == "f16" else "f"
    edges = struct.unpack_from(f"<{2 * count}{letter}", data)
    return list(zip(edges[::2], edges[1::2], strict=True))


@given(codecs, arrays.arrays(np.float32, shapes, elements=floats))
def test_values_come_back_within_the_stated_bound(codec, values):
    codec, data, decoded = round_trip(codec, values)
    assert (decoded.shape, decoded.dtype) == (values.shape, np.float32)
    groups = groups_of(codec, values)
    for positions, (low, high) in zip(groups, stored_ranges(codec, data, len(groups)), strict=True):
        for at in positions:
            x, y = float(values.flat[at]), float(decoded.flat[at])
            half_step = (high - low) / (2**codec.bits - 1) / 2
            outside = max(low - x, x - high, 0.0)
            assert outside == 0 or codec.search_range
            rounding = max(abs(y) * 2**-23, 2**-149) + 1e-15 * (abs(low) + abs(high))
            assert abs(x - y) <= outside + half_step + rounding


@given(st.integers(1, 16), st.lists(floats, min_size=1, max_size=40))
def test_per_tensor_is_the_paper(bits, items):
    values = np.array(items, np.float32)
    _, data, decoded = round_trip(Linear(bits), values)
    low, high = struct.unpack_from("<2f", data)
    assert (low, high) == (min(items), max(items))
    levels = 2**bits - 1
    stream = int.from_bytes(data[8:], "little")
    for index, x in enumerate(items):
        code = stream >> index * bits & levels
        assert code == (round((x - low) / (high - low) * levels) if high > low else 0)
        expected = struct.unpack("<f", struct.pack("<f", code * ((high - low) / levels) + low))[0]
        assert decoded[index] == expected


@given(codecs, arrays.arrays(np.float32, shapes, elements=floats))
def test_decoding_in_blocks_changes_nothing(codec, values):
    codec, data, decoded = round_trip(codec, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_BLOCK", 16)
        assert codec.encode(values) == data
        np.testing.assert_array_equal(codec.decode(data, values.shape), decoded)


@pytest.mark.parametrize("bits", [3, 8, 10, 16])
@pytest.mark.parametrize(("per", "size"), [("tensor", None), ("row", None), ("group", 64)])
def test_tensors_of_several_blocks(bits, per, size):
    values = np.random.default_rng(0).normal(0, 1, (301, 700)).astype(np.float32)
    codec, _, decoded = round_trip(Linear(bits, per, size), values)
    for row in (0, 93, 300):
        _, _, alone = round_trip(codec, values[row : row + 1])
        if per != "tensor":
            np.testing.assert_array_equal(decoded[row : row + 1], alone)
    assert np.abs(decoded - values).max() <= (values.max() - values.min()) / (2**bits - 1)


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, -3e38, 1e-45])
@pytest.mark.parametrize("bits", [1, 7, 16])
def test_constant_tensors_come_back_exactly(value, bits):
    values = np.full((3, 5), value, np.float32)
    for codec in (Linear(bits), Linear(bits, "row"), Linear(bits, "group", 2)):
        _, _, decoded = round_trip(codec, values)
        np.testing.assert_array_equal(decoded, values)


@pytest.mark.parametrize("bits", [1, 9, 16])
def test_the_whole_range_of_float32_fits(bits):
    limit = np.finfo(np.float32).max
    _, _, decoded = round_trip(Linear(bits), np.array([-limit, limit]))
    np.testing.assert_array_equal(decoded, [-limit, limit])


@pytest.mark.parametrize("codec", [Linear(4), Linear(4, "row"), Linear(4, "group", 3)])
def test_empty_and_scalar_tensors(codec):
    for shape in [(0,), (0, 5), (5, 0), (2, 0, 3)]:
        _, data, decoded = round_trip(codec, np.empty(shape, np.float32))
        assert (data, decoded.shape) == (b"", shape)
    _, _, decoded = round_trip(codec, np.array(1.5))
    assert (decoded.shape, decoded.item()) == ((), 1.5)


def test_groups_of_64_at_4_bits_cost_4_and_a_half_bits():
    assert Linear(4, "group", 64).n_bytes((384, 1536)) * 8 == 4.5 * 384 * 1536


def test_size_is_counted_in_integers_that_do_not_wrap():
    assert Linear(16).n_bytes((2**40, 2**40)) == 8 + 2**81


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("codec", [Linear(8), Linear(8, "row")])
def test_values_that_are_not_finite_are_refused_with_their_place(bad, codec):
    values = np.zeros((2, 3), np.float32)
    values[1, 2] = bad
    with pytest.raises(CodecError, match=r"value at \[1, 2\]"):
        codec.fitted(values).encode(values)


def test_float64_beyond_float32_and_integers_are_refused():
    with pytest.raises(CodecError, match="1e\\+39"):
        Linear(8).encode(np.array([1e39]))
    with pytest.raises(CodecError, match="expected floats"):
        Linear(8).encode(np.array([1]))


def test_signed_zeros_do_not_depend_on_their_order():
    values = np.array([0.0, -0.0, -0.0, 0.0], np.float32)
    codec = Linear(3, "row")
    assert codec.encode(values) == codec.encode(values[::-1]) == codec.encode(np.abs(values))


@pytest.mark.parametrize(
    ("values", "fitted"),
    [
        ([[0.0, 1.0], [-1.0, 2.0]], "f16"),
        ([[0.0, 65504.0]], "f16"),
        ([[0.0, 65505.0]], "f32"),
        ([[1.0, 1.0001]], "f32"),
        ([[1e-9, 2e-9]], "f32"),
        ([[0.1, 0.1]], "f32"),
        ([[0.5, 0.5]], "f16"),
    ],
)
def test_ranges_are_16_bit_where_that_holds_them_well(values, fitted):
    assert Linear(4, "row").fitted(np.array(values)).range_dtype == fitted
    assert Linear(4, "row", range_dtype="f32").fitted(np.array(values)).range_dtype == "f32"


def test_ranges_beyond_16_bits_are_refused_where_they_are_not_fitted():
    with pytest.raises(CodecError, match="beyond 16-bit ranges"):
        Linear(4, "row").encode(np.array([[0.0, 70000.0]]))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
@pytest.mark.parametrize(("per", "size"), [("row", None), ("group", 50)])
def test_searched_ranges_lower_the_error_and_never_raise_it(bits, per, size):
    values = np.random.default_rng(1).standard_t(5, (20, 130)).astype(np.float32)
    plain, searched = (
        round_trip(Linear(bits, per, size, search_range=search), values) for search in (False, True)
    )
    assert plain[0].to_header() == searched[0].to_header()
    errors = [
        [((decoded.ravel()[group] - values.ravel()[group]) ** 2).sum() for group in groups]
        for _, _, decoded in (plain, searched)
        for groups in [groups_of(plain[0], values)]
    ]
    assert all(after <= before * (1 + 1e-6) for before, after in zip(*errors, strict=True))
    assert sum(errors[1]) < sum(errors[0])


def test_sums_of_the_search_are_sums():
    for width in range(1, 20):
        matrix = np.arange(3.0 * width).reshape(3, width)
        np.testing.assert_array_equal(ranges._row_sums(matrix), matrix.sum(axis=1))


def test_codes_rise_with_values():
    values = np.sort(np.random.default_rng(2).normal(size=500)).astype(np.float32)
    _, _, decoded = round_trip(Linear(5), values)
    assert all(a <= b for a, b in pairwise(decoded.tolist()))


def test_bytes_of_another_number_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="bytes given"):
        Linear(6).decode(b"", (4, 6))


@pytest.mark.parametrize("low_high", [(np.nan, 1), (0, np.inf), (-np.inf, 0), (2, 1)])
def test_stored_ranges_that_no_encoder_writes_are_refused(low_high):
    with pytest.raises(CodecError, match="range"):
        Linear(4).decode(struct.pack("<2f", *low_high) + b"\0", (2,))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 0}, "bits 0"),
        ({"bits": 17}, "bits 17"),
        ({"bits": True}, "bits True"),
        ({"bits": 8.0}, "bits 8.0"),
        ({"bits": 4, "per": "column"}, "per 'column'"),
        ({"bits": 4, "group_size": 64}, "group_size 64"),
        ({"bits": 4, "per": "group"}, "group_size None"),
        ({"bits": 4, "per": "group", "group_size": 0}, "group_size 0"),
        ({"bits": 4, "per": "group", "group_size": 2**16 + 1}, "group_size 65537"),
        ({"bits": 4, "per": "group", "group_size": True}, "group_size True"),
        ({"bits": 4, "range_dtype": "f16"}, "range_dtype 'f16'"),
        ({"bits": 4, "per": "row", "range_dtype": "f64"}, "range_dtype 'f64'"),
        ({"bits": 4, "search_range": True}, "search_range"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(CodecError, match=message):
        Linear(**settings)
