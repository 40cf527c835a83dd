"""A model as an ONNX graph of the fused operators that ONNX Runtime has for BERT."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from squadlite import __version__
from squadlite.config import RELATIVE_POSITION_BIAS, ModelConfig
from squadlite.distances import distance_buckets

# The names of the operators and of their inputs are ONNX Runtime's: docs/ContribOperators.md there.
_FUSED = "com.microsoft"
_OPSETS = {"": 20, _FUSED: 1}  # 20 is the first with Gelu
# That of the ONNX releases with opset 20; runtimes refuse newer ones than they know.
_IR_VERSION = 9

_ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}


def build_graph(config: ModelConfig, tensors: Mapping[str, NDArray[np.float32]]) -> ModelProto:
    """
    Lay a model out as what torch's exporter and ONNX Runtime's transformer optimizer end with.

    Query, key and value are one matrix inside one Attention; a sum and the norm after it are one
    SkipLayerNormalization. The weights of a layer that runs more than once are there once; a
    sketched linear is the product of its parts, (W S^T) S.

    Args:
        config: of the model.
        tensors: as `tensor_shapes` lists them.

    Returns:
        The model. Inputs: input_ids, token_type_ids (for a model that has token types),
        attention_mask, each (batch, length) int64. Outputs: start_logits, end_logits, each
        (batch, length) float32.
    """
    return _Builder(config, tensors).build()


class _Builder:
    """Collects the nodes and the weights of one graph."""

    def __init__(self, config: ModelConfig, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self._config = config
        self._tensors = tensors
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, TensorProto] = {}

    # Shapes in comments: B windows in a batch, T tokens each.

    def build(self) -> ModelProto:
        names = ["input_ids", "attention_mask"]
        if self._config.type_vocab_size:
            names.insert(1, "token_type_ids")
        mask = self._node("Cast", "attention_mask", to=TensorProto.INT32)  # (B, T)
        hidden = self._embeddings()
        bias = self._position_bias() if self._config.relative_position_buckets else ""
        for stored in self._config.layer_map:
            hidden = self._layer(f"layers.{stored}", hidden, mask, bias)
        self._span_head(hidden)
        shape = ["batch", "length"]
        graph = helper.make_graph(
            self._nodes,
            "squadlite",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in names],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name in ("start_logits", "end_logits")
            ],
            initializer=list(self._weights.values()),
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*item) for item in _OPSETS.items()],
            ir_version=_IR_VERSION,
            producer_name="squadlite",
            producer_version=__version__,
        )

    def _embeddings(self) -> str:
        words = self._gather("embeddings.word.weight", "input_ids")  # (B, T, embedding_width)
        positions = self._first(self._stored("embeddings.position.weight"))
        if self._config.type_vocab_size:
            kinds = self._gather("embeddings.token_type.weight", "token_type_ids")
            words = self._node("Add", words, kinds)
        embedded = self._node("Add", words, positions)
        weight, bias = (self._stored(f"embeddings.norm.{leaf}") for leaf in ("weight", "bias"))
        normed = self._node(
            "LayerNormalization", embedded, weight, bias, epsilon=self._config.layer_norm_eps
        )
        if self._config.embedding_size is None:
            return normed
        name = "embeddings.projection"
        return self._node("Add", self._product(name, normed), self._stored(f"{name}.bias"))

    def _position_bias(self) -> str:
        n_positions = self._config.max_position_embeddings
        # The last query's distances come first.
        windows = sliding_window_view(distance_buckets(n_positions), n_positions)[::-1]
        whole = self._weight("buckets", windows.astype(np.int32))
        buckets = self._first(self._first(whole), axis=1)  # (T, T)
        by_key = self._gather(f"{RELATIVE_POSITION_BIAS}.weight", buckets)  # (T, T, heads)
        by_head = self._node("Transpose", by_key, perm=(2, 0, 1))
        return self._node("Unsqueeze", by_head, self._zero())  # (1, heads, T, T)

    def _first(self, values: str, axis: int = 0) -> str:
        # As many as there are tokens in a window.
        length = self._node("Shape", "input_ids", start=1, end=2)  # (1,)
        axes = self._weight(f"axis {axis}", np.array([axis], dtype=np.int64))
        return self._node("Slice", values, self._zero(), length, axes)

    def _zero(self) -> str:
        return self._weight("zero", np.zeros(1, dtype=np.int64))

    def _layer(self, name: str, hidden: str, mask: str, bias: str) -> str:
        # An input without a name isn't there.
        biased = ("", bias) if bias else ()
        gathered = self._node(
            "Attention",
            hidden,
            *self._projections(f"{name}.attention"),
            mask,
            *biased,
            domain=_FUSED,
            num_heads=self._config.num_heads,
        )
        hidden = self._add_and_norm(f"{name}.attention", gathered, hidden)
        widened = self._product(f"{name}.feed_forward.intermediate", hidden)
        return self._add_and_norm(f"{name}.feed_forward", self._activated(name, widened), hidden)

    def _projections(self, name: str) -> tuple[str, str]:
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        weight = np.concatenate([self._dense(part).T for part in parts], axis=1)
        bias = np.concatenate([self._tensors[f"{part}.bias"] for part in parts])
        return (
            self._weight(f"{name}.projections.weight", weight),
            self._weight(f"{name}.projections.bias", bias),
        )

    def _activated(self, name: str, widened: str) -> str:
        bias = self._stored(f"{name}.feed_forward.intermediate.bias")
        operator, settings = _ACTIVATIONS[self._config.hidden_act]
        if self._config.hidden_act == "gelu":
            return self._node("BiasGelu", widened, bias, domain=_FUSED)
        return self._node(operator, self._node("Add", widened, bias), **settings)

    def _add_and_norm(self, name: str, x: str, skipped: str) -> str:
        return self._node(
            "SkipLayerNormalization",
            self._product(f"{name}.output", x),
            skipped,
            self._stored(f"{name}.norm.weight"),
            self._stored(f"{name}.norm.bias"),
            self._stored(f"{name}.output.bias"),
            domain=_FUSED,
            epsilon=self._config.layer_norm_eps,
        )

    def _span_head(self, hidden: str) -> None:
        logits = self._node(
            "Add", self._product("span_head", hidden), self._stored("span_head.bias")
        )  # (B, T, 2)
        for column, output in enumerate(("start_logits", "end_logits")):
            index = self._weight(f"column {column}", np.array(column, dtype=np.int64))
            self._nodes.append(helper.make_node("Gather", [logits, index], [output], axis=2))

    def _product(self, name: str, x: str) -> str:
        return self._node("MatMul", x, self._weight(f"{name}.weight", self._dense(name).T))

    def _dense(self, name: str) -> NDArray[np.float32]:
        if f"{name}.weight" in self._tensors:
            return self._tensors[f"{name}.weight"]
        dense: NDArray[np.float32] = (
            self._tensors[f"{name}.sketched_weight"] @ self._tensors[f"{name}.sketch"]
        )
        return dense

    def _gather(self, name: str, ids: str) -> str:
        return self._node("Gather", self._stored(name), ids)

    def _stored(self, name: str) -> str:
        return self._weight(name, self._tensors[name])

    def _weight(self, name: str, values: NDArray[Any]) -> str:
        self._weights[name] = numpy_helper.from_array(values, name)
        return name

    def _node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        # The quantizer tells nodes apart by their names.
        name = f"{len(self._nodes)}.{operator}"
        node = helper.make_node(operator, inputs, [name], name, domain=domain, **attributes)
        self._nodes.append(node)
        return name
