"""What a runtime is to the benchmark, and why one can't run here."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from squadlite.answering.spans import Reading

# Nothing is imported here, nor at the top of a module with a kind in it, that costs time: a worker
# imports them all before it times what its own runtime imports.

Precision = Literal["f32", "bf16", "int8", "auto"]


class Runtime(Protocol):
    """A model loaded and ready to answer."""

    def logits(
        self,
        input_ids: "NDArray[np.int64]",
        token_type_ids: "NDArray[np.int64]",
        attention_mask: "NDArray[np.bool_]",
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        """
        Score every token.

        Args:
            input_ids: (B, T) int64.
            token_type_ids: (B, T) int64: 0 for the question, 1 for the context.
            attention_mask: (B, T) bool, False for padding.

        Returns:
            start_logits and end_logits, each (B, T) float32; those of padding mean nothing.
        """


@runtime_checkable
class TextReader(Protocol):
    """
    Goes from texts to answers. A runtime may do that in its own way; for one that doesn't, the
    worker reads by `squadlite.bench.reading`.
    """

    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> "list[Reading]":
        """Look for answers: one reading per (question, context), in order."""


@runtime_checkable
class TellsInstructions(Protocol):
    """Can say by which of the processor's instructions it multiplies matrices."""

    def instructions(self, run: Callable[[], object]) -> str | None:
        """
        Name them, as the library does.

        Args:
            run: makes a forward pass.

        Returns:
            None where it turns out that the library doesn't tell.
        """


def the_model_itself(model: Path, folder: Path, questions: Path | None) -> Path:
    """Prepare nothing: the runtime loads the model as it is."""
    return model


@dataclass(frozen=True, kw_only=True)
class RuntimeKind:
    """
    One way to run a model.

    Args:
        name: the library and what it computes in, such as "onnxruntime int8".
        precision: of the matrix products; "auto": the runtime chooses.
        is_peer: whether this is what people would use in squadlite's place.
        requires: modules that must be installed. The worker imports them, in this order, before it
            loads: that is the runtime's import time.
        load: (what `prepare` gave, threads) -> a runtime; timed.
        prepare: (model, empty folder, questions) -> what `load` takes, written into the folder;
            not timed. The model is a .sqz file or a checkpoint folder in Hugging Face's layout;
            the questions are a SQuAD file for runtimes that calibrate themselves, or None.
        prepare_requires: modules that must be installed besides, for `prepare` alone.
        unsupported: why it can't run here though its modules are installed, or None.
    """

    name: str
    precision: Precision
    is_peer: bool
    requires: tuple[str, ...]
    load: Callable[[Path, int], Runtime]
    prepare: Callable[[Path, Path, Path | None], Path] = the_model_itself
    prepare_requires: tuple[str, ...] = ()
    unsupported: Callable[[], str | None] = lambda: None


def missing(kind: RuntimeKind) -> str | None:
    """Why a runtime can't run here, in a few words; None: it can."""
    for name in (*kind.requires, *kind.prepare_requires):
        library = name.partition(".")[0]
        if importlib.util.find_spec(library) is None:
            return f"{library} is not installed (pip install 'squadlite[bench]')"
    return kind.unsupported()
