"""Small .sqz files for the container's tests: golden ones, and ones that break a chosen rule."""

import copy
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from squadlite.container import Codec, Linear, Rademacher, Raw, write_sqz

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
    """Every codec, with values that it holds exactly."""
    metadata = {"name": "codecs", "numbers": [0, -1, 1e-12, 0.1, 1e16, 2.5], "text": 'é"\\\n\x1f'}
    write_sqz(path, model={}, tokenizer={}, metadata=metadata, tensors=exact_tensors())


def exact_tensors() -> Sample:
    """Tensors that come back exactly, and every codec among them."""
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


def quarters(bits: int, count: int) -> np.ndarray:
    """Values -2 + k/4, 0 <= k < 2**bits, the first and last among them."""
    codes = [0, 2**bits - 1, *(k * 7919 % 2**bits for k in range(2, count))]
    return np.array([code / 4 - 2 for code in codes], np.float32)


def build(header: object, data: bytes = b"", **changes: Any) -> bytes:
    """
    A file with right digests around any header.

    Args:
        header: a JSON value, or the bytes to take for its text.
        data: what lies between preamble and header, without the padding before the header.
        changes: preamble fields to state wrongly: major, minor, flags, offset, length, total,
            reserved.
    """
    text = header if isinstance(header, bytes) else dump(header)
    data += bytes(-len(data) % 64)
    fields = {
        "major": 1,
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


def dump(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def tiny_parts() -> tuple[dict[str, Any], bytes]:
    """The header of tiny.sqz as a value of one's own to change, and its tensor data."""
    content = (GOLDEN / "tiny.sqz").read_bytes()
    offset, length = struct.unpack_from("<QQ", content, 16)
    return copy.deepcopy(json.loads(content[offset : offset + length])), content[128:offset]
