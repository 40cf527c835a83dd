"""ONNX Runtime: in float32, and with dynamic int8 as its own quantizer makes it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from squadlite.bench.kind import RuntimeKind
from squadlite.bench.peers.weights import dense_checkpoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OnnxRuntime:
    """A session of ONNX Runtime on the CPU."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = {item.name for item in session.get_inputs()}

    def logits(
        self,
        input_ids: "NDArray[np.int64]",
        token_type_ids: "NDArray[np.int64]",
        attention_mask: "NDArray[np.bool_]",
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        """See `Runtime`."""
        inputs = {
            "input_ids": input_ids,
            "token_type_ids": token_type_ids,
            "attention_mask": attention_mask.astype("int64"),
        }
        start_logits, end_logits = self._session.run(
            ["start_logits", "end_logits"],
            {name: values for name, values in inputs.items() if name in self._inputs},
        )
        return start_logits, end_logits


def _prepare_f32(model: Path, folder: Path, _: Path | None) -> Path:
    import onnx

    from squadlite.export.onnx_graph import build_graph

    checkpoint = dense_checkpoint(model)
    tensors = {name: tensor.numpy() for name, tensor in checkpoint.tensors.items()}
    path = folder / "model.onnx"
    onnx.save(build_graph(checkpoint.config, tensors), path)
    return path


def _prepare_int8(model: Path, folder: Path, questions: Path | None) -> Path:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = folder / "model-int8.onnx"
    quantize_dynamic(
        _prepare_f32(model, folder, questions),
        path,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # ONNX's shape inference doesn't see through the fused operators.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    return path


def _load(path: Path, threads: int) -> OnnxRuntime:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return OnnxRuntime(session)


KINDS = (
    RuntimeKind(
        name="onnxruntime f32",
        precision="f32",
        is_peer=True,
        requires=("onnxruntime",),
        prepare_requires=("onnx",),
        prepare=_prepare_f32,
        load=_load,
    ),
    RuntimeKind(
        name="onnxruntime int8",
        precision="int8",
        is_peer=True,
        requires=("onnxruntime",),
        prepare_requires=("onnx",),
        prepare=_prepare_int8,
        load=_load,
    ),
)
