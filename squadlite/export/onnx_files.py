"""The files that an export to ONNX writes: the model, its tokenizer, and what both are."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squadlite import __version__
from squadlite.answering.reader import check_readable
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.atomic import atomic_write
from squadlite.config import ModelConfig, tensor_shapes
from squadlite.container import open_sqz
from squadlite.errors import ExportError
from squadlite.families import family_fields
from squadlite.progress import Progress
from squadlite.tensors import StoredTensors, read_config

SUFFIX = ".onnx"
# Beside the model, under the names by which other programs look for them.
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "config.json"

# A file of ONNX is one message of protobuf, which takes 2 GiB. What `weight_bytes` doesn't count is
# far below a mebibyte.
MAX_WEIGHT_BYTES = 2**31 - 2**20

_OUR_MEMBER = "squadlite"  # of config.json


@dataclass(frozen=True)
class OnnxExport:
    """
    What an export wrote.

    Attributes:
        model, tokenizer, config: the files.
        n_bytes: size of the model's file.
        opsets: domain of operators -> version.
        inputs, outputs: their names, in the graph's order.
    """

    model: Path
    tokenizer: Path
    config: Path
    n_bytes: int
    opsets: dict[str, int]
    inputs: list[str]
    outputs: list[str]


def export_onnx(
    model: str | Path, output: str | Path, *, progress: Progress | None = None
) -> OnnxExport:
    """
    Write the model of a .sqz file for ONNX Runtime, decoded to float32.

    Beside it come tokenizer.json, which the `tokenizers` library loads and which gives our ids, and
    config.json: the model's shape as transformers names it, and under "squadlite" how the model is
    called and what the .sqz file says of itself.

    Args:
        model: the .sqz file.
        output: the file to write or replace; its name ends in .onnx. Its folder is made if it isn't
            there.
        progress: called with (done, total): tensors decoded.

    Raises:
        FormatError: the .sqz file is damaged, or holds no model that we know.
        ConfigError, TokenizerError: its model can't read.
        ExportError: onnx isn't installed, the model is larger than a file of ONNX may be, or a
            tokenizer or configuration that no export wrote stands where ours would.
        ValueError: `output` ends otherwise.
        OSError: a file can't be read or written.
    """
    output = Path(output)
    if output.suffix != SUFFIX:
        raise ValueError(f"{output}: expected a name that ends in {SUFFIX}")
    require_onnx()
    from squadlite.export.onnx_graph import build_graph

    tokenizer_file, config_file = output.with_name(TOKENIZER_FILE), output.with_name(CONFIG_FILE)
    _check_in_the_way(tokenizer_file, config_file)
    with open_sqz(model) as file:
        config = read_config(file)
        _check_size(file.path, config)
        spec = TokenizerSpec.from_sqz(file)
        check_readable(config, spec)
        tensors = _decode(StoredTensors(file, config), progress)
        metadata = file.metadata
    tokenizer = Tokenizer(spec)
    graph = build_graph(config, tensors)
    content = graph.SerializeToString()
    export = OnnxExport(
        model=output,
        tokenizer=tokenizer_file,
        config=config_file,
        n_bytes=len(content),
        opsets={opset.domain or "ai.onnx": opset.version for opset in graph.opset_import},
        inputs=[item.name for item in graph.graph.input],
        outputs=[item.name for item in graph.graph.output],
    )
    facts = _config_facts(export, config, tokenizer, metadata)
    output.parent.mkdir(parents=True, exist_ok=True)
    # All are written before the first gets its name: the configuration, by which a later export
    # knows that it may replace the others.
    with (
        atomic_write(output) as model_out,
        atomic_write(tokenizer_file) as tokenizer_out,
        atomic_write(config_file) as config_out,
    ):
        model_out.write(content)
        tokenizer_out.write(tokenizer.to_json().encode() + b"\n")
        config_out.write(json.dumps(facts, indent=2, ensure_ascii=False).encode() + b"\n")
    return export


def require_onnx() -> None:
    """
    Find out before a model is decoded whether it can be written.

    Raises:
        ExportError: onnx is not installed.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ExportError(
            "an export needs onnx, which is not installed: pip install 'squadlite[onnx]'"
        ) from error


def _check_size(path: Path, config: ModelConfig) -> None:
    """
    Find out before a model is decoded whether a file of ONNX can hold it.

    Args:
        path: where the model is, for the error.
        config: of the model.

    Raises:
        ExportError: it can't.
    """
    n_bytes = weight_bytes(config)
    if n_bytes > MAX_WEIGHT_BYTES:
        raise ExportError(
            f"{path}: found {n_bytes / 1e9:.2f} GB of weights in float32, "
            f"expected at most {MAX_WEIGHT_BYTES / 1e9:.2f} GB, what one ONNX file can hold"
        )


def weight_bytes(config: ModelConfig) -> int:
    """
    Bytes of a model's weights in a graph, where each number takes 4.

    Shared layers count once, sketches multiplied out, and a bias by distance with the bucket of
    each pair of places.
    """
    shapes = tensor_shapes(config)
    num_values = config.max_position_embeddings**2 if config.relative_position_buckets else 0
    for name, shape in shapes.items():
        linear, _, leaf = name.rpartition(".")
        if leaf == "sketched_weight":
            num_values += shape[0] * shapes[f"{linear}.sketch"][1]
        elif leaf != "sketch":
            num_values += math.prod(shape)
    return 4 * num_values


def _check_in_the_way(tokenizer_file: Path, config_file: Path) -> None:
    # Writing over the tokenizer and the configuration of another model would break that one.
    others = [path for path in (tokenizer_file, config_file) if path.exists()]
    if others and not _is_ours(config_file):
        raise ExportError(
            f"{others[0]}: found a file that no export wrote, "
            f"expected a folder for {TOKENIZER_FILE} and {CONFIG_FILE} of our own"
        )


def _is_ours(config_file: Path) -> bool:
    try:
        values = json.loads(config_file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and _OUR_MEMBER in values


def _decode(stored: StoredTensors, progress: Progress | None) -> dict[str, NDArray[np.float32]]:
    tensors = {}
    for name, values in stored.items():
        tensors[name] = values
        if progress is not None:
            progress(len(tensors), len(stored))
    return tensors


def _config_facts(
    export: OnnxExport, config: ModelConfig, tokenizer: Tokenizer, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **family_fields(config),
        "pad_token_id": tokenizer.pad_id,
        _OUR_MEMBER: {
            "version": __version__,
            "model": export.model.name,
            "opsets": export.opsets,
            "inputs": export.inputs,
            "outputs": export.outputs,
            "metadata": metadata,
        },
    }
