"""Packing held to bitarray, bit by bit."""

import numpy as np
import pytest
from bitarray import bitarray
from bitarray.util import int2ba
from hypothesis import given
from hypothesis import strategies as st

from squadlite.container.codecs import bitpack
from squadlite.errors import CodecError


@st.composite
def code_lists(draw):
    bits = draw(st.integers(1, 16))
    return bits, draw(st.lists(st.integers(0, 2**bits - 1), max_size=70))


def packed_by_bitarray(codes, bits):
    stream = bitarray(endian="little")
    for code in codes:
        stream += int2ba(code, length=bits, endian="little")
    return stream.tobytes()


@given(code_lists())
def test_the_stream_is_lsb_first_and_comes_back(case):
    bits, codes = case
    packed = bitpack.pack(np.array(codes, np.uint16), bits)
    assert packed == packed_by_bitarray(codes, bits)
    assert len(packed) == bitpack.packed_bytes(len(codes), bits)
    out = np.empty(len(codes), np.uint16)
    bitpack.unpack(np.frombuffer(packed, np.uint8), bits, out)
    assert out.tolist() == codes


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_length_and_any_bytes_behind_it(bits):
    codes = np.random.default_rng(bits).integers(0, 2**bits, 300).astype(np.uint16)
    for count in [*range(40), 255, 256, 257, 299]:
        packed = np.frombuffer(bitpack.pack(codes[:count], bits), np.uint8)
        for tail in (0, 1, 7, 8, 9):
            out = np.empty(count, np.uint16)
            bitpack.unpack(np.append(packed, np.full(tail, 255, np.uint8)), bits, out)
            np.testing.assert_array_equal(out, codes[:count])


@pytest.mark.parametrize("bits", range(1, 17))
def test_bits_after_the_last_code_must_be_zero(bits):
    packed = np.frombuffer(bitpack.pack(np.zeros(3, np.uint16), bits), np.uint8)
    bitpack.check_padding(packed, bits, 3)
    if 3 * bits % 8:
        broken = packed.copy()
        broken[-1] |= 1 << (3 * bits % 8)
        with pytest.raises(CodecError, match="expected zero"):
            bitpack.check_padding(broken, bits, 3)
