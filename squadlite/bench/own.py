"""squadlite's own runtimes: the reader that `squadlite ask` uses, straight from the .sqz file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from squadlite.bench.kind import RuntimeKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from squadlite.answering.reader import Compute, Reader
    from squadlite.answering.spans import Reading


class OwnRuntime:
    """A reader as a runtime; forward passes take its model alone."""

    def __init__(self, reader: "Reader") -> None:
        self._reader = reader

    def logits(
        self,
        input_ids: "NDArray[np.int64]",
        token_type_ids: "NDArray[np.int64]",
        attention_mask: "NDArray[np.bool_]",
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        """See `Runtime`."""
        import torch

        with torch.inference_mode():
            start_logits, end_logits = self._reader.model(
                torch.from_numpy(input_ids),
                torch.from_numpy(token_type_ids),
                torch.from_numpy(attention_mask),
            )
        return start_logits.numpy(), end_logits.numpy()

    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> "list[Reading]":
        """See `TextReader`."""
        return self._reader.read_pairs(pairs)


def _load(model: Path, threads: int, *, compute: "Compute") -> OwnRuntime:
    import torch

    from squadlite.answering.reader import Reader

    torch.set_num_threads(threads)
    return OwnRuntime(Reader.load(model, threads=threads, compute=compute))


_REQUIRES = ("torch", "squadlite.answering.reader")

KINDS = (
    RuntimeKind(
        name="squadlite f32",
        precision="f32",
        is_peer=False,
        requires=_REQUIRES,
        load=partial(_load, compute="f32"),
    ),
    RuntimeKind(
        name="squadlite bf16",
        precision="bf16",
        is_peer=False,
        requires=_REQUIRES,
        load=partial(_load, compute="bf16"),
    ),
)
