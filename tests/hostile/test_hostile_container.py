"""Broken and crafted .sqz files: each gives a FormatError, and the two readers agree."""

import contextlib
import hashlib
import random
import struct
import tracemalloc

import pytest
import reference_reader
from hypothesis import given, settings
from hypothesis import strategies as st
from sqz_files import GOLDEN, build, coded_parts, coded_tensors, deflated, dump, tiny_parts

from squadlite.container import open_sqz
from squadlite.errors import (
    CodecError,
    DigestError,
    FormatError,
    HeaderError,
    PreambleError,
    TensorError,
    TruncatedFileError,
    VersionError,
)

TINY = (GOLDEN / "tiny.sqz").read_bytes()
CODECS = (GOLDEN / "codecs.sqz").read_bytes()
CODED = (GOLDEN / "coded.sqz").read_bytes()
DIGEST = "0" * 64


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile") / "x.sqz"


def verify(path, content):
    """Open and verify; FormatError if anything is wrong."""
    path.write_bytes(content)
    with open_sqz(path) as file:
        file.verify()


def accepted(path, content):
    """Whether both readers take a file; they must agree."""
    with contextlib.suppress(FormatError):
        verify(path, content)
        reference_reader.read_file(content)
        return True
    with pytest.raises(reference_reader.Refused):
        reference_reader.read_file(content)
    return False


# Every truncation, every flipped bit


def test_every_truncation_is_found_by_opening(path):
    for length in range(len(TINY)):
        path.write_bytes(TINY[:length])
        with pytest.raises(FormatError):
            open_sqz(path)


def test_bytes_after_the_end_are_found_by_opening(path):
    for tail in (b"\0", b"\n", TINY):
        path.write_bytes(TINY + tail)
        with pytest.raises(TruncatedFileError):
            open_sqz(path)


def test_every_flipped_bit_is_found(path):
    path.write_bytes(TINY)
    with path.open("r+b", buffering=0) as file:
        for position, byte in enumerate(TINY):
            for bit in range(8):
                file.seek(position)
                file.write(bytes([byte ^ 1 << bit]))
                with pytest.raises(FormatError), open_sqz(path) as flipped:
                    flipped.verify()
            file.seek(position)
            file.write(bytes([byte]))
    assert path.read_bytes() == TINY


def test_flipped_bits_in_preamble_and_header_are_found_by_opening(path):
    offset, length = struct.unpack_from("<QQ", TINY, 16)
    for position in (*range(128), *range(offset, offset + length)):
        flipped = bytearray(TINY)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(FormatError):
            open_sqz(path)


# The preamble


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"major": 0}, VersionError),
        ({"major": 3}, VersionError),
        ({"major": 0xFFFF}, VersionError),
        ({"flags": 1}, PreambleError),
        ({"reserved": b"\1".rjust(56, b"\0")}, PreambleError),
        ({"reserved": b"\1".ljust(56, b"\0")}, PreambleError),
        ({"length": 0}, PreambleError),
        ({"length": 2**20 + 1}, PreambleError),
        ({"length": 2**64 - 1}, PreambleError),
        ({"offset": 0}, PreambleError),
        ({"offset": 64}, PreambleError),
        ({"offset": 255}, PreambleError),
        ({"offset": 2**64 - 64}, PreambleError),
        ({"total": 0}, PreambleError),
        ({"total": 2**64 - 1}, PreambleError),
    ],
)
def test_preamble_with_impossible_fields(changes, error, path):
    with pytest.raises(error):
        verify(path, build(*tiny_parts(), **changes))


def test_positions_that_wrap_around_64_bits(path):
    header, data = tiny_parts()
    content = build(header, data, offset=2**64 - 64, length=64, total=32)
    with pytest.raises(PreambleError):
        verify(path, content)


def test_a_length_that_agrees_with_itself_but_not_with_the_file(path):
    header, data = tiny_parts()
    length = len(dump(header))
    content = build(header, data, offset=2**40, total=2**40 + length + 32)
    with pytest.raises(TruncatedFileError):
        verify(path, content)


def test_a_hole_before_the_header(path):
    header, data = tiny_parts()
    with pytest.raises(PreambleError, match="tensors end at"):
        verify(path, build(header, data + bytes(64)))


def test_a_header_inside_the_tensors(path):
    header, data = tiny_parts()
    with pytest.raises(PreambleError, match="tensors end at"):
        verify(path, build(header, data[:64]))


