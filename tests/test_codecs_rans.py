"""Coded streams: they come back, are small, are the same everywhere, and bear any bytes."""

import hashlib
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import reference_reader
from hypothesis import given
from hypothesis import strategies as st

from squadlite.container.codecs import rans, splitmix64
from squadlite.errors import CodecError
from squadlite.native import cpu_with_kernels, entropy_kernels

KERNELS = [False] if cpu_with_kernels() is None else [False, True]

SPEC = (Path(__file__).parent.parent / "format_spec.md").read_text(encoding="utf-8")
SPEC = SPEC[SPEC.index("### Coded streams") : SPEC.index("### raw")]

# The example of the spec.
EXAMPLE = [int(digit) for digit in "2111202121112011121101211121112321211111"]
EXAMPLE_BYTES = bytes.fromhex("0213000000 03 cd09 8050 9a23 9903 563e3600 37c1 2710 de51")

# The size and SHA-256 of its other example.
FOUR_LANES = (10146, "7e767e672dac33912ae55beb7ed887e8b3ed1cd0e457bf00e2a49320ba3d5750")


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    """Compiling is no part of the first test's time."""
    entropy_kernels(14)


@pytest.fixture(params=KERNELS, ids=lambda kernels: "kernels" if kernels else "numpy")
def kernels(request):
    return request.param


def decoded(stream, count, *, kernels):
    out = np.full(count, 77, np.uint8)
    rans.decode(stream, count, out, kernels=kernels)
    return out


def outcome(decode):
    """What became of a stream: its symbols, or that it was refused."""
    try:
        return list(decode())
    except (CodecError, reference_reader.Refused):
        return "refused"


def drawn_symbols(count, spread, seed=0):
    """Symbols about 100, the others the rarer the farther away."""
    normal = np.random.default_rng(seed).normal(100, spread, count)
    return np.rint(normal).clip(0, 255).astype(np.uint8)


def entropy_bytes(symbols):
    shares = np.bincount(symbols) / symbols.size
    shares = shares[shares > 0]
    return -(shares * np.log2(shares)).sum() * symbols.size / 8


