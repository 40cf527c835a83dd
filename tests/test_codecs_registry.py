"""How codecs stand in a header, and how a new one joins."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from squadlite.container import Linear, Rademacher, Raw, codecs, open_sqz, write_sqz
from squadlite.container.codecs import CODECS, Codec, codec_from_header
from squadlite.container.codecs.base import count_values
from squadlite.errors import CodecError


@pytest.mark.parametrize(
    ("codec", "entry"),
    [
        (Raw("bf16"), {"name": "raw", "dtype": "bf16"}),
        (Linear(10), {"name": "linear", "bits": 10, "per": "tensor", "range_dtype": "f32"}),
        (
            Linear(4, "group", 64, search_range=True),
            {"name": "linear", "bits": 4, "per": "group", "group_size": 64, "range_dtype": "f16"},
        ),
        (Rademacher(), {"name": "rademacher"}),
        (Rademacher(seed=3), {"name": "rademacher", "seed": 3, "generator": "splitmix64"}),
    ],
)
def test_codecs_come_back_from_their_header(codec, entry):
    assert codec.to_header() == entry
    assert codec_from_header(entry) == codec


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ({}, "codec None is unknown"),
        ({"name": 1}, "codec 1 is unknown"),
        ({"name": ["raw"]}, "is unknown"),
        ({"name": "Raw"}, "codec 'Raw' is unknown"),
        ({"name": "raw"}, "setting 'dtype' is missing"),
        ({"name": "raw", "dtype": "f32", "extra": 1}, "unknown setting 'extra'"),
        ({"name": "raw", "dtype": {}}, "expected one of"),
        ({"name": "linear", "bits": 4}, "settings"),
        ({"name": "linear", "bits": 4, "per": "tensor"}, "settings"),
        ({"name": "linear", "bits": 4, "per": ["row"], "range_dtype": "f32"}, "per"),
        ({"name": "linear", "bits": 4, "per": "row", "range_dtype": ["f32"]}, "range_dtype"),
        (
            {"name": "linear", "bits": 4, "per": "row", "range_dtype": "f16", "search_range": True},
            "unknown setting 'search_range'",
        ),
        (
            {
                "name": "linear",
                "bits": 4,
                "per": "tensor",
                "range_dtype": "f32",
                "group_size": None,
            },
            "settings",
        ),
        ({"name": "rademacher", "seed": 1}, "settings"),
        ({"name": "rademacher", "seed": None}, "settings"),
    ],
)
def test_entries_that_no_codec_writes_are_refused(entry, message):
    with pytest.raises(CodecError, match=message):
        codec_from_header(entry)


@dataclass(frozen=True)
class RunLength(Codec):
    """A codec whose size depends on the values: what an entropy coder will be."""

    name: ClassVar[str] = "run-length"

    size: int = 0

    @property
    def decoded_dtype(self):
        return np.dtype(np.uint8)

    def n_bytes(self, shape):
        return self.size

    def fitted(self, values):
        return RunLength(len(self.encode(values)))

    def encode(self, values):
        starts = np.flatnonzero(np.diff(values, prepend=-1))
        runs = np.diff(np.append(starts, values.size))
        return bytes(np.stack([runs, values[starts]], axis=1).astype(np.uint8).ravel())

    def decode(self, data, shape):
        pairs = np.frombuffer(data, np.uint8).reshape(-1, 2)
        values = np.repeat(pairs[:, 1], pairs[:, 0])
        if values.size != count_values(shape):
            raise CodecError("runs of the wrong length")
        return values.reshape(shape)


def test_a_new_codec_joins_without_touching_reader_or_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(codecs, "CODECS", {**CODECS, "run-length": RunLength})
    values = np.repeat(np.array([3, 1, 3], np.int16), [5, 100, 2])
    tensors = [("a", values, RunLength()), ("b", values[:7], RunLength())]
    write_sqz(tmp_path / "x", model={}, tokenizer={}, metadata={}, tensors=tensors)
    with open_sqz(tmp_path / "x") as file:
        file.verify()
        assert [info.n_bytes for info in file.tensors.values()] == [6, 4]
        np.testing.assert_array_equal(file.read("a"), values)
