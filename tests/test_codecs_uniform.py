"""Uniform quantization held to its formula in plain Python, and codes that come back as given."""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from squadlite.container import Raw, Uniform, nearest_exponents, open_sqz, write_sqz
from squadlite.container.codecs import rans, uniform
from squadlite.errors import CodecError

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
steps = st.floats(uniform.MIN_STEP, uniform.MAX_STEP)
shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9)
matrices = arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)


@st.composite
def cases(draw, codes):
    """A codec, a shape, and so many whole numbers out of `codes`."""
    scales = draw(st.sampled_from([None, "rows", "columns"]))
    shape = draw(shapes if scales is None else matrices)
    count = shape[scales == "columns"] if scales else 0
    exponents = draw(arrays.arrays(np.int8, count)) if scales else None
    codec = Uniform(draw(steps), scales, exponents=exponents)
    return codec, draw(arrays.arrays(np.int64, shape, elements=codes))


def exponent_at(codec, index):
    if codec.scales is None:
        return 0
    return int(codec.exponents[index[codec.scales == "columns"]])


def binary32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def spacing_at(codec, index):
    """By the words of the spec."""
    octave, eighth = divmod(exponent_at(codec, index), 8)
    eighth_root = Fraction(math.isqrt(math.isqrt(math.isqrt(2 ** (eighth + 1600)))), 2**200)
    return binary32(math.ldexp(codec.step * float(eighth_root), octave))


def round_trip(codec, values):
    codec, data = codec.stored(values)
    assert len(data) == codec.n_bytes(values.shape)
    return codec, codec.decode(data, values.shape)


@given(cases(st.integers(-128, 127)), st.integers(uniform.MIN_CODE + 128, uniform.MAX_CODE - 127))
def test_codes_given_as_values_come_back_bit_by_bit(case, middle):
    codec, codes = case
    values = np.asarray((codes + middle).astype(np.float32) * codec.spacing)
    stored, decoded = round_trip(codec, values)
    assert decoded.tobytes() == values.tobytes()
    assert stored.coded_bytes == len(codec.encode(decoded))


@given(cases(st.integers(uniform.MIN_CODE, uniform.MAX_CODE)))
def test_values_are_the_formula_of_the_spec(case):
    codec, codes = case
    if codes.size == 0:
        return
    codes = np.clip(codes, codes.min(), codes.min() + 255)
    values = np.asarray(codes.astype(np.float32) * codec.spacing)
    stored, decoded = round_trip(codec, values)
    assert stored.lowest in (codes.min(), uniform.MAX_LOWEST)
    for index, code in np.ndenumerate(codes):
        expected = binary32(int(code) * spacing_at(codec, index))
        assert decoded[index] == expected
        assert math.isfinite(expected)


@given(st.data(), cases(st.just(0)))
def test_values_come_back_within_the_stated_bound(data, case):
    codec, zeros = case
    reach = np.broadcast_to(codec.spacing, zeros.shape)
    shares = data.draw(arrays.arrays(np.float64, zeros.shape, elements=st.floats(-127, 127)))
    values = (shares * reach).astype(np.float32)
    _, decoded = round_trip(codec, values)
    errors = np.abs(decoded.astype(np.float64) - values)
    assert (errors <= reach * 0.5 + np.abs(values) * 2.0**-23).all()


def test_codes_round_half_to_even():
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 0.51], np.float32)
    _, decoded = round_trip(Uniform(1.0), values)
    assert decoded.tolist() == [0, 2, 2, 0, -2, 0, 1]


@given(st.lists(floats, min_size=1, max_size=30), steps)
def test_no_values_overflow_and_the_farthest_are_clamped(items, step):
    codec, decoded = round_trip(Uniform(step), np.array(items, np.float32))
    codes = np.rint(np.array(items) / float(np.float32(step))).clip(-(2**15), 2**15 - 1)
    kept = codes.clip(codec.lowest, codec.lowest + 255)
    np.testing.assert_array_equal(decoded, (kept * np.float32(step)).astype(np.float32))
    if codes.max() - codes.min() <= 255:
        np.testing.assert_array_equal(kept, codes)


