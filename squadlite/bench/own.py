"""squadlite's own runtimes: the reader that `squadlite ask` uses, straight from the .sqz file."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from squadlite.bench.instructions import torch_instructions
from squadlite.bench.kind import RuntimeKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from squadlite.answering.reader import Reader
    from squadlite.answering.spans import Reading
    from squadlite.config import Compute


class OwnRuntime:
    """A reader as a runtime."""

    def __init__(self, reader: "Reader") -> None:
        self._reader = reader

    def logits(
        self,
        input_ids: "NDArray[np.int64]",
        token_type_ids: "NDArray[np.int64]",
        attention_mask: "NDArray[np.bool_]",
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        """See `Runtime`."""
        return self._reader.logits(input_ids, token_type_ids, attention_mask)

    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> "list[Reading]":
        """See `TextReader`."""
        return self._reader.read_pairs(pairs)

    def instructions(self, run: Callable[[], object]) -> str | None:
        """See `TellsInstructions`."""
        # Only our own kernels know; torch has to be asked.
        own: str | None = getattr(self._reader.scorer, "instructions", None)
        return own or torch_instructions(run)


def _load(model: Path, threads: int, *, compute: "Compute") -> OwnRuntime:
    from squadlite.answering.reader import Reader

    return OwnRuntime(Reader.load(model, threads=threads, compute=compute))


def _without_kernels() -> str | None:
    from squadlite.native import cpu_with_kernels

    return None if cpu_with_kernels() else "there are no 8-bit kernels for this processor"


_BY_TORCH = {"f32", "bf16"}


def _kind(compute: "Compute") -> RuntimeKind:
    return RuntimeKind(
        name=f"squadlite {compute}",
        precision=compute,
        is_peer=False,
        unsupported=_without_kernels if compute == "int8" else lambda: None,
        # Where our own kernels can't compute the model, loading it imports torch too.
        requires=("squadlite.answering.reader", *(("torch",) if compute in _BY_TORCH else ())),
        load=partial(_load, compute=compute),
    )


KINDS = (_kind("f32"), _kind("bf16"), _kind("int8"), _kind("auto"))
