"""Small .sqz files for the container's tests: golden ones, and ones that break a chosen rule."""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from squadlite.answering.tokenizer_spec import (
    BYTE_ALPHABET,
    ByteBPESpec,
    TokenizerSpec,
    UnigramSpec,
)
from squadlite.config import ModelConfig, tensor_shapes
from squadlite.container import Codec, Linear, Rademacher, Raw, Uniform, write_sqz
from squadlite.container.codecs import splitmix64

GOLDEN = Path(__file__).parent / "golden"

Sample = list[tuple[str, np.ndarray, Codec]]


def write_tiny(path: Path) -> None:
    """The file that format_spec.md shows byte by byte."""
    write_sqz(
        path,
        model={"hidden_size": 2},
        tokenizer={},
        metadata={"name": "tiny"},
        tensors=[
            ("a.weight", np.array([[-1, 0, 1], [2, 3, 6]], np.float32), Linear(3)),
            ("b", np.array([1, 2], np.uint16), Raw("u16")),
        ],
    )


def write_codecs(path: Path) -> None:
    """Every codec of version 1.0, with values that it holds exactly."""
    metadata = {"name": "codecs", "numbers": [0, -1, 1e-12, 0.1, 1e16, 2.5], "text": 'é"\\\n\x1f'}
    write_sqz(path, model={}, tokenizer={}, metadata=metadata, tensors=exact_tensors())


def write_coded(path: Path) -> None:
    """Every codec and coding of version 2.0, with values that it holds exactly."""
    metadata = {"name": "coded", "text": "again and again and again"}
    write_sqz(path, model={}, tokenizer={}, metadata=metadata, tensors=coded_tensors())


# Name -> what a model has that those of version 1.0 have not, or else.
GOLDEN_MODELS: dict[str, dict[str, Any]] = {
    "distances": {
        "type_vocab_size": 0,
        "relative_position_buckets": 32,
        "max_position_embeddings": 100,
        "layer_map": [0, 1, 0],
    },
    "narrow": {
        "type_vocab_size": 2,
        "embedding_size": 3,
        "max_position_embeddings": 12,
        "layer_map": [0, 0, 0],
        "hidden_act": "gelu_new",
        "sketch_dims": {"attention.query": 3, "feed_forward.output": 5},
    },
}


def write_golden_model(path: Path, name: str, metadata: Any) -> None:
    """A model of a few hundred values."""
    config = ModelConfig.from_dict(
        {
            "vocab_size": 7,
            "hidden_size": 4,
            "num_layers": 3,
            "num_heads": 2,
            "intermediate_size": 6,
            "layer_norm_eps": 1e-5,
            "hidden_act": "gelu",
            "sketch_dims": {},
            **GOLDEN_MODELS[name],
        }
    )
    tensors: Sample = []
    for seed, (tensor, shape) in enumerate(tensor_shapes(config).items(), 100):
        if tensor.endswith(".sketch"):
            codec: Codec = Rademacher(seed)
            tensors.append((tensor, codec.decode(b"", shape), codec))
        else:
            codes = splitmix64(seed, math.prod(shape)) >> np.uint64(59)  # 5 bits
            spread = 64 if tensor.endswith(".bias") else 8
            values = (codes.astype(np.float32) - 16) / spread + ("norm.weight" in tensor)
            tensors.append((tensor, values.reshape(shape), Raw("f16").compressed()))
    write_sqz(
        path,
        model=config.to_dict(),
        tokenizer={},
        metadata=metadata,
        tensors=tensors,
        needed=config.version,
    )


# The example of format_spec.md.
_BYTE_PIECES = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", *BYTE_ALPHABET, "th", "Ġth", "the")
BYTE_BPE = ByteBPESpec(
    vocab=_BYTE_PIECES,
    merges=tuple(
        (_BYTE_PIECES.index(left), _BYTE_PIECES.index(right))
        for left, right in (("t", "h"), ("Ġ", "th"), ("th", "e"))
    ),
)
_SCORED_PIECES = {
    "<pad>": 0.0,
    "<unk>": 0.0,
    "[CLS]": 0.0,
    "[SEP]": 0.0,
    "[MASK]": 0.0,
    "▁": -2.0,
    "▁the": -3.0,
    "the": -4.25,
    "t": -5.0,
    "h": -5.0,
    "e": -4.5,
    "n": -5.5,
    "he": -6.0,
    "1": -7.0,
    "/": -7.5,
    "2": -7.0,
}
UNIGRAM = UnigramSpec(
    vocab=tuple(_SCORED_PIECES),
    scores=tuple(_SCORED_PIECES.values()),
    normalizer=(
        ("replace", "``", '"'),
        ("charsmap",),
        ("nfd",),
        ("strip_accents",),
        ("lowercase",),
        ("collapse_spaces", " "),
    ),
    charsmap=(("\t", " "), ("½", "1/2"), ("ﬀ", "ff"), ("Ａ\u0301", "e")),
)
TOKENIZED = ("the then", "The  thén\n½ <s>", "", "日本 thＡ\u0301[SEP]")