# The header


def changed(**members):
    header, data = tiny_parts()
    return build(header | members, data)


@pytest.mark.parametrize(
    "header",
    [b"[]", b"null", b"1", b'""', b"{}", b" {}", b"\0", b"[" * 4000, b"1" * 5000, b"\xff{}"],
)
def test_headers_that_are_no_header(header, path):
    with pytest.raises(HeaderError):
        verify(path, build(header))


@pytest.mark.parametrize("key", ["metadata", "model", "tokenizer", "tensors"])
@pytest.mark.parametrize("value", [None, 0, "", [0], {"a": 0}, True])
def test_header_members_of_another_type(key, value, path):
    if key != "tensors" and value == {"a": 0}:
        verify(path, changed(**{key: value}))
    else:
        with pytest.raises(HeaderError):
            verify(path, changed(**{key: value}))


@pytest.mark.parametrize("key", ["metadata", "model", "tokenizer", "tensors"])
def test_header_members_missing(key, path):
    header, data = tiny_parts()
    del header[key]
    with pytest.raises(HeaderError, match="missing"):
        verify(path, build(header, data))


def test_unknown_header_members_are_for_later_minor_versions(path):
    header, data = tiny_parts()
    header["signature"] = "..."
    with pytest.raises(HeaderError, match="unknown member 'signature'"):
        verify(path, build(header, data))
    verify(path, build(header, data, minor=1))
    header["tensors"][0]["signature"] = "..."
    with pytest.raises(HeaderError, match="unknown member 'signature'"):
        verify(path, build(header, data, minor=1))


# The compressed header


def test_a_header_may_be_compressed_without_codecs_that_need_it(path):
    assert accepted(path, build(*tiny_parts(), deflate=True))


def test_a_header_compressed_in_version_1_or_plain_in_version_2_is_refused(path):
    header, data = tiny_parts()
    for content in (
        build(header, data, major=2),
        build(header, data, deflate=True, major=1),
        build(deflated(dump(header)), data, deflate=True),
    ):
        with pytest.raises(HeaderError):
            verify(path, content)
        assert not accepted(path, content)


def test_compressed_headers_are_one_whole_stream(path):
    header, data = tiny_parts()
    stream = deflated(dump(header))
    for text in (stream[:-1], stream[:40], stream + b"\0", stream + stream, b"\0" * 50):
        with pytest.raises(HeaderError):
            verify(path, build(text, data, major=2))
        assert not accepted(path, build(text, data, major=2))


def padded(size):
    """The text of a header of so many bytes."""
    empty = b'{"metadata":{"x":"%s"},"model":{},"tensors":[],"tokenizer":{}}'
    return empty % (b"a" * (size - len(empty % b"")))