@pytest.mark.parametrize(
    ("least", "most", "lowest"),
    [
        (-3, 4, -3),
        (900, 1155, 900),
        (-128, 127, -128),
        (-200, 55, -200),
        (-200, 200, -128),
        (-90, 300, -90),
        (-300, 90, -165),
        (-400, -130, -385),
        (32767, 32767, 32512),
        (-32768, -32768, -32768),
    ],
)
def test_codes_that_do_not_fit_are_clamped_about_zero(least, most, lowest):
    codec, decoded = round_trip(Uniform(1.0), np.array([least, most], np.float32))
    assert codec.lowest == lowest
    assert decoded.tolist() == [max(least, lowest), min(most, lowest + 255)]


def test_blocks_change_nothing(monkeypatch):
    values = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    for scales, count in ((None, 0), ("rows", 40), ("columns", 30)):
        exponents = np.arange(count, dtype=np.int8) if scales else None
        codec = Uniform(0.05, scales, exponents=exponents)
        monkeypatch.setattr(uniform, "_BLOCK", 2**16)
        stored, data = codec.stored(values)
        decoded = stored.decode(data, values.shape)
        for block in (1, 64, 90):
            monkeypatch.setattr(uniform, "_BLOCK", block)
            assert codec.encode(values) == data
            np.testing.assert_array_equal(stored.decode(data, values.shape), decoded)


def test_few_bits_where_few_codes_are_frequent():
    values = np.random.default_rng(1).normal(size=(200, 300)).astype(np.float32)
    codes = np.rint(values / np.float32(0.4)).astype(np.int64).ravel()
    shares = np.bincount(codes - codes.min()) / codes.size
    entropy = -sum(share * math.log2(share) for share in shares if share)
    _, data = Uniform(0.4).stored(values)
    assert entropy <= 8 * len(data) / values.size <= entropy * 1.02


def test_exponents_are_stored_with_the_codes(tmp_path):
    values = np.random.default_rng(2).normal(size=(6, 9)).astype(np.float32)
    exponents = np.array([-128, -8, 0, 1, 8, 127], np.int8)
    codec = Uniform(0.5, "rows", exponents=exponents)
    write_sqz(tmp_path / "x", model={}, tokenizer={}, metadata={}, tensors=[("w", values, codec)])
    with open_sqz(tmp_path / "x") as file:
        read = file.tensors["w"].codec
        assert read == codec.stored(values)[0]
        assert read.exponents is None
        decoded = file.read("w")
    np.testing.assert_array_equal(decoded[2], np.rint(values[2] / 0.5) * 0.5)
    assert not decoded[5].any()
    with pytest.raises(CodecError, match="without exponents"):
        read.encode(values)


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (0, 0)])
@pytest.mark.parametrize("scales", uniform.SCALES)
def test_an_empty_tensor_tells_how_to_write_another(scales, shape):
    exponents = np.zeros(shape[scales == "columns"], np.int8)
    empty = np.empty(shape, np.float32)
    codec, data = Uniform(0.5, scales, exponents=exponents).stored(empty)
    assert codec.encoder(data, shape).stored(empty) == (codec, data)


def test_the_nearest_exponents_are_nearest_in_size():
    ratios = np.array([1, 2, 0.5, 2**0.125, 2**0.06, 2**0.07, 1e-30, 1e30])
    assert nearest_exponents(ratios).tolist() == [0, 8, -8, 1, 0, 1, -128, 127]
    codec = Uniform(3.0, "columns", exponents=nearest_exponents(np.array([1.0, 4.0])))
    assert codec.spacing.tolist() == [[3.0, 12.0]]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
