"""Raw and linear tensors compressed without loss: never larger, and the same values bit by bit."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sqz_files import skewed

from squadlite.container import Linear, Rademacher, Raw, Uniform
from squadlite.container.codecs import bitpack, codec_from_header, rans
from squadlite.container.deflate import deflated, inflated
from squadlite.errors import CodecError

floats = st.floats(-1000, 1000, width=16)
shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40)
linears = st.one_of(
    st.builds(Linear, st.integers(1, 16)),
    st.builds(Linear, st.integers(1, 16), st.just("row")),
    st.builds(Linear, st.integers(1, 16), st.just("group"), st.integers(1, 12)),
    st.builds(Linear, st.integers(1, 16), st.just("row"), range_dtype=st.just("f32")),
)
raws = st.sampled_from(["f32", "f16", "bf16"]).map(Raw)


@given(linears | raws, arrays.arrays(np.float32, shapes, elements=floats | st.just(0.0)))
def test_compressed_tensors_hold_the_same_values_in_no_more_bytes(codec, values):
    plain, plain_data = codec.stored(values)
    stored, data = codec.compressed().stored(values)
    assert plain.version == (1, 0)
    assert len(data) == stored.n_bytes(values.shape)
    if stored.coding is None:
        assert (stored, data) == (plain, plain_data)
    else:
        assert stored.version == (2, 0)
        assert len(data) < len(plain_data)
        assert codec_from_header(stored.to_header()) == stored
    expected = plain.decode(plain_data, values.shape)
    assert stored.decode(data, values.shape).tobytes() == expected.tobytes()


@given(
    st.sampled_from(["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"]),
    st.integers(1, 200),
    st.data(),
)
def test_whole_numbers_come_back_in_their_own_dtype(name, repeats, data):
    dtype = Raw(name).decoded_dtype
    values = np.tile(data.draw(arrays.arrays(dtype, 3)), repeats)
    stored, stored_data = Raw(name).compressed().stored(values)
    decoded = stored.decode(stored_data, values.shape)
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, values)


def test_ascending_numbers_take_few_bytes():
    values = np.cumsum(skewed(3, 20_000)).astype(np.uint32)
    codec, data = Raw("u32").compressed().stored(values)
    assert len(data) < values.nbytes / 4
    np.testing.assert_array_equal(codec.decode(data, values.shape), values)


@pytest.mark.parametrize("bits", [2, 4, 8, 10, 16])
def test_codes_of_weights_take_about_their_entropy(bits):
    values = np.random.default_rng(bits).normal(size=(300, 400)).astype(np.float32)
    _, plain = Linear(bits).stored(values)
    codes = np.empty(values.size, np.uint16)
    bitpack.unpack(np.frombuffer(plain, np.uint8)[8:], bits, codes)
    shares = np.bincount(codes >> max(0, bits - 8)) / codes.size
    entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum() + max(0, bits - 8)
    codec, data = Linear(bits).compressed().stored(values)
    assert entropy <= 8 * len(data) / values.size <= 1.02 * entropy + 0.01
    assert (
        codec.decode(data, values.shape).tobytes()
        == Linear(bits).decode(plain, values.shape).tobytes()
    )


def test_codecs_that_cannot_be_compressed_stay_as_they_are():
    for codec in (Rademacher(), Rademacher(seed=3), Uniform(1.0)):
        assert codec.compressed() is codec


def test_encoding_again_does_not_depend_on_the_size_before():
    values = skewed(4, 3000).astype(np.float32)
    codec, data = Linear(4).compressed().stored(values)
    again, more = codec.compressed().stored(np.tile(values, 2))
    assert again.coded_bytes == len(more) > len(data) == codec.coded_bytes
    assert codec.stored(values) == (codec, data)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "raw", "dtype": "u8", "coding": "rans", "coded_bytes": 1}, "coding 'rans'"),
        ({"name": "raw", "dtype": "u8", "coding": None, "coded_bytes": 1}, "without coding"),
        ({"name": "raw", "dtype": "u8", "coding": ["deflate"], "coded_bytes": 1}, "coding"),
        ({"name": "raw", "dtype": "u8", "coded_bytes": 1}, "without coding"),
        ({"name": "raw", "dtype": "u8", "coding": "deflate", "coded_bytes": -1}, "coded_bytes -1"),
        ({"name": "raw", "dtype": "u8", "coding": "deflate", "coded_bytes": True}, "coded_bytes"),
        ({"name": "raw", "dtype": "u8", "coding": "deflate", "coded_bytes": 1.0}, "coded_bytes"),
        ({"name": "raw", "dtype": "u8", "coding": "deflate"}, "'coded_bytes' is missing"),
        (
            {"name": "raw", "dtype": "u8", "coding": "deflate", "coded_bytes": 9},
            "coded_bytes 9, expected fewer than the 9 bytes without",
        ),
        ({"name": "rademacher", "coding": "rans", "coded_bytes": 1}, "unknown setting"),
    ],
)
def test_settings_that_no_writer_states_are_refused(entry, message):
    with pytest.raises(CodecError, match=message):
        codec_from_header(entry).n_bytes((9,))


def test_deflated_values_must_be_as_many_as_there_are():
    for size in (0, 8, 10, 10**6):
        data = deflated(bytes(size))
        codec = Raw("u64", coding="deflate", coded_bytes=len(data))
        with pytest.raises(CodecError, match="inflates to"):
            codec.decode(data, (size // 8 + 3,))


def test_stored_values_that_are_not_finite_are_refused_behind_a_coding_too():
    data = deflated(np.full(50, np.inf, "<f4").view(np.uint8).reshape(-1, 4).T.tobytes())
    codec = Raw("f32", coding="deflate", coded_bytes=len(data))
    with pytest.raises(CodecError, match="NaN or infinite"):
        codec.decode(data, (50,))


def coded(ranges, symbols, low=b""):
    """The bytes of a linear tensor per tensor, with its coding."""
    pair = np.array(ranges, "<f4").tobytes()
    streams = [rans.encode(np.array([byte], np.uint8)) for byte in pair]
    return b"".join([*streams, rans.encode(np.array(symbols, np.uint8)), low])


@pytest.mark.parametrize(
    ("bits", "data", "message"),
    [
        (3, coded((0, 7), [7] * 99 + [8]), "a code is 8, expected at most 7"),
        (3, coded((0, np.inf), [7] * 100), "not finite"),
        (3, coded((8, 7), [7] * 100), "its min above its max"),
        (3, coded((0, 7), [7] * 100) + b"\0", "behind"),
        (3, coded((0, 7), [7] * 100)[:-1], "coded stream"),
        (9, coded((0, 7), [7] * 100, bytes(12)), "coded stream"),
        (9, coded((0, 7), [7] * 100, bytes(12) + b"\x10"), "last byte is 0x10"),
        (9, bytes(12), "12 bytes, expected 13 of codes' lower bits alone"),
    ],
)
def test_coded_ranges_and_codes_that_no_encoder_writes_are_refused(bits, data, message):
    codec = Linear(bits, coding="rans", coded_bytes=len(data))
    with pytest.raises(CodecError, match=message):
        codec.decode(data, (100,))


def test_right_bytes_of_the_same_kind_are_taken():
    data = coded((0, 511), [7] * 100, bytes(12) + b"\x08")
    decoded = Linear(9, coding="rans", coded_bytes=len(data)).decode(data, (100,))
    assert decoded.tolist() == [14.0] * 99 + [15.0]


@given(st.binary(max_size=500), st.integers(0, 3))
def test_inflating_takes_one_whole_stream_and_nothing_else(content, cut):
    data = deflated(content)
    assert inflated(data, len(content)) == content
    assert inflated(data, len(content) + 5, at_most=True) == content
    for size in {len(content) + 1, len(content) - 1} - {-1}:
        with pytest.raises(ValueError, match="inflates to"):
            inflated(data, size)
    with pytest.raises(ValueError, match="behind DEFLATE data"):
        inflated(data + b"\0", len(content))
    with pytest.raises(ValueError, match="DEFLATE"):
        inflated(data[: -1 - cut], len(content), at_most=True)


@given(st.binary(max_size=60))
def test_inflating_any_bytes_gives_a_result_or_one_kind_of_error(data):
    with contextlib.suppress(ValueError):
        assert len(inflated(data, 2**16, at_most=True)) <= 2**16


def test_inflating_stops_where_there_is_too_much():
    bomb = deflated(bytes(2**26))
    assert len(bomb) < 2**17
    tracemalloc.start()
    with pytest.raises(ValueError, match="expected at most 1000"):
        inflated(bomb, 1000, at_most=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**18