def raw_codec(values: np.ndarray) -> Raw:
    """The codec that stores values as they are."""
    return Raw(f"{values.dtype.kind}{8 * values.itemsize}")


def tokenizer_file(
    header: Any, tensors: dict[str, np.ndarray], version: tuple[int, int] = (2, 0)
) -> Any:
    """What from_sqz looks at of an open file whose tensors are raw."""
    return SimpleNamespace(
        tokenizer=header,
        version=version,
        tensors={
            name: SimpleNamespace(shape=values.shape, codec=raw_codec(values))
            for name, values in tensors.items()
        },
        read=tensors.__getitem__,
    )


def write_tokenizer_file(
    path: Path, spec: TokenizerSpec, *, compressed: bool = True, metadata: Any = None
) -> None:
    """A file of a tokenizer alone."""
    codecs = {name: raw_codec(values) for name, values in spec.to_tensors().items()}
    write_sqz(
        path,
        model={},
        tokenizer=spec.to_header(),
        metadata=metadata or {},
        tensors=[
            (name, values, codecs[name].compressed() if compressed else codecs[name])
            for name, values in spec.to_tensors().items()
        ],
        needed=spec.version,
    )


def exact_tensors() -> Sample:
    """Tensors that come back exactly, and every codec of version 1.0 among them."""
    tensors: Sample = [
        (f"raw.{dtype}", np.array([-2.5, 0, 1, 0.0078125], np.float32), Raw(dtype))
        for dtype in ("f32", "f16", "bf16")
    ]
    for name in ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"):
        dtype = np.dtype(name[0] + str(int(name[1:]) // 8))
        limits = np.iinfo(dtype)
        tensors.append((f"raw.{name}", np.array([limits.min, 7, limits.max], dtype), Raw(name)))
    for bits in range(1, 17):
        tensors.append((f"linear.{bits}", quarters(bits, 11), Linear(bits)))
    ragged = np.stack([quarters(2, 3), quarters(2, 3) * 2, quarters(2, 3) - 1, quarters(2, 3)])
    tensors += [
        ("linear.row", np.stack([quarters(5, 9), quarters(5, 9) * 4]), Linear(5, "row")),
        ("linear.group", ragged.reshape(2, 6)[:, :5], Linear(2, "group", 3)),
        (
            "linear.group.f32",
            np.stack([quarters(3, 4), quarters(3, 4) * 2]) * 2**20,
            Linear(3, "group", 4, range_dtype="f32"),
        ),
        ("linear.constant", np.full((2, 3), np.float32(0.1)), Linear(4)),
        ("linear.empty", np.empty((0, 5), np.float32), Linear(7, "row")),
        ("linear.scalar", np.array(0.3, np.float32), Linear(9)),
        ("signs", Rademacher(seed=99).decode(b"", (3, 5)), Rademacher()),
        ("seeded", Rademacher(seed=7).decode(b"", (2, 70)), Rademacher(seed=7)),
    ]
    return tensors


def coded_tensors() -> Sample:
    """Tensors that come back exactly, and that every coding makes smaller."""
    tensors: Sample = [
        (f"raw.{dtype}", skewed(8, 300).astype(np.float32) / 4, Raw(dtype).compressed())
        for dtype in ("f32", "f16", "bf16")
    ]
    tensors += [
        ("raw.u8", np.frombuffer(b"a word\nand words\n" * 9, np.uint8), Raw("u8").compressed()),
        ("raw.u16", np.arange(500, dtype=np.uint16) * 3, Raw("u16").compressed()),
        ("raw.i64", np.arange(60) - 30, Raw("i64").compressed()),
        ("raw.short", np.array([1.5], np.float32), Raw("f16").compressed()),
    ]
    for bits in (1, 3, 4, 8, 9, 13, 16):
        tensors.append((f"linear.{bits}", codes_in_quarters(bits, 900), Linear(bits).compressed()))
    matrix, wide = (codes_in_quarters(bits, 1200).reshape(150, 8) for bits in (4, 10))
    matrix[:, 0], matrix[:, 7] = -2, 1.75
    wide[:, 0], wide[:, 7] = -2, 253.75
    tensors += [
        ("linear.row", matrix, Linear(4, "row").compressed()),
        ("linear.group", np.tile(matrix, 2), Linear(4, "group", 8).compressed()),
        ("linear.row.f32", matrix, Linear(4, "row", range_dtype="f32").compressed()),
        ("linear.row.10", wide, Linear(10, "row").compressed()),
        ("linear.constant", np.full((60, 3), np.float32(0.1)), Linear(4, "row").compressed()),
        ("linear.empty", np.empty((0, 5), np.float32), Linear(7, "row").compressed()),
    ]
    tensors += [
        (f"uniform.{name}", codes.astype(np.float32) * codec.spacing, codec)
        for name, codes, codec in (
            ("plain", skewed(5, 800) - 16, Uniform(0.25)),
            ("long", skewed(8, 20000) - 100, Uniform(0.1)),
            ("far", skewed(3, 70).reshape(7, 2, 5) + 900, Uniform(2.0**-100)),
            ("farthest", np.array([-(2**15)]), Uniform(2.0**96)),
            ("rows", skewed(4, 120).reshape(6, 20), scaled("rows", range(-128, 128, 43))),
            ("columns", skewed(4, 120).reshape(6, 20), scaled("columns", range(-10, 10))),
            ("equal", skewed(4, 120).reshape(6, 20), scaled("columns", [7] * 20)),
            ("constant", np.full((9, 9), -3), Uniform(0.7)),
            ("random", np.arange(256) - 128, Uniform(1e-9)),
            ("empty", np.empty((0, 2), np.int64), scaled("columns", [1, 2])),
            ("scalar", np.array(5), Uniform(0.3)),
        )
    ]
    return tensors


def scaled(scales: str, exponents: Iterable[int]) -> Uniform:
    """A uniform codec with a scale for each row or column."""
    return Uniform(0.01, scales, exponents=np.array([*exponents], np.int8))


def skewed(bits: int, count: int) -> np.ndarray:
    """Whole numbers below 2**bits, small ones the most frequent; 0 and the largest among them."""
    draws = splitmix64(bits, 3 * count).reshape(3, count) >> np.uint64(64 - bits)
    numbers = (draws[0] & draws[1] & draws[2]).astype(np.int64)
    numbers[0], numbers[-1] = 0, 2**bits - 1
    return numbers


def codes_in_quarters(bits: int, count: int) -> np.ndarray:
    """Values -2 + k/4 for skewed codes k."""
    return (skewed(bits, count) / 4 - 2).astype(np.float32)


def quarters(bits: int, count: int) -> np.ndarray:
    """Values -2 + k/4, 0 <= k < 2**bits, the first and last among them."""
    codes = [0, 2**bits - 1, *(k * 7919 % 2**bits for k in range(2, count))]
    return np.array([code / 4 - 2 for code in codes], np.float32)


def build(header: object, data: bytes = b"", *, deflate: bool = False, **changes: Any) -> bytes:
    """
    A file with right digests around any header.

    Args:
        header: a JSON value, or the bytes to take for its text.
        data: what lies between preamble and header, without the padding before the header.
        deflate: compress the header; the file is of version 2.0 then.
        changes: preamble fields to state wrongly: major, minor, flags, offset, length, total,
            reserved.
    """
    text = header if isinstance(header, bytes) else dump(header)
    text = deflated(text) if deflate else text
    data += bytes(-len(data) % 64)
    fields = {
        "major": 2 if deflate else 1,
        "minor": 0,
        "flags": 0,
        "offset": 128 + len(data),
        "length": len(text),
        "total": 128 + len(data) + len(text) + 32,
        "reserved": bytes(56),
    } | changes
    preamble = struct.pack("<8sHHIQQQ56s", b"\x89SQZ\r\n\x1a\n", *fields.values())
    preamble += hashlib.sha256(preamble + text).digest()
    body = preamble + data + text
    return body + hashlib.sha256(body).digest()


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def dump(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def tiny_parts() -> tuple[dict[str, Any], bytes]:
    """The header of tiny.sqz as a value of one's own to change, and its tensor data."""
    content = (GOLDEN / "tiny.sqz").read_bytes()
    offset, length = struct.unpack_from("<QQ", content, 16)
    return json.loads(content[offset : offset + length]), content[128:offset]


def coded_parts(name: str) -> tuple[dict[str, Any], bytes]:
    """A header of version 2.0 with one tensor of coded.sqz, and its data."""
    content = (GOLDEN / "coded.sqz").read_bytes()
    offset, length = struct.unpack_from("<QQ", content, 16)
    header = json.loads(zlib.decompress(content[offset : offset + length], wbits=-15))
    (entry,) = (entry for entry in header["tensors"] if entry["name"] == name)
    data = content[entry["offset"] : entry["offset"] + entry["n_bytes"]]
    return header | {"tensors": [entry | {"offset": 128}]}, data
