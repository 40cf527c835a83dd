"""A model becomes a .sqz file: quantized, and with a smaller vocabulary if asked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from squadlite import __version__
from squadlite.answering.metadata import EmbeddingConfig
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.vocabulary import choose_pieces, count_pieces, read_corpus
from squadlite.config import ModelConfig
from squadlite.container import TensorInfo
from squadlite.digests import digest_of
from squadlite.errors import CheckpointError, CodecError, QuantizationError, TokenizerError
from squadlite.model import Checkpoint
from squadlite.model_file import ModelFile
from squadlite.progress import Progress
from squadlite.quantization import (
    MeasuredModel,
    Quantization,
    QuantizedModel,
    SameAs,
    coded_bytes,
)
from squadlite.source import OWN_METADATA, Source, keep_rows, load_source
from squadlite.tensors import Part, count_parts, part_name

Calibration = MeasuredModel | Sequence[str | Path] | str | Path

_DEFAULT_BITS = 10
# Of what calibration doesn't round, which is next to nothing of a model.
_BESIDE_MATRICES = Quantization(8, "row", None)


@dataclass(frozen=True)
class Found:
    """
    What a conversion took its source for, before it pruned or rounded anything.

    Attributes:
        family: of the model, by name; of a .sqz file, which doesn't say, the plainest that can be
            all it is.
        config: the model's shape.
        spec: the tokenizer. Its `cls_token` is the first token of every window, whose start and end
            scores are those of no answer.
    """

    family: str
    config: ModelConfig
    spec: TokenizerSpec


@dataclass(frozen=True)
class ConversionReport:
    """
    What a .sqz file costs, part by part.

    Attributes:
        path: the file.
        found: what it was made of.
        parts: in file order; the last one, "header and padding", is what no tensor takes.
        metadata: as the file holds it.
        divergence: with calibration, of the span distributions from those before; in nats a window,
            start and end together, measured over the calibration text.
        divergences: with calibration, name of a part -> that of its tensors alone, estimated.
    """

    path: Path
    found: Found
    parts: tuple[Part, ...]
    metadata: dict[str, Any]
    divergence: float | None = None
    divergences: Mapping[str, float] = field(default_factory=dict)

    @property
    def num_values(self) -> int:
        """Values in all tensors, those of the tokenizer included."""
        return sum(part.num_values for part in self.parts)

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return sum(part.n_bytes for part in self.parts)


def convert(
    checkpoint: str | Path,
    output: str | Path,
    *,
    bits: float | None = None,
    per: str = "tensor",
    group_size: int = 64,
    target_size: int | None = None,
    calibration: Calibration | None = None,
    like: str | Path | None = None,
    vocab_size: int | None = None,
    vocab_corpus: str | Path | None = None,
    store_signs: bool = False,
    format_version: int = 2,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ConversionReport:
    """
    Write a model and its tokenizer to a .sqz file.

    The same source and settings give the same bytes, whenever and wherever that is; what DEFLATE
    compresses in version 2 is only the same where Python is built with the same zlib, and what is
    calibrated only where torch computes the same, as it does on one machine.

    Args:
        checkpoint: a model of one of our families (`squadlite.families`) with a span head, a folder
            in Hugging Face's layout; or a .sqz file, whose values are taken as they are.
        output: the file to write or replace; its folder must exist.
        bits: width of a quantized value, 1..16; None: 10. With `calibration` what the codes of the
            matrices take on average, and any number.
        per: "tensor": every tensor is quantized over one range, as in the paper. "row", "group":
            matrices have a range for each row or for each `group_size` values in one, which the
            encoder narrows where that lowers the error; norms, biases (that of relative positions
            too) and the span head keep 16 bits, or 32 where they need them. Sketches take one bit
            an entry in any case, or none where it is known what seed their signs come from. Not
            looked at with `calibration`.
        group_size: values in a group; not looked at unless `per` is "group".
        target_size: bytes that the file may take, instead of `bits`; needs `calibration`.
        calibration: SQuAD files like those that the model was trained on, or what was measured over
            them for this checkpoint and vocabulary. Each matrix is then rounded with regard to what
            it is fed, and as finely as the model's answers ask for, by which they move least for
            the size. The answers in the files are not looked at.
        like: a .sqz file of the same shape, instead of all these: each tensor is quantized as it is
            there, by the same codec with the same steps. So a model that was trained at the weights
            of that file (`tools.finetune --quantize-like`) is written without loss.
        vocab_size: word pieces to keep; None keeps all. Goes with `vocab_corpus`.
        vocab_corpus: the text, or SQuAD file, whose most frequent word pieces are kept.
        store_signs: store the signs of sketches also where a seed could stand for them.
        format_version: 2, or 1 for a larger file that older squadlites read too; both hold the
            same values. In 2 each tensor is compressed without loss where that makes it smaller.
            With `calibration` only 2.
        metadata: facts to write into the file, such as "name", "licence" and "provenance". To
            these come those of the folder's squadlite.json, or of the file, that aren't among them,
            the source with its digests, the settings and the version of squadlite.
        progress: called with (done, total): texts of the corpus; texts of the calibration, windows
            read, and read again for gradients; then tensors written.

    Raises:
        CheckpointError, TokenizerError: the folder can't be loaded.
        FormatError: the .sqz file can't.
        DatasetError: the corpus or the calibration text can't be read.
        CodecError: bad settings, or a tensor with NaN or infinity.
        QuantizationError: a target that can't be reached; the message says the smallest that can.
        HeaderError: metadata that a header can't hold.
        ConfigError: metadata that break a rule of format_spec.md, or a model to be calibrated that
            can't read.
        ValueError: settings of which one needs the other or rules it out, another format version,
            or metadata with a name that the conversion itself writes.
        OSError: a file can't be read or written.

    Source: Deng & Looi 2020, sections 3.4 (vocabulary), 3.5 (quantization) and 3.6 (sketches);
    Frantar et al. 2022 (rounding with calibration).
    """
    _check_settings(vocab_size, vocab_corpus, format_version)
    _check_budget(bits, target_size, calibration, format_version)
    if like is not None and (bits, target_size, calibration, vocab_size) != (None,) * 4:
        raise ValueError("like: found other settings beside it, expected it to stand for them")
    source, output = load_source(Path(checkpoint)), Path(output)
    quantization, settings = _choose_quantization(
        bits, per, group_size, target_size=target_size, calibration=calibration, like=like
    )
    if vocab_corpus is not None:
        settings |= {"vocab_size": vocab_size, "vocab_corpus": _named(Path(vocab_corpus))}
    facts = _all_metadata(source, metadata or {}, settings)
    model, spec = source.checkpoint, source.spec
    found = Found(source.family, model.config, spec)
    if vocab_size is not None and vocab_corpus is not None:
        model, spec = _prune(model, spec, vocab_size, Path(vocab_corpus), progress)
    _check_version(model, spec, format_version, checkpoint)
    seeds = {} if store_signs else source.seeds
    file = ModelFile(model, spec, facts, quantization, seeds, format_version)
    if calibration is None:
        return _report(output, found, file.write(output, {}, progress), facts)
    _check_finite(model)
    if not isinstance(calibration, MeasuredModel):
        files = _files_of(calibration)
        calibration = MeasuredModel.measure(model, spec, files, progress=progress)
    elif not calibration.is_of(model):
        raise ValueError(f"calibration: found another model measured, expected {checkpoint}")
    quantized = _quantize(calibration, bits, target_size, file)
    written = file.write(output, quantized.tensors, progress)
    return _report(output, found, written, facts, quantized)


def _quantize(
    measured: MeasuredModel, bits: float | None, target_size: int | None, file: ModelFile
) -> QuantizedModel:
    if target_size is not None:
        quantized = measured.quantized(target_size, file.size)
        if quantized.size > target_size:
            raise QuantizationError(
                f"target size: found {target_size} bytes, expected at least {quantized.size}, "
                "which this model takes at its coarsest"
            )
        return quantized
    assert bits is not None  # one of the two is given
    quantized = measured.quantized(int(bits * measured.num_values / 8), coded_bytes)
    least = 8 * quantized.size / measured.num_values
    if least > bits:
        raise QuantizationError(
            f"bits: found {bits} a value, expected at least {least:.2f}, "
            "which this model takes at its coarsest"
        )
    return quantized


def _report(
    path: Path,
    found: Found,
    written: list[TensorInfo],
    metadata: dict[str, Any],
    quantized: QuantizedModel | None = None,
) -> ConversionReport:
    parts = count_parts(written, path.stat().st_size)
    if quantized is None:
        return ConversionReport(path, found, parts, metadata)
    divergences: dict[str, float] = {}
    for name, divergence in quantized.divergences.items():
        part = part_name(name)
        divergences[part] = divergences.get(part, 0.0) + divergence
    return ConversionReport(path, found, parts, metadata, quantized.divergence, divergences)


def _check_settings(vocab_size: object, vocab_corpus: object, format_version: object) -> None:
    if (vocab_size is None) != (vocab_corpus is None):
        raise ValueError("vocab_size and vocab_corpus: found one alone, expected both or neither")
    if format_version not in (1, 2):
        raise ValueError(f"format_version: found {format_version!r}, expected 1 or 2")


def _check_budget(
    bits: float | None,
    target_size: int | None,
    calibration: Calibration | None,
    format_version: int,
) -> None:
    if calibration is None:
        if target_size is not None:
            raise ValueError("target_size: found no calibration, which it needs")
        return
    if format_version == 1:
        raise ValueError("calibration: found format_version 1, expected 2")
    if (bits is None) == (target_size is None):
        found = "neither" if bits is None else "both"
        raise ValueError(f"calibration: found {found} of bits and target_size, expected one")
    for name, value in (("bits", bits), ("target_size", target_size)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name}: found {value}, expected a number above 0")


def _choose_quantization(
    bits: float | None,
    per: str,
    group_size: int,
    *,
    target_size: int | None,
    calibration: Calibration | None,
    like: str | Path | None,
) -> tuple[Quantization | SameAs, dict[str, Any]]:
    """How tensors are quantized that calibration doesn't round, and the settings to be written."""
    if like is not None:
        return SameAs.read(Path(like)), {"like": _named(Path(like))}
    if calibration is None:
        quantization = Quantization(_whole(bits), per, group_size if per == "group" else None)
        return quantization, quantization.to_dict()
    budget = {"bits": bits} if target_size is None else {"target_size": target_size}
    files = [_named(path) for path in _files_of(calibration)]
    return _BESIDE_MATRICES, {**budget, "calibration": files}