def test_a_small_header_does_not_inflate_to_a_large_one(path):
    assert accepted(path, build(padded(2**20), deflate=True))
    assert not accepted(path, build(padded(2**20 + 1), deflate=True))
    for bomb in (padded(2**26), bytes(2**26), b"[" * 2**26):
        content = build(bomb, deflate=True)
        assert len(content) < 2**18
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(HeaderError, match="expected at most 1048576"):
            open_sqz(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 * 2**20


def test_unknown_members_are_for_later_minor_versions_of_2_too(path):
    header, data = tiny_parts()
    header["signature"] = "..."
    with pytest.raises(HeaderError, match="unknown member 'signature'"):
        verify(path, build(header, data, deflate=True))
    verify(path, build(header, data, deflate=True, minor=1))


# The tensors


def with_tensor(**members):
    """tiny.sqz with its second tensor changed; None drops a member."""
    header, data = tiny_parts()
    entry = header["tensors"][1] | members
    header["tensors"][1] = {key: value for key, value in entry.items() if value is not None}
    return build(header, data)


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"offset": 128}, TensorError, "offset 128, expected 192"),
        ({"offset": 193}, TensorError, "offset 193"),
        ({"offset": 256}, TensorError, "offset 256"),
        ({"offset": -64}, TensorError, "offset -64"),
        ({"offset": 192.0}, TensorError, "offset 192.0"),
        ({"offset": "192"}, TensorError, "offset '192'"),
        ({"n_bytes": 3}, TensorError, "n_bytes 3, expected 4"),
        ({"n_bytes": 2**53 - 1}, TensorError, "n_bytes"),
        ({"n_bytes": True}, TensorError, "n_bytes True"),
        ({"shape": [3]}, TensorError, "n_bytes 4, expected 6"),
        ({"shape": []}, TensorError, "n_bytes 4, expected 2"),
        ({"shape": [-2]}, TensorError, "dimension -2"),
        ({"shape": [2.0]}, TensorError, "dimension 2.0"),
        ({"shape": [True, 2]}, TensorError, "dimension True"),
        ({"shape": [[2]]}, TensorError, "dimension"),
        ({"shape": "2"}, TensorError, "shape '2'"),
        ({"shape": "", "n_bytes": 2}, TensorError, "shape ''"),
        ({"shape": 2}, TensorError, "shape 2"),
        ({"shape": {"0": 2}}, TensorError, "shape"),
        ({"shape": [1] * 9}, TensorError, "at most 8 dimensions"),
        ({"shape": [2**31]}, TensorError, "2147483648 values"),
        ({"shape": [2**32, 2**32, 2**32]}, TensorError, "values, expected at most"),
        ({"shape": [0, 2**40, 2**40]}, TensorError, "values, expected at most"),
        ({"shape": [2**53 - 1] * 8}, TensorError, "values, expected at most"),
        ({"name": "a.weight"}, TensorError, "two of that name"),
        ({"name": ""}, TensorError, "tensor name ''"),
        ({"name": "."}, TensorError, "tensor name"),
        ({"name": "a..b"}, TensorError, "tensor name"),
        ({"name": "../../etc/passwd"}, TensorError, "tensor name"),
        ({"name": "b\n"}, TensorError, "tensor name"),
        ({"name": "b\0"}, TensorError, "tensor name"),
        ({"name": "ｂ"}, TensorError, "tensor name"),
        ({"name": "b" * 201}, TensorError, "tensor name"),
        ({"name": 1}, TensorError, "tensor name 1"),
        ({"name": ["b"]}, TensorError, "tensor name"),
        ({"digest": DIGEST[:-1]}, TensorError, "64 hex digits"),
        ({"digest": "A" * 64}, TensorError, "64 hex digits"),
        ({"digest": DIGEST + "\n"}, TensorError, "64 hex digits"),
        ({"digest": 0}, TensorError, "64 hex digits"),
        ({"digest": DIGEST}, DigestError, "tensor 'b'"),
        ({"codec": {"name": "zstd"}}, CodecError, "tensor 'b': codec 'zstd' is unknown"),
        ({"codec": {"name": "raw"}}, CodecError, "missing"),
        ({"codec": "raw"}, CodecError, "expected an object"),
        ({"codec": {"name": "raw", "dtype": "u16", "x": 0}}, CodecError, "unknown setting"),
        ({"codec": {"name": "raw", "dtype": "f16"}}, DigestError, None),
        ({"codec": {"name": "rademacher"}}, CodecError, "expected \\(m, n\\)"),
        ({"extra": 0}, HeaderError, "unknown member 'extra'"),
        *(({key: None}, HeaderError, "missing") for key in ("codec", "digest", "name", "shape")),
    ],
)
def test_tensors_that_break_a_rule(members, error, message, path):
    if error is DigestError and message is None:
        verify(path, with_tensor(**members))
        return
    with pytest.raises(error, match=message):
        verify(path, with_tensor(**members))


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "content",
    [
        with_tensor(codec={"name": LONG}),
        with_tensor(codec=[LONG]),
        with_tensor(codec={"name": "raw", "dtype": "u16", LONG: 0}),
        with_tensor(codec={"name": "raw", "dtype": LONG}),
        with_tensor(**{LONG: 0}),
        changed(**{LONG: 0}),
    ],
)
def test_what_a_header_says_does_not_fill_the_screen(content, path):
    with pytest.raises(FormatError) as caught:
        verify(path, content)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 600


def test_a_tensor_entry_that_is_no_object(path):
    with pytest.raises(HeaderError, match=r"tensors\[0\]"):
        verify(path, changed(tensors=["a"]))


def test_tensors_in_another_order_than_their_data(path):
    header, data = tiny_parts()
    header["tensors"].reverse()
    with pytest.raises(TensorError, match="offset"):
        verify(path, build(header, data))


def test_two_tensors_on_the_same_bytes(path):
    header, data = tiny_parts()
    header["tensors"].append(header["tensors"][1] | {"name": "c"})
    with pytest.raises(TensorError, match="offset 192, expected 256"):
        verify(path, build(header, data))