symbol_lists = st.integers(0, 255).flatmap(
    lambda last: st.lists(st.integers(0, last) | st.integers(0, last // 8), max_size=600)
)


@given(symbol_lists)
def test_symbols_come_back_by_numpy_kernels_and_the_spec(symbols):
    array = np.array(symbols, np.uint8)
    stream = rans.encode(array, kernels=False)
    assert len(stream) <= len(symbols) + bool(symbols)
    for kernels in KERNELS:
        assert rans.encode(array, kernels=kernels) == stream
        assert decoded(stream, len(symbols), kernels=kernels).tolist() == symbols
    assert reference_reader.decode_stream(stream, len(symbols)) == symbols


@pytest.mark.parametrize(
    ("count", "lanes"),
    [(1, 1), (2, 1), (8191, 1), (8192, 2), (8193, 2), (30_001, 4), (2**22 + 1234, 1024)],
)
def test_streams_of_any_length_come_back(count, lanes, kernels):
    symbols = drawn_symbols(count, 3)
    assert rans.lanes_for(count) == lanes
    stream = rans.encode(symbols, kernels=kernels)
    assert stream == rans.encode(symbols)
    np.testing.assert_array_equal(decoded(stream, count, kernels=kernels), symbols)


@pytest.mark.parametrize("spread", [0.3, 1, 3, 30])
def test_a_stream_is_hardly_larger_than_the_entropy(spread):
    symbols = drawn_symbols(1_000_000, spread)
    assert len(rans.encode(symbols)) < 1.003 * entropy_bytes(symbols) + 700


def test_equal_symbols_take_two_bytes(kernels):
    stream = rans.encode(np.full(1000, 9, np.uint8), kernels=kernels)
    assert stream == bytes([1, 9])
    assert set(decoded(stream, 1000, kernels=kernels)) == {9}


def test_no_symbols_take_no_bytes(kernels):
    assert rans.encode(np.empty(0, np.uint8), kernels=kernels) == b""
    assert decoded(b"", 0, kernels=kernels).size == 0


def test_where_coding_saves_nothing_symbols_stay_as_they_are(kernels):
    symbols = np.random.default_rng(0).integers(0, 256, 50_000).astype(np.uint8)
    assert rans.encode(symbols, kernels=kernels) == b"\0" + symbols.tobytes()


def test_symbols_that_are_not_contiguous_are_encoded_too(kernels):
    symbols = drawn_symbols(20_000, 2)
    assert rans.encode(symbols[::2], kernels=kernels) == rans.encode(symbols[::2].copy())


def test_the_example_of_the_spec(kernels):
    assert f"The 40 symbols {' '.join(map(str, EXAMPLE))} occur" in SPEC
    lines = re.findall(r"^((?:[0-9a-f]{2} )+) +\S", SPEC, re.M)
    assert bytes.fromhex("".join(lines)) == EXAMPLE_BYTES
    assert rans.encode(np.array(EXAMPLE, np.uint8), kernels=kernels) == EXAMPLE_BYTES
    assert decoded(EXAMPLE_BYTES, 40, kernels=kernels).tolist() == EXAMPLE
    assert reference_reader.decode_stream(EXAMPLE_BYTES, 40) == EXAMPLE


def test_the_stream_of_four_lanes_of_the_spec(kernels):
    n_bytes, sha256 = FOUR_LANES
    assert f"{n_bytes} bytes with the SHA-256\n`{sha256}`" in SPEC
    numbers = splitmix64(0, 20_000)
    bits = np.unpackbits(numbers.astype("<u8").view(np.uint8)).reshape(-1, 64)
    symbols = bits.sum(axis=1, dtype=np.uint8)
    stream = rans.encode(symbols, kernels=kernels)
    assert rans.lanes_for(symbols.size) == 4
    assert (len(stream), hashlib.sha256(stream).hexdigest()) == FOUR_LANES
    assert reference_reader.decode_stream(stream, 20_000) == symbols.tolist()


@given(st.integers(0, 2**32), st.floats(0, 1), st.integers(1, 6))
def test_frequencies_are_whole_shares_of_what_occurs(seed, share, power):
    random = np.random.default_rng(seed)
    counts = (random.random(256) ** power * 2**23).astype(np.int64)
    counts[random.random(256) > share] = 0
    counts[[3, 250]] += 1  # at least two symbols
    frequencies = rans.quantized_frequencies(counts)
    assert frequencies.sum() == 2**14
    np.testing.assert_array_equal(frequencies > 0, counts > 0)
    assert (frequencies <= counts / counts.sum() * 2**14 + 1).all()


@given(st.data())
def test_streams_one_behind_the_other_are_taken_apart(data):
    lists = data.draw(st.lists(symbol_lists, max_size=5))
    streams = [rans.encode(np.array(symbols, np.uint8)) for symbols in lists]
    counts = [len(symbols) for symbols in lists]
    assert rans.split(b"".join(streams), counts) == streams
    with pytest.raises(CodecError, match="behind the last"):
        rans.split(b"".join(streams) + b"\0", counts)
    if any(counts):
        with pytest.raises(CodecError):
            rans.split(b"".join(streams)[:-1], counts)


def check_any_bytes(data, count):
    found = [outcome(lambda: reference_reader.decode_stream(data, count))]
    found += [outcome(lambda k=k: decoded(data, count, kernels=k).tolist()) for k in KERNELS]
    assert all(each == found[0] for each in found)
    return found[0]


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_symbols_or_refused(data, count):
    check_any_bytes(data, count)


@given(symbol_lists.filter(len), st.data())
def test_a_changed_byte_gives_symbols_or_is_refused(symbols, data):
    stream = bytearray(rans.encode(np.array(symbols, np.uint8)))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    check_any_bytes(bytes(stream), len(symbols))


@given(symbol_lists.filter(len), st.data())
def test_a_stream_cut_off_or_of_another_length_is_refused(symbols, data):
    stream = rans.encode(np.array(symbols, np.uint8))
    cut = data.draw(st.integers(0, len(stream) - 1))
    assert check_any_bytes(stream[:cut], len(symbols)) == "refused"
    assert check_any_bytes(stream + bytes(1 + cut % 9), len(symbols)) == "refused"


@pytest.mark.parametrize("count", [39, 41, 400])
def test_a_stream_of_another_count_is_refused(count):
    assert check_any_bytes(EXAMPLE_BYTES, count) == "refused"


BODY = EXAMPLE_BYTES[5:]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "ends within its frequencies"),
        (BODY[:2], "ends within its frequencies"),
        (b"\xff" + b"\0" * 600, "sum 0"),
        (b"\x00\xff\x7f" + BODY[8:], "sum 16383"),
        (b"\x00\x80\x80" + BODY[8:], "frequency 16384 in two bytes"),
        (b"\x01\x85\x00" + BODY[8:], "frequency 5 in two bytes"),
        (b"\x02\0\1" + BODY[1:], "up to symbol 2 with sum 1229, expected 16384"),
        (b"\x00\0\x01" + BODY[9:], "up to symbol 0 with sum 0"),
        (BODY[:12], "12 bytes behind its head, expected 13 and an even number of others"),
        (BODY + b"\0", "an even number"),
        (BODY[:9] + b"\xff\xff\0\0" + BODY[13:], "a state is 65535"),
        (BODY[:9] + b"\xff\xff\xff\xff" + BODY[13:], "don't end where its symbols do"),
        (BODY + b"\0\0", "don't end where its symbols do"),
        (BODY[:-2], "don't end where its symbols do"),
        (BODY[:-6], "don't end where its symbols do"),
    ],
)
def test_a_broken_body_is_refused_and_said_why(body, message, kernels):
    stream = b"\x02" + len(body).to_bytes(4, "little") + body
    assert check_any_bytes(stream, 40) == "refused"
    with pytest.raises(CodecError, match=message):
        decoded(stream, 40, kernels=kernels)


def test_words_that_end_early_in_a_long_stream_are_refused(kernels):
    symbols = drawn_symbols(200_000, 3)
    stream = rans.encode(symbols)
    for lost in (2, 2000, 40_000):
        head = b"\x02" + (len(stream) - 5 - lost).to_bytes(4, "little")
        with pytest.raises(CodecError, match="don't end where its symbols do"):
            decoded(head + stream[5:-lost], symbols.size, kernels=kernels)


def test_an_output_of_another_kind_is_a_mistake_of_the_caller():
    for out in (np.empty(41, np.uint8), np.empty(40, np.int8), np.empty(80, np.uint8)[::2]):
        with pytest.raises(ValueError, match="expected C-contiguous uint8"):
            rans.decode(EXAMPLE_BYTES, 40, out)


def test_a_stream_that_claims_to_be_huge_takes_little_memory(kernels):
    decoded(EXAMPLE_BYTES, 40, kernels=kernels)
    tracemalloc.start()
    for stream in (b"\x02\xff\xff\xff\xff" + BODY, b"\0" + BODY, EXAMPLE_BYTES):
        out = np.empty(40, np.uint8)
        outcome(lambda s=stream, o=out: rans.decode(s, 40, o, kernels=kernels) or o)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000
