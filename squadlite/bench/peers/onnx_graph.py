"""A model as an ONNX graph of the fused operators that ONNX Runtime has for BERT."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from squadlite.model import Checkpoint

# The names of the operators and of their inputs are ONNX Runtime's: docs/ContribOperators.md there.
_FUSED = "com.microsoft"
_OPSET = 20  # the first with Gelu
_IR_VERSION = (
    9  # that of the ONNX releases with opset 20; runtimes refuse newer ones than they know
)

_ACTIVATIONS = {
    "gelu": ("Gelu", {"approximate": "none"}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}


def build_graph(checkpoint: "Checkpoint") -> Any:
    """
    Lay a model out as what torch's exporter and ONNX Runtime's transformer optimizer end with.

    Query, key and value are one matrix inside one Attention; a sum and the norm after it are one
    SkipLayerNormalization.

    Args:
        checkpoint: no shared layers, nothing sketched (`dense_checkpoint`).

    Returns:
        An onnx.ModelProto. Inputs: input_ids, token_type_ids (for a model that has token types),
        attention_mask, each (B, T) int64. Outputs: start_logits, end_logits, each (B, T) float32.
    """
    return _Builder(checkpoint).build()


class _Builder:
    """Collects the nodes and the weights of one graph."""

    def __init__(self, checkpoint: "Checkpoint") -> None:
        self._config = checkpoint.config
        self._tensors = {name: tensor.numpy() for name, tensor in checkpoint.tensors.items()}
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def build(self) -> Any:
        from onnx import TensorProto, helper

        names = ["input_ids", "attention_mask"]
        if self._config.type_vocab_size:
            names.insert(1, "token_type_ids")
        mask = self._node("Cast", "attention_mask", to=TensorProto.INT32)  # (B, T)
        hidden = self._embeddings()
        for layer in range(self._config.num_layers):
            hidden = self._layer(f"layers.{layer}", hidden, mask)
        self._span_head(hidden)
        graph = helper.make_graph(
            self._nodes,
            "squadlite",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in names],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", "T"])
                for name in ("start_logits", "end_logits")
            ],
            initializer=self._weights,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)

    def _embeddings(self) -> str:
        import numpy as np

        words = self._gather("embeddings.word.weight", "input_ids")  # (B, T, hidden)
        length = self._node("Shape", "input_ids", start=1, end=2)  # (1,)
        positions = self._node(
            "Slice",
            self._stored("embeddings.position.weight"),
            self._weight("zero", np.zeros(1, dtype=np.int64)),
            length,
        )  # (T, hidden)
        if self._config.type_vocab_size:
            kinds = self._gather("embeddings.token_type.weight", "token_type_ids")
            words = self._node("Add", words, kinds)
        embedded = self._node("Add", words, positions)
        weight, bias = (self._stored(f"embeddings.norm.{leaf}") for leaf in ("weight", "bias"))
        return self._node(
            "LayerNormalization", embedded, weight, bias, epsilon=self._config.layer_norm_eps
        )

    def _layer(self, name: str, hidden: str, mask: str) -> str:
        import numpy as np

        projections = [f"{name}.attention.{part}" for part in ("query", "key", "value")]
        weight = np.concatenate([self._tensors[f"{each}.weight"].T for each in projections], axis=1)
        bias = np.concatenate([self._tensors[f"{each}.bias"] for each in projections])
        gathered = self._node(
            "Attention",
            hidden,
            self._weight(f"{name}.attention.projections.weight", weight),
            self._weight(f"{name}.attention.projections.bias", bias),
            mask,
            domain=_FUSED,
            num_heads=self._config.num_heads,
        )
        hidden = self._add_and_norm(f"{name}.attention", gathered, hidden)
        widened = self._product(f"{name}.feed_forward.intermediate", hidden)
        return self._add_and_norm(f"{name}.feed_forward", self._activated(name, widened), hidden)

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
        import numpy as np
        from onnx import helper

        logits = self._node(
            "Add", self._product("span_head", hidden), self._stored("span_head.bias")
        )  # (B, T, 2)
        for column, output in enumerate(("start_logits", "end_logits")):
            index = self._weight(f"column {column}", np.array(column, dtype=np.int64))
            self._nodes.append(helper.make_node("Gather", [logits, index], [output], axis=2))

    def _product(self, name: str, x: str) -> str:
        weight = self._weight(f"{name}.weight", self._tensors[f"{name}.weight"].T)
        return self._node("MatMul", x, weight)

    def _gather(self, name: str, ids: str) -> str:
        return self._node("Gather", self._stored(name), ids)

    def _stored(self, name: str) -> str:
        return self._weight(name, self._tensors[name])

    def _weight(self, name: str, values: "NDArray[Any]") -> str:
        from onnx import numpy_helper

        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def _node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        # The quantizer tells nodes apart by their names.
        name = f"{len(self._nodes)}.{operator}"
        node = helper.make_node(operator, inputs, [name], name, domain=domain, **attributes)
        self._nodes.append(node)
        return name