def test_scales_are_for_matrices(shape):
    codec = Uniform(1.0, "rows", exponents=np.zeros(2, np.int8))
    with pytest.raises(CodecError, match="expected a matrix"):
        codec.encode(np.zeros(shape, np.float32))
    with pytest.raises(CodecError, match="expected a matrix"):
        Uniform(1.0, "rows", 0, 1).n_bytes(shape)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": 1}, "step 1, expected a float"),
        ({"step": 0.0}, "step 0.0"),
        ({"step": -1.0}, "step -1.0"),
        ({"step": math.nan}, "step nan"),
        ({"step": math.inf}, "step inf"),
        ({"step": 2.0**-101}, "step"),
        ({"step": 2.0**97}, "step"),
        ({"step": "1"}, "step '1'"),
        ({"scales": "row"}, "scales 'row'"),
        ({"scales": ["rows"]}, "scales"),
        ({"lowest": 0.0}, "lowest 0.0"),
        ({"lowest": True}, "lowest True"),
        ({"lowest": -(2**15) - 1}, "lowest"),
        ({"lowest": 32513}, "lowest 32513"),
        ({"coded_bytes": -1}, "coded_bytes -1"),
        ({"coded_bytes": 1.0}, "coded_bytes 1.0"),
        ({"exponents": np.zeros(3, np.int8)}, "exponents"),
        ({"scales": "rows", "exponents": np.zeros(3)}, "exponents of float64"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(CodecError, match=message):
        Uniform(**{"step": 1.0} | settings)


def test_exponents_of_another_length_are_refused():
    codec = Uniform(1.0, "columns", exponents=np.zeros(3, np.int8))
    with pytest.raises(CodecError, match=r"exponents of shape \(3,\) for the columns"):
        codec.encode(np.zeros((3, 4), np.float32))


def test_values_that_are_not_finite_are_refused_with_their_place():
    with pytest.raises(CodecError, match=r"value at \[1\] is nan"):
        Uniform(1.0).encode(np.array([0.0, np.nan]))


@pytest.mark.parametrize(
    ("codec", "shape"),
    [
        (Uniform(1.0), (3,)),
        (Uniform(1.0, lowest=0), (3,)),
        (Uniform(1.0, coded_bytes=5), (3,)),
        (Uniform(1.0, lowest=0, coded_bytes=0), (3,)),
        (Uniform(1.0, lowest=0, coded_bytes=2), (0,)),
    ],
)
def test_without_its_size_a_tensor_takes_no_number_of_bytes(codec, shape):
    with pytest.raises(CodecError, match="coded_bytes"):
        codec.n_bytes(shape)


def test_streams_that_no_encoder_writes_are_refused():
    symbols, exponents = rans.encode(np.arange(12, dtype=np.uint8)), rans.encode(np.zeros(3, "u1"))
    for data in (symbols, exponents, symbols + exponents, exponents + symbols + b"\0", b"\3"):
        with pytest.raises(CodecError):
            Uniform(1.0, "rows", 0, len(data)).decode(data, (3, 4))
    data = exponents + symbols
    decoded = Uniform(1.0, "rows", 0, len(data)).decode(data, (3, 4))
    np.testing.assert_array_equal(decoded, np.arange(12).reshape(3, 4))
    with pytest.raises(ValueError, match="bytes given"):
        Uniform(1.0, "rows", 0, len(data)).decode(data + b"\0", (3, 4))


def test_any_symbols_and_exponents_give_finite_values():
    for step in (uniform.MIN_STEP, uniform.MAX_STEP):
        for lowest in (uniform.MIN_CODE, uniform.MAX_LOWEST):
            exponents = rans.encode(np.array([128, 127], np.uint8))
            data = exponents + rans.encode(np.array([[0, 255]] * 2, np.uint8).reshape(-1))
            decoded = Uniform(step, "rows", lowest, len(data)).decode(data, (2, 2))
            assert np.isfinite(decoded).all()
            assert (np.abs(decoded[decoded != 0]) >= np.finfo(np.float32).tiny).all()


def test_only_files_with_codecs_of_two_are_of_version_two(tmp_path):
    values = np.arange(500, dtype=np.float32)
    for codec, version in (
        (Raw("f32"), (1, 0)),
        (Raw("f32").compressed(), (2, 0)),
        (Uniform(1.0), (2, 0)),
    ):
        tensors = [("w", values, codec)]
        write_sqz(tmp_path / "x", model={}, tokenizer={}, metadata={}, tensors=tensors)
        with open_sqz(tmp_path / "x") as file:
            assert file.version == version
            np.testing.assert_array_equal(file.read("w") > 0, values > 0)
