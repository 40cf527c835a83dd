"""transformers on torch: in float32, in bfloat16, and with its linear maps in dynamic int8."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from squadlite.bench.instructions import torch_instructions
from squadlite.bench.kind import RuntimeKind
from squadlite.bench.peers.weights import save_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TransformersRuntime:
    """A question-answering model of transformers."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def logits(
        self,
        input_ids: "NDArray[np.int64]",
        token_type_ids: "NDArray[np.int64]",
        attention_mask: "NDArray[np.bool_]",
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        """See `Runtime`."""
        import torch

        inputs = {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(attention_mask.astype("int64")),
        }
        if getattr(self.model.config, "type_vocab_size", 0):
            inputs["token_type_ids"] = torch.from_numpy(token_type_ids)
        with torch.inference_mode():
            output = self.model(**inputs)
        return output.start_logits.float().numpy(), output.end_logits.float().numpy()

    def instructions(self, run: Callable[[], object]) -> str | None:
        """See `TellsInstructions`."""
        return torch_instructions(run)


def _prepare(model: Path, folder: Path, _: Path | None) -> Path:
    return save_weights(model, folder)


def load_transformers(folder: Path, threads: int, *, dtype: str = "float32") -> TransformersRuntime:
    """
    Load a checkpoint folder as transformers does.

    Args:
        folder: from `save_weights`.
        threads: that torch computes with.
        dtype: the name of the torch dtype that weights and activations have.
    """
    import torch
    import transformers

    torch.set_num_threads(threads)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(
        folder, dtype=getattr(torch, dtype)
    )
    return TransformersRuntime(model.eval())


def _load_int8(folder: Path, threads: int) -> TransformersRuntime:
    import torch

    runtime = load_transformers(folder, threads)
    with warnings.catch_warnings():
        # Deprecated in favour of torchao, which takes twice as long for the same, and compiled
        # 1.3 times as long.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        # A scale per row of a weight matrix: as fast as one for all of it, and far more exact.
        settings = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
        model = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            runtime.model, settings
        )
    return TransformersRuntime(model)


# transformers imports lazily: this module brings in all that a BERT needs.
_REQUIRES = ("torch", "transformers.models.bert.modeling_bert")

KINDS = (
    RuntimeKind(
        name="transformers f32",
        precision="f32",
        is_peer=True,
        requires=_REQUIRES,
        prepare=_prepare,
        load=load_transformers,
    ),
    RuntimeKind(
        name="transformers bf16",
        precision="bf16",
        is_peer=True,
        requires=_REQUIRES,
        prepare=_prepare,
        load=partial(load_transformers, dtype="bfloat16"),
    ),
    RuntimeKind(
        name="torch int8",
        precision="int8",
        is_peer=True,
        requires=_REQUIRES,
        prepare=_prepare,
        load=_load_int8,
    ),
)
