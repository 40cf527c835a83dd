"""
OpenVINO: in float32, in the precision that it chooses itself, and in int8 of two kinds.

    int8            NNCF's post-training quantization: weights and activations have fixed scales,
                    the latter from a calibration on real questions
    int8 dynamic    weights in int8, activations quantized as they come, which needs no calibration

What isn't int8 is bfloat16 on CPUs that have it: OpenVINO's own choice.
"""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from squadlite.bench.instructions import most_frequent
from squadlite.bench.kind import Precision, RuntimeKind
from squadlite.bench.peers.hugging import load_transformers
from squadlite.bench.peers.weights import save_weights
from squadlite.errors import BenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# 60 windows gave a model that agrees with float32 on 96.7% of 300 questions, 150 one with 98.0%;
# 120 windows of prose that asks nothing, one with 94.7%.
CALIBRATION_WINDOWS = 200
_IR = "model.xml"  # beside it the weights, model.bin
_PRODUCTS = {"FullyConnected", "MatMul"}  # as OpenVINO names layers that multiply matrices


class OpenVinoRuntime:
    """A compiled model of OpenVINO on the CPU, asked for one thing at a time."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._inputs = {item.get_any_name() for item in compiled.inputs}

    def logits(
        self,
        input_ids: "NDArray[np.int64]",
        token_type_ids: "NDArray[np.int64]",
        attention_mask: "NDArray[np.bool_]",
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        """See `Runtime`."""
        inputs = _named(self._inputs, input_ids, token_type_ids, attention_mask)
        outputs = self._request.infer(inputs, share_inputs=True)
        return outputs["start_logits"], outputs["end_logits"]

    def instructions(self, run: Callable[[], object]) -> str | None:
        """See `TellsInstructions`."""
        facts = [node.get_rt_info() for node in self._compiled.get_runtime_model().get_ops()]
        return most_frequent(
            str(known["primitiveType"].value)
            for known in facts
            if known["layerType"].value in _PRODUCTS
        )


def _named(
    names: "set[str]",
    input_ids: "NDArray[np.int64]",
    token_type_ids: "NDArray[np.int64]",
    attention_mask: "NDArray[np.bool_]",
) -> "dict[str, NDArray[np.int64]]":
    inputs = {
        "input_ids": input_ids,
        "token_type_ids": token_type_ids,
        "attention_mask": attention_mask.astype("int64"),
    }
    return {name: values for name, values in inputs.items() if name in names}


def _prepare(model: Path, folder: Path, _: Path | None) -> Path:
    converted, _hidden_size = _convert(model)
    return _save(converted, folder)


def _prepare_static(model: Path, folder: Path, questions: Path | None) -> Path:
    import nncf

    if questions is None:
        raise BenchError(
            "found no questions to calibrate with, expected a SQuAD file (--questions)"
        )
    converted, _hidden_size = _convert(model)
    names = {item.get_any_name() for item in converted.inputs}
    windows = [_named(names, *window) for window in _calibration_windows(model, questions)]
    quantized = nncf.quantize(
        converted,
        nncf.Dataset(windows),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(windows),
    )
    return _save(quantized, folder)


def _prepare_dynamic(model: Path, folder: Path, _: Path | None) -> Path:
    import nncf

    converted, hidden_size = _convert(model)
    compressed = nncf.compress_weights(converted, mode=nncf.CompressWeightsMode.INT8_SYM)
    # One scale for as many activations as the hidden size: a quarter faster than the default of 32
    # and no less exact. Groups between the two are slower, and so are larger ones.
    option = ["runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE"]
    compressed.set_rt_info(str(hidden_size), option)
    return _save(compressed, folder)


def _convert(model: Path) -> tuple[Any, int]:
    # The model in OpenVINO's form, traced from transformers', and its hidden size.
    # OpenVINO and NNCF tell their maker of conversions, except in continuous integration.
    os.environ["CI"] = "true"
    import openvino
    import torch

    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # Tracing warns of every shape that Python looks at.
        warnings.simplefilter("ignore")
        source = load_transformers(save_weights(model, Path(scratch)), 1).model
        example = torch.ones((2, 8), dtype=torch.int64)
        inputs = {"input_ids": example, "attention_mask": example.triu()}
        if getattr(source.config, "type_vocab_size", 0):
            inputs["token_type_ids"] = example
        converted = openvino.convert_model(source, example_input=inputs)
        return converted, source.config.hidden_size


def _save(converted: Any, folder: Path) -> Path:
    import openvino

    # Weights in float16 would make a smaller file and another model.
    openvino.save_model(converted, folder / _IR, compress_to_fp16=False)
    return folder


def _calibration_windows(
    model: Path, questions: Path
) -> "Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]":
    from squadlite.answering.evaluate import spread
    from squadlite.answering.reader import ReaderSettings
    from squadlite.answering.squad import load_squad
    from squadlite.answering.tokenizer import Tokenizer
    from squadlite.answering.tokenizer_spec import TokenizerSpec
    from squadlite.answering.windows import pad_batch

    settings = ReaderSettings(doc_stride=ReaderSettings.max_seq_length)  # without overlap
    tokenizer = Tokenizer(TokenizerSpec.load(model))
    for example in spread(load_squad(questions), CALIBRATION_WINDOWS):
        question, context = tokenizer.encode_ids([example.question, example.context])
        for window in settings.windows(0, question, context, tokenizer.template):
            batch = pad_batch([window])
            yield batch.input_ids, batch.token_type_ids, batch.attention_mask


def _load(folder: Path, threads: int, *, precision: str | None = None) -> OpenVinoRuntime:
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    core = openvino.Core()
    return OpenVinoRuntime(core.compile_model(folder / _IR, "CPU", settings))


def _kind(
    name: str, precision: Precision, prepare: Any, load: Any = _load, *, needs: tuple[str, ...]
) -> RuntimeKind:
    return RuntimeKind(
        name=f"openvino {name}",
        precision=precision,
        is_peer=True,
        requires=("openvino",),
        prepare_requires=("transformers", *needs),
        prepare=prepare,
        load=load,
    )


KINDS = (
    _kind("f32", "f32", _prepare, partial(_load, precision="f32"), needs=()),
    _kind("auto", "auto", _prepare, needs=()),
    _kind("int8", "int8", _prepare_static, needs=("nncf",)),
    _kind("int8 dynamic", "int8", _prepare_dynamic, needs=("nncf",)),
)
