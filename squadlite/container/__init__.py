"""
The .sqz file: named arrays, a model configuration and a tokenizer, in one checked file.

    write_sqz(path, model=..., tokenizer=..., metadata=..., tensors=[(name, array, codec), ...])
    with open_sqz(path) as file:
        file.read("span_head.weight")

Source: format_spec.md.
"""

from typing import TYPE_CHECKING

from squadlite.container.exports import importer

if TYPE_CHECKING:
    from squadlite.container.codecs import (
        Codec,
        Linear,
        Rademacher,
        Raw,
        Uniform,
        nearest_exponents,
        seeded_signs,
        sketch_matrix,
    )
    from squadlite.container.header import TensorInfo
    from squadlite.container.reader import SqzFile, open_sqz
    from squadlite.container.writer import copy_sqz, write_sqz

__all__ = [
    "Codec",
    "Linear",
    "Rademacher",
    "Raw",
    "SqzFile",
    "TensorInfo",
    "Uniform",
    "copy_sqz",
    "nearest_exponents",
    "open_sqz",
    "seeded_signs",
    "sketch_matrix",
    "write_sqz",
]

# What reads a file needs neither what writes one nor all codecs.
__getattr__ = importer(
    __name__,
    {
        "SqzFile": "reader",
        "TensorInfo": "header",
        "copy_sqz": "writer",
        "open_sqz": "reader",
        "write_sqz": "writer",
    }
    | dict.fromkeys(
        (
            "Codec",
            "Linear",
            "Rademacher",
            "Raw",
            "Uniform",
            "nearest_exponents",
            "seeded_signs",
            "sketch_matrix",
        ),
        "codecs",
    ),
)
