"""Trained tensors -> what kernels read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squadlite.cache import map_cached, write_cached
from squadlite.config import RELATIVE_POSITION_BIAS
from squadlite.distances import distance_buckets
from squadlite.errors import SquadliteError
from squadlite.native.cpu import LINE
from squadlite.native.kept import kept_file, remove_unused
from squadlite.native.layout import LEAST_ACTIVATION, MAX_TOKENS, TINY, Layout, LinearLayout

Floats = NDArray[np.float32]
Tensors = Mapping[str, Floats]


class PackedWeights:
    """
    A model's weights as kernels read them.

    Args:
        image: from `pack_weights`, or `load_weights`: (layout.weights["end"],) uint8.
        layout: of the model, on this processor.
    """

    def __init__(self, image: NDArray[np.uint8], layout: Layout) -> None:
        self._image, self._layout = image, layout
        block, config = layout.layer["end"], layout.config
        first = image.ctypes.data + layout.weights["layers"]
        self._table = np.array([first + layer * block for layer in config.layer_map], np.uint64)

    @property
    def words(self) -> Floats:
        """(V, embedded)."""
        config = self._layout.config
        n_bytes = 4 * config.vocab_size * self._layout.embedded
        return self._image[:n_bytes].view(np.float32).reshape(config.vocab_size, -1)

    @property
    def addresses(self) -> dict[str, int]:
        """Slot of a frame -> where its weights are, as long as this object lives."""
        first = self._image.ctypes.data
        parts = {name: first + at for name, at in self._layout.weights.items() if name != "end"}
        return parts | {"layers": self._table.ctypes.data}


def load_weights(
    tensors: Tensors, layout: Layout, digest: str | None, cache_dir: Path | None = None
) -> PackedWeights:
    """
    A model's weights from the cache; packed, and kept there, where it hasn't them.

    Args:
        tensors: the model's, which aren't asked for where the cache has them packed.
        layout: of the model, on this processor.
        digest: of the tensors, by which they are found again; None: the cache is left alone.
        cache_dir: `default_cache_dir()` if None.

    Raises:
        SquadliteError: weights that aren't numbers.
    """
    if digest is None:
        return PackedWeights(pack_weights(tensors, layout), layout)
    kept = kept_file("weights", (digest, layout.config, layout.cpu), ".bin", cache_dir)
    n_bytes = layout.weights["end"]
    if (mapped := map_cached(kept, n_bytes)) is not None:
        return PackedWeights(np.frombuffer(mapped, np.uint8, n_bytes), layout)
    image = pack_weights(tensors, layout)
    if write_cached(kept, image.data):
        remove_unused(kept, "weights")
    return PackedWeights(image, layout)


def pack_weights(tensors: Tensors, layout: Layout) -> NDArray[np.uint8]:
    """
    All weights as kernels read them, at the places of `Layout.weights`.

    Args:
        tensors: the model's.
        layout: of the model, on this processor.

    Raises:
        SquadliteError: weights that aren't numbers.
    """
    config = layout.config
    image = aligned_zeros(layout.weights["end"])

    def put(name: str, part: NDArray[Any], at: int = 0) -> None:
        first = layout.weights[name] + at
        image[first : first + part.nbytes] = part.reshape(-1).view(np.uint8)

    # One at a time, as a tensor may be made when it is asked for.
    put("words", _embeddings(tensors, "word"))
    put("positions", _embeddings(tensors, "position"))
    if config.type_vocab_size:
        put("types", _embeddings(tensors, "token_type"))
    if layout.has_biases:
        put("biases", pack_biases(tensors))
    put("ends", pack_ends(tensors, layout))
    for layer in range(config.num_layer_groups):
        put("layers", pack_layer(tensors, layer, layout), at=layer * layout.layer["end"])
    return image


def _embeddings(tensors: Tensors, kind: str) -> Floats:
    return _finite(np.ascontiguousarray(tensors[f"embeddings.{kind}.weight"], dtype=np.float32))


def pack_layer(tensors: Tensors, layer: int, layout: Layout) -> NDArray[np.uint8]:
    """One stored layer's block."""
    block = aligned_zeros(layout.layer["end"])

    def put(name: str, packed: NDArray[np.uint8]) -> None:
        block[layout.layer[name] : layout.layer[name] + len(packed)] = packed

    def dense(name: str) -> tuple[Floats, Floats]:
        prefix = f"layers.{layer}.{name}"
        bias = tensors[f"{prefix}.bias"]
        if f"{prefix}.sketch" in tensors:
            return tensors[f"{prefix}.sketched_weight"] @ tensors[f"{prefix}.sketch"], bias
        return tensors[f"{prefix}.weight"], bias

    def norm(name: str) -> NDArray[np.uint8]:
        return norm_bytes(tensors, f"layers.{layer}.{name}.norm")

    parts = [dense(f"attention.{name}") for name in ("query", "key", "value")]
    weight, bias = (np.concatenate(both) for both in zip(*parts, strict=True))
    put("query_key_value", pack_linear(weight, bias, layout.query_key_value))
    put("gather", pack_linear(*dense("attention.output"), layout.gather))
    put("attention_norm", norm("attention"))
    put("widen", pack_linear(*dense("feed_forward.intermediate"), layout.widen))
    lowest = LEAST_ACTIVATION[layout.config.hidden_act]
    put("narrow", pack_linear(*dense("feed_forward.output"), layout.narrow, lowest=lowest))
    put("norm", norm("feed_forward"))
    return block