def test_padding_that_carries_a_message(path):
    header, data = tiny_parts()
    for position in (11, 63, 68, 127):
        padded = bytearray(data)
        padded[position] = 1
        with pytest.raises(TensorError, match="must be zero"):
            verify(path, build(header, bytes(padded)))


def seeded(count, shape):
    entry = {
        "codec": {"name": "rademacher", "seed": 1, "generator": "splitmix64"},
        "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "n_bytes": 0,
        "offset": 128,
        "shape": shape,
    }
    tensors = [entry | {"name": f"s{index}"} for index in range(count)]
    return {"metadata": {}, "model": {}, "tokenizer": {}, "tensors": tensors}


def test_a_small_file_does_not_become_a_large_model(path):
    verify(path, build(seeded(3, [100, 1000])))
    for count, shape in [(1, [2**15, 2**15]), (1, [2**25 + 1, 1]), (1000, [2**8, 2**10])]:
        tracemalloc.start()
        with pytest.raises(TensorError, match="when decoded"):
            verify(path, build(seeded(count, shape)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 * 2**20


# Coded tensors


@pytest.mark.parametrize("name", ["raw.u8", "linear.4", "uniform.plain"])
def test_codecs_of_a_later_version_than_the_file_are_refused(name, path):
    header, data = coded_parts(name)
    assert accepted(path, build(header, data, deflate=True))
    for minor in (0, 7):
        content = build(header, data, minor=minor)
        with pytest.raises(CodecError, match=r"joined the format in 2\.0"):
            verify(path, content)
        assert not accepted(path, content)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {"coded_bytes": size}) for name in ("raw.u8", "linear.4", "uniform.plain")
          for size in (None, 0, 1, -1, 2**53 - 1, True, 300.0, "300", [300])),
        ("raw.u8", {"coding": None}),
        ("raw.u8", {"coding": "rans"}),
        ("linear.4", {"coding": "deflate"}),
        ("linear.4", {"coding": ["rans"]}),
        ("linear.4", {"bits": 2}),
        ("uniform.plain", {"coding": "rans"}),
        ("uniform.plain", {"step": None}),
        ("uniform.plain", {"step": 1}),
        ("uniform.plain", {"step": 0.0}),
        ("uniform.plain", {"step": -0.25}),
        ("uniform.plain", {"step": 2.0**97}),
        ("uniform.plain", {"step": 5e-324}),
        ("uniform.plain", {"lowest": None}),
        ("uniform.plain", {"lowest": 0.0}),
        ("uniform.plain", {"lowest": 2**15}),
        ("uniform.plain", {"lowest": -(2**15) - 1}),
        ("uniform.plain", {"scales": "rows"}),
        ("uniform.rows", {"scales": None}),
        ("uniform.rows", {"scales": "columns"}),
        ("uniform.rows", {"scales": "row"}),
        ("uniform.rows", {"exponents": [1]}),
    ],
)  # fmt: skip
def test_coded_tensors_with_wrong_settings(name, settings, path):
    header, data = coded_parts(name)
    (entry,) = header["tensors"]
    entry["codec"] = {
        key: value for key, value in (entry["codec"] | settings).items() if value is not None
    }
    for size in (entry["n_bytes"], settings.get("coded_bytes")):
        entry["n_bytes"] = size
        content = build(header, data, deflate=True)
        with pytest.raises(FormatError):
            verify(path, content)
        assert not accepted(path, content)


def test_a_tensor_that_says_it_is_coded_and_longer(path):
    header, data = coded_parts("raw.u8")
    (entry,) = header["tensors"]
    plain = entry["shape"][0]
    entry["n_bytes"] = entry["codec"]["coded_bytes"] = plain
    entry["digest"] = hashlib.sha256(data.ljust(plain, b"\0")).hexdigest()
    with pytest.raises(CodecError, match=f"expected fewer than the {plain} bytes"):
        verify(path, build(header, data.ljust(plain, b"\0"), deflate=True))


def test_coded_tensors_do_not_become_more_than_their_header_says(path):
    for name in ("raw.u8", "linear.constant", "uniform.constant"):
        header, data = coded_parts(name)
        (entry,) = header["tensors"]
        for shape in ([2**27, 2], [2**31 - 1, 1]):
            entry["shape"] = shape
            tracemalloc.start()
            with pytest.raises(TensorError, match="when decoded"):
                verify(path, build(header, data, deflate=True))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 2**20