def _whole(bits: float | None) -> int:
    if bits is None:
        return _DEFAULT_BITS
    if not float(bits).is_integer():
        raise CodecError(f"bits: found {bits}, expected a whole number without calibration")
    return int(bits)


def _check_version(
    model: Checkpoint, spec: TokenizerSpec, format_version: int, checkpoint: str | Path
) -> None:
    if spec.version > (format_version, 0):
        raise TokenizerError(f"{checkpoint}: format_version 1 has no tokenizer such as its, 2 has")
    if model.config.version > (format_version, 0):
        raise CheckpointError(f"{checkpoint}: format_version 1 has no model such as its, 2 has")


def _check_finite(checkpoint: Checkpoint) -> None:
    for name, tensor in checkpoint.tensors.items():
        if not tensor.isfinite().all():
            raise CodecError(f"tensor {name!r}: found NaN or infinity, expected finite values")


def _files_of(calibration: Calibration) -> list[Path]:
    if isinstance(calibration, MeasuredModel):
        return list(calibration.files)
    if isinstance(calibration, str | Path):
        return [Path(calibration)]
    return [Path(path) for path in calibration]


def _prune(
    checkpoint: Checkpoint,
    spec: TokenizerSpec,
    vocab_size: int,
    corpus: Path,
    progress: Progress | None,
) -> tuple[Checkpoint, TokenizerSpec]:
    texts = read_corpus(corpus)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(texts))

    kept_ids = choose_pieces(spec, count_pieces(spec, texts, progress=report), vocab_size)
    return keep_rows(checkpoint, kept_ids), spec.keep(kept_ids)


def _all_metadata(
    source: Source, metadata: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    for name in OWN_METADATA:
        if name in metadata:
            raise ValueError(f"metadata: {name!r} is written by the conversion itself")
    facts = {
        **source.metadata,
        **metadata,
        "source": dict(source.origin),
        "recipe": dict(settings),
        "squadlite": __version__,
    }
    EmbeddingConfig.from_metadata(facts)  # no file is written that no reader would take
    return facts


def _named(path: Path) -> dict[str, str]:
    return {"name": path.name, "sha256": digest_of(path)}