def pack_linear(
    weight: Floats, bias: Floats, layout: LinearLayout, *, lowest: float | None = None
) -> NDArray[np.uint8]:
    """
    Quantize a linear map, each output with a scale of its own, and lay it out in panels.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,).
        layout: the map's.
        lowest: what the lowest code of inputs stands for; None: inputs are of either sign.

    Raises:
        SquadliteError: weights that aren't numbers.
    """
    cpu = layout.cpu
    tops = _finite(np.maximum(weight.max(axis=1), -weight.min(axis=1)))
    bias = _finite(bias)
    scales = np.maximum(tops, TINY) / cpu.top_weight
    scaled = weight * (1 / scales)[:, None]
    codes = np.rint(scaled, out=scaled).astype(np.int8, order="C")
    sums = codes.sum(axis=1, dtype=np.int32)
    if lowest is None:
        first = -cpu.zero_code * sums
    else:
        first = -cpu.lowest_code * sums
        bias = (bias + lowest * sums * scales).astype(np.float32)
    return _in_panels(codes, (first.view(np.float32), scales, bias), layout)


def _in_panels(
    codes: NDArray[np.int8], after: tuple[NDArray[np.floating], ...], layout: LinearLayout
) -> NDArray[np.uint8]:
    """
    Lay a quantized map out as `LinearLayout` says.

    Args:
        codes: (outputs, inputs), C-contiguous.
        after: what stands after the codes of a panel: (outputs,) float32 each.
        layout: the map's.
    """
    panels, cpu = layout.panels, layout.cpu
    steps = codes.view(f"i{cpu.step_inputs}").reshape(panels, layout.vectors, cpu.lanes, -1)
    packed = np.empty((panels, layout.panel_bytes), dtype=np.uint8)
    in_steps = np.ascontiguousarray(steps.transpose(0, 3, 1, 2)).view(np.uint8)
    packed[:, : layout.code_bytes] = in_steps.reshape(panels, -1)
    behind = np.stack([part.reshape(panels, -1) for part in after], axis=1)
    packed[:, layout.code_bytes :] = behind.reshape(panels, -1).view(np.uint8)
    return packed.reshape(-1)


def pack_biases(tensors: Tensors) -> Floats:
    """(heads, 2 MAX_TOKENS): each head's bias of a key that far from its query, in octaves."""
    octaves = _finite(tensors[f"{RELATIVE_POSITION_BIAS}.weight"]) * np.float32(np.log2(np.e))
    biases = np.zeros((octaves.shape[1], 2 * MAX_TOKENS), dtype=np.float32)
    biases[:, 1:] = octaves[distance_buckets(MAX_TOKENS)].T
    return biases


def pack_ends(tensors: Tensors, layout: Layout) -> NDArray[np.uint8]:
    """The norm of embeddings, their projection if they have one, and the span head."""
    block = aligned_zeros(layout.ends["end"])
    parts = {
        "norm": norm_bytes(tensors, "embeddings.norm"),
        "span_weight": _bytes(tensors["span_head.weight"]),
        "span_bias": _bytes(tensors["span_head.bias"]),
    }
    if layout.projection is not None:
        name = "embeddings.projection"
        parts["projection"] = pack_linear(
            tensors[f"{name}.weight"], tensors[f"{name}.bias"], layout.projection
        )
    for name, part in parts.items():
        block[layout.ends[name] : layout.ends[name] + len(part)] = part
    return block


def norm_bytes(tensors: Tensors, name: str) -> NDArray[np.uint8]:
    """A norm's weight and bias."""
    return np.concatenate([_bytes(tensors[f"{name}.weight"]), _bytes(tensors[f"{name}.bias"])])


def aligned_zeros(n_bytes: int) -> NDArray[np.uint8]:
    """Memory full of zeros that begins where a line of the cache does."""
    memory = np.zeros(n_bytes + LINE, dtype=np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + n_bytes]


def _bytes(values: Floats) -> NDArray[np.uint8]:
    return np.ascontiguousarray(_finite(values), dtype=np.float32).reshape(-1).view(np.uint8)


def _finite(values: Floats) -> Floats:
    # Codes would hide what isn't a number: the logits could look sound.
    if not np.isfinite(values).all():
        raise SquadliteError("the model's weights are not all finite: they are damaged")
    return values
