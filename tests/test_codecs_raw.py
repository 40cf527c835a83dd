"""Raw values: exact or rounded as the spec says, and refused where they don't fit."""

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.container import Raw
from squadlite.errors import CodecError

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
INTEGERS = ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"]


@given(st.lists(floats))
def test_f32_comes_back_bit_by_bit(items):
    values = np.array(items, np.float32)
    data = Raw("f32").encode(values)
    assert data == struct.pack(f"<{len(items)}f", *items)
    assert Raw("f32").decode(data, values.shape).tobytes() == values.tobytes()


@given(st.floats(-65504, 65504, width=32))
def test_f16_rounds_half_to_even(item):
    data = Raw("f16").encode(np.array(item, np.float32))
    assert data == struct.pack("<e", item)
    assert Raw("f16").decode(data, ()).item() == struct.unpack("<e", data)[0]


@given(st.floats(-(2.0**127), 2.0**127, width=32))
def test_bf16_rounds_half_to_even(item):
    data = Raw("bf16").encode(np.array(item, np.float32))
    (kept,) = struct.unpack("<H", data)
    decoded = Raw("bf16").decode(data, ()).item()

    def value_of(upper):
        return Fraction(struct.unpack("<f", struct.pack("<I", upper << 16))[0])

    distance = abs(value_of(kept) - Fraction(item))
    magnitude = kept & 0x7FFF
    for other in {max(magnitude - 1, 0), magnitude + 1} - {magnitude}:
        if other < 0x7F80:
            away = abs(value_of(kept & 0x8000 | other) - Fraction(item))
            assert distance < away or (distance == away and kept % 2 == 0)
    assert decoded == float(value_of(kept))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_come_back_in_their_own_dtype(dtype):
    native = np.dtype(dtype[0] + str(int(dtype[1:]) // 8))
    limits = np.iinfo(native)
    values = np.array([limits.min, 1, limits.max], native)
    codec = Raw(dtype)
    decoded = codec.decode(codec.encode(values.astype(native.newbyteorder(">"))), (3,))
    assert decoded.dtype == native == codec.decoded_dtype
    assert decoded.dtype.isnative
    np.testing.assert_array_equal(decoded, values)


@pytest.mark.parametrize(
    ("dtype", "value"), [("u8", 256), ("u8", -1), ("i8", 128), ("u64", -1), ("i64", 2**63)]
)
def test_integers_that_do_not_fit_are_refused(dtype, value):
    with pytest.raises(CodecError, match=f"values from {value} to {value}"):
        Raw(dtype).encode(np.array([value], np.int64 if value < 2**63 else np.uint64))


def test_kinds_do_not_turn_into_each_other():
    with pytest.raises(CodecError, match="expected integers"):
        Raw("u8").encode(np.array([1.0]))
    with pytest.raises(CodecError, match="expected floats"):
        Raw("f32").encode(np.array([1]))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("f32", np.nan), ("f32", 1e39), ("f16", 65520.0), ("f16", -np.inf), ("bf16", 3.4e38)],
)
def test_floats_that_do_not_fit_are_refused_with_their_place(dtype, value):
    with pytest.raises(CodecError, match=r"value at \[1\]"):
        Raw(dtype).encode(np.array([0.0, value]))


@pytest.mark.parametrize(
    ("dtype", "data"), [("f32", "0000807f"), ("f16", "00fe"), ("bf16", "80ff"), ("bf16", "c07f")]
)
def test_stored_floats_that_are_not_finite_are_refused(dtype, data):
    with pytest.raises(CodecError, match="NaN or infinite"):
        Raw(dtype).decode(bytes.fromhex(data), ())


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", *INTEGERS])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3)])
def test_every_shape(dtype, shape):
    codec = Raw(dtype)
    values = np.zeros(shape, codec.decoded_dtype)
    data = codec.encode(values)
    assert len(data) == codec.n_bytes(shape)
    assert codec.decode(data, shape).shape == shape


def test_any_order_in_memory_is_written_in_c_order():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for dtype in ("f32", "bf16", "u8"):
        array = values if dtype != "u8" else values.astype(np.uint8)
        assert Raw(dtype).encode(np.asfortranarray(array)) == Raw(dtype).encode(array)


@pytest.mark.parametrize("dtype", ["f64", "", None, 1, ["f32"]])
def test_unknown_dtypes_are_refused(dtype):
    with pytest.raises(CodecError, match="expected one of"):
        Raw(dtype)
