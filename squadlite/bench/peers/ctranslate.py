"""CTranslate2: its encoder in float32, bfloat16 and int8, with the span head in numpy."""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from squadlite.bench.kind import RuntimeKind
from squadlite.bench.peers.weights import save_for_transformers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEAD = "span_head.safetensors"


class CTranslateRuntime:
    """
    An encoder of CTranslate2 and the two rows that score its output.

    The library takes lists of ids, each as long as it is, and pads them itself.
    """

    def __init__(self, encoder: Any, head: "dict[str, NDArray[np.float32]]") -> None:
        self._encoder = encoder
        self._head = head  # weight (2, hidden), bias (2,)

    def logits(
        self,
        input_ids: "NDArray[np.int64]",
        token_type_ids: "NDArray[np.int64]",
        attention_mask: "NDArray[np.bool_]",
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        """See `Runtime`."""
        import numpy as np

        lengths = attention_mask.sum(axis=1)
        ids, kinds = (
            [row[:length].tolist() for row, length in zip(rows, lengths, strict=True)]
            for rows in (input_ids, token_type_ids)
        )
        output = self._encoder.forward_batch(ids, token_type_ids=kinds)
        hidden = np.array(output.last_hidden_state)  # (B, the longest row, hidden)
        logits = np.zeros((*input_ids.shape, 2), dtype=np.float32)
        logits[:, : hidden.shape[1]] = hidden @ self._head["weight"].T + self._head["bias"]
        return logits[..., 0], logits[..., 1]


def _prepare(model: Path, folder: Path, _: Path | None, *, quantization: str) -> Path:
    from ctranslate2.converters import TransformersConverter
    from safetensors.numpy import load_file, save_file

    with tempfile.TemporaryDirectory() as scratch:
        source = save_for_transformers(model, Path(scratch))
        config_file = source / "config.json"
        # The converter asks for a field that transformers 5 doesn't fill in any more.
        config = json.loads(config_file.read_bytes()) | {"position_embedding_type": "absolute"}
        config_file.write_text(json.dumps(config), encoding="utf-8")
        converter = TransformersConverter(str(source))
        converter.convert(str(folder), quantization=quantization, force=True)
        weights = load_file(source / "model.safetensors")
    head = {leaf: weights[f"qa_outputs.{leaf}"] for leaf in ("weight", "bias")}
    save_file(head, folder / _HEAD)
    return folder


def _load(folder: Path, threads: int, *, compute_type: str) -> CTranslateRuntime:
    import ctranslate2
    from safetensors.numpy import load_file

    encoder = ctranslate2.Encoder(
        str(folder),
        device="cpu",
        compute_type=compute_type,
        inter_threads=1,
        intra_threads=threads,
    )
    return CTranslateRuntime(encoder, load_file(folder / _HEAD))


def _unsupported(compute_type: str) -> str | None:
    import ctranslate2

    if compute_type in ctranslate2.get_supported_compute_types("cpu"):
        return None
    return f"ctranslate2 {ctranslate2.__version__} doesn't compute in {compute_type} on this CPU"


def _kind(precision: Any, compute_type: str) -> RuntimeKind:
    return RuntimeKind(
        name=f"ctranslate2 {precision}",
        precision=precision,
        is_peer=True,
        requires=("ctranslate2", "safetensors.numpy"),
        prepare_requires=("transformers",),
        prepare=partial(_prepare, quantization=compute_type),
        load=partial(_load, compute_type=compute_type),
        unsupported=partial(_unsupported, compute_type),
    )


KINDS = (_kind("f32", "float32"), _kind("bf16", "bfloat16"), _kind("int8", "int8"))