CODED_NAMES = [name for name, values, _ in coded_tensors() if 0 < values.size < 2000]


@settings(max_examples=400)
@given(st.sampled_from(CODED_NAMES), st.data())
def test_any_changed_bytes_of_coded_tensors_with_right_digests(path, name, data):
    header, stored = coded_parts(name)
    (entry,) = header["tensors"]
    changed = bytearray(stored)
    for _ in range(data.draw(st.integers(1, 3))):
        place = st.integers(0, len(stored) - 1)
        changed[data.draw(st.integers(0, min(20, len(stored) - 1)) | place)] = data.draw(
            st.integers(0, 255)
        )
    entry["digest"] = hashlib.sha256(changed).hexdigest()
    accepted(path, build(header, bytes(changed), deflate=True))


@settings(max_examples=200)
@given(st.sampled_from(CODED_NAMES), st.integers(-3, 40), st.data())
def test_coded_tensors_cut_or_longer_with_right_digests(path, name, more, data):
    header, stored = coded_parts(name)
    (entry,) = header["tensors"]
    tail = data.draw(st.binary(min_size=max(0, more), max_size=max(0, more)))
    stored = stored[: len(stored) + min(0, more)] + tail
    entry["n_bytes"] = len(stored)
    if "coded_bytes" in entry["codec"]:
        entry["codec"]["coded_bytes"] = len(stored)
    entry["digest"] = hashlib.sha256(stored).hexdigest()
    assert accepted(path, build(header, stored, deflate=True)) == (more == 0)


# Random bytes and mutations


@given(st.binary(max_size=400))
def test_random_bytes_behind_the_magic(path, data):
    assert not accepted(path, b"\x89SQZ\r\n\x1a\n" + data)


@given(st.binary(max_size=200))
def test_random_bytes_in_place_of_the_header(path, data):
    assert not accepted(path, build(data))
    assert not accepted(path, build(data, major=2))
    assert not accepted(path, build(data, deflate=True))


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.sampled_from([0, 1, 2, 8, 16, 64, 128, 192, 2**31, 2**53])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["raw", "linear", "rademacher", "row", "group", "f16", "f32", "u8", DIGEST]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def places(value, at=()):
    """Every path into a JSON value, the empty one first."""
    yield at
    items = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else items:
        yield from places(item, (*at, key))


@settings(max_examples=600)
@given(st.sampled_from([None, "raw.u16", "linear.9", "uniform.columns"]), st.data())
def test_headers_with_anything_anywhere_and_right_digests(path, name, data):
    header, tensors = tiny_parts() if name is None else coded_parts(name)
    for _ in range(data.draw(st.integers(1, 2))):
        *route, last = data.draw(st.sampled_from(list(places(header))[1:]))
        target = header
        for key in route:
            target = target[key]
        if data.draw(st.booleans()) and isinstance(target, dict):
            del target[last]
        else:
            target[last] = data.draw(junk)
    accepted(path, build(header, tensors, deflate=name is not None))


@settings(max_examples=200)
@given(st.binary(min_size=128, max_size=128), st.sampled_from(["tensor", "row", "group"]))
def test_any_codes_and_ranges_with_right_digests(path, data, per):
    codec = {"name": "linear", "bits": 5, "per": per, "range_dtype": "f32"}
    codec |= {"group_size": 3} if per == "group" else {}
    count = {"tensor": 1, "row": 2, "group": 4}[per]
    size = 8 * count + 7
    entry = {
        "codec": codec,
        "digest": hashlib.sha256(data[:size]).hexdigest(),
        "n_bytes": size,
        "name": "w",
        "offset": 128,
        "shape": [2, 5],
    }
    header = {"metadata": {}, "model": {}, "tokenizer": {}, "tensors": [entry]}
    accepted(path, build(header, data[:size]))


@pytest.mark.parametrize("whole", [CODECS, CODED], ids=["codecs", "coded"])
def test_random_damage_to_a_file_of_every_codec(whole, path):
    generator = random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            start = generator.randrange(len(content))
            match generator.randrange(3):
                case 0:
                    content[start] = generator.randrange(256)
                case 1:
                    del content[start : start + generator.randint(1, 300)]
                case 2:
                    content[start:start] = generator.randbytes(generator.randint(1, 300))
        assert bytes(content) == whole or not accepted(path, bytes(content))
