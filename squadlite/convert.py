"""A checkpoint folder becomes a .sqz file: quantized, and with a smaller vocabulary if asked."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np

from squadlite import __version__
from squadlite.answering.metadata import METADATA_FILE, EmbeddingConfig, load_metadata
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.vocabulary import choose_pieces, count_pieces, read_corpus
from squadlite.config import RELATIVE_POSITION_BIAS
from squadlite.container import Codec, Linear, Rademacher, Raw, TensorInfo, write_sqz
from squadlite.errors import CheckpointError, TokenizerError
from squadlite.model import Checkpoint, load_checkpoint
from squadlite.model.checkpoint import CONFIG_FILE, find_weights
from squadlite.tensors import WORD_EMBEDDINGS, Part, count_parts

Progress = Callable[[int, int], None]

# In a checkpoint folder: tensor name -> the seed that the signs of this sketch were made from.
SKETCH_SEEDS_FILE = "sketch_seeds.json"

_PRECIOUS = ("span_head.", f"{RELATIVE_POSITION_BIAS}.")  # small matrices that decide much
_OWN_METADATA = ("source", "recipe", "squadlite")


@dataclass(frozen=True)
class ConversionReport:
    """
    What a .sqz file costs, part by part.

    Attributes:
        path: the file.
        parts: in file order; the last one, "header and padding", is what no tensor takes.
        metadata: as the file holds it.
    """

    path: Path
    parts: tuple[Part, ...]
    metadata: dict[str, Any]

    @property
    def num_values(self) -> int:
        """Values in all tensors, those of the tokenizer included."""
        return sum(part.num_values for part in self.parts)

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return sum(part.n_bytes for part in self.parts)


def convert(
    checkpoint_folder: str | Path,
    output: str | Path,
    *,
    bits: int = 10,
    per: str = "tensor",
    group_size: int = 64,
    vocab_size: int | None = None,
    vocab_corpus: str | Path | None = None,
    store_signs: bool = False,
    format_version: int = 2,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ConversionReport:
    """
    Write the model and the tokenizer of a checkpoint folder to a .sqz file.

    The same folder and settings give the same bytes, whenever and wherever that is; what DEFLATE
    compresses in version 2 is only the same where Python is built with the same zlib.

    Args:
        checkpoint_folder: a model of one of our families (`squadlite.families`) with a span head,
            in Hugging Face's layout.
        output: the file to write or replace; its folder must exist.
        bits: width of a quantized value, 1..16.
        per: "tensor": every tensor is quantized over one range, as in the paper. "row", "group":
            matrices have a range for each row or for each `group_size` values in one, which the
            encoder narrows where that lowers the error; norms, biases (that of relative positions
            too) and the span head keep 16 bits, or 32 where they need them. Sketches take one bit
            an entry in any case, or none where the folder's sketch_seeds.json says what seed their
            signs come from.
        group_size: values in a group; not looked at unless `per` is "group".
        vocab_size: word pieces to keep; None keeps all. Goes with `vocab_corpus`.
        vocab_corpus: the text, or SQuAD file, whose most frequent word pieces are kept.
        store_signs: store the signs of sketches also where a seed could stand for them.
        format_version: 2, or 1 for a larger file that older squadlites read too; both hold the
            same values. In 2 each tensor is compressed without loss where that makes it smaller.
        metadata: facts to write into the file, such as "name", "licence" and "provenance". To
            these come those of the folder's squadlite.json that aren't among them, the source with
            its digests, the settings and the version of squadlite.
        progress: called with (done, total): texts of the corpus, then tensors written.

    Raises:
        CheckpointError, TokenizerError: the folder can't be loaded.
        DatasetError: the corpus can't be read.
        CodecError: bad settings, or a tensor with NaN or infinity.
        HeaderError: metadata that a header can't hold.
        ConfigError: metadata that break a rule of format_spec.md.
        ValueError: `vocab_size` without `vocab_corpus` or the reverse, another format version,
            or metadata with a name that the conversion itself writes.
        OSError: a file can't be read or written.

    Source: Deng & Looi 2020, sections 3.4 (vocabulary), 3.5 (quantization) and 3.6 (sketches).
    """
    folder, output = Path(checkpoint_folder), Path(output)
    if (vocab_size is None) != (vocab_corpus is None):
        raise ValueError("vocab_size and vocab_corpus: found one alone, expected both or neither")
    if format_version not in (1, 2):
        raise ValueError(f"format_version: found {format_version!r}, expected 1 or 2")
    quantization = Quantization(bits, per, group_size if per == "group" else None)
    facts = _all_metadata(folder, metadata or {}, quantization, vocab_size, vocab_corpus)
    spec = TokenizerSpec.from_folder(folder)
    if spec.version > (format_version, 0):
        raise TokenizerError(f"{folder}: format_version 1 has no tokenizer such as its, 2 has")
    checkpoint = fit_to_vocab(folder, load_checkpoint(folder), spec)
    if checkpoint.config.version > (format_version, 0):
        raise CheckpointError(f"{folder}: format_version 1 has no model such as its, 2 has")
    if vocab_size is not None and vocab_corpus is not None:
        checkpoint, spec = _prune(checkpoint, spec, vocab_size, Path(vocab_corpus), progress)

    pieces = spec.to_tensors()
    total = len(checkpoint.tensors) + len(pieces)
    written: list[TensorInfo] = []
    seeds = {} if store_signs else load_sketch_seeds(folder)

    def count(info: TensorInfo) -> None:
        written.append(info)
        if progress is not None:
            progress(len(written), total)

    tensors = _encoded(checkpoint, pieces, quantization, seeds)
    if format_version > 1:
        tensors = ((name, values, codec.compressed()) for name, values, codec in tensors)
    write_sqz(
        output,
        model=checkpoint.config.to_dict(),
        tokenizer=spec.to_header(),
        metadata=facts,
        tensors=tensors,
        needed=max(spec.version, checkpoint.config.version),
        progress=count,
    )
    return ConversionReport(output, count_parts(written, output.stat().st_size), facts)


@dataclass(frozen=True)
class Quantization:
    """
    How the tensors of a model become codes.

    Raises:
        CodecError: settings that no linear codec has.
    """

    bits: int
    per: str
    group_size: int | None

    def __post_init__(self) -> None:
        Linear(self.bits, per=self.per, group_size=self.group_size)

    def codec(self, name: str, values: np.ndarray) -> Codec:
        """The codec for one tensor of a model."""
        if name.endswith(".sketch"):
            return Rademacher()
        if self.per == "tensor":
            return Linear(self.bits)
        if values.ndim == 2 and not name.startswith(_PRECIOUS):
            return Linear(self.bits, per=self.per, group_size=self.group_size, search_range=True)
        fits_half = np.abs(values).max() <= np.finfo(np.float16).max
        return Raw("f16" if fits_half else "f32")


def _encoded(
    checkpoint: Checkpoint,
    pieces: dict[str, np.ndarray],
    quantization: Quantization,
    seeds: Mapping[str, int],
) -> Iterator[tuple[str, np.ndarray, Codec]]:
    for name, tensor in checkpoint.tensors.items():
        values = tensor.numpy()
        codec = Rademacher(seeds[name]) if name in seeds else quantization.codec(name, values)
        yield name, values, codec
    for name, values in pieces.items():
        yield name, values, Raw(f"u{8 * values.itemsize}")


def load_sketch_seeds(folder: Path) -> dict[str, int]:
    """
    Read from what seeds the sketches of a checkpoint folder come; without the file, from none.

    Raises:
        CheckpointError: the file isn't an object of whole numbers.
        OSError: it can't be read.
    """
    path = folder / SKETCH_SEEDS_FILE
    if not path.is_file():
        return {}
    try:
        seeds = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: found no JSON ({error}), expected an object") from error
    if not isinstance(seeds, dict) or not all(type(seed) is int for seed in seeds.values()):
        raise CheckpointError(f"{path}: expected an object of whole numbers")
    return seeds


def fit_to_vocab(folder: Path, checkpoint: Checkpoint, spec: TokenizerSpec) -> Checkpoint:
    """
    Drop the word embeddings that no piece of the vocabulary has.

    Args:
        folder: where both come from, for the error.
        checkpoint: a model, perhaps with more word embeddings than pieces.
        spec: its tokenizer.

    Raises:
        CheckpointError: more pieces than word embeddings.
    """
    rows, num_pieces = checkpoint.config.vocab_size, len(spec.vocab)
    if rows < num_pieces:
        raise CheckpointError(
            f"{folder}: found {num_pieces} word pieces, expected at most {rows}, "
            "as many as there are word embeddings"
        )
    # Some checkpoints pad their embeddings to a round number; no text ever reaches those rows.
    return keep_rows(checkpoint, list(range(num_pieces))) if rows > num_pieces else checkpoint


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


def keep_rows(checkpoint: Checkpoint, kept_ids: list[int]) -> Checkpoint:
    """The same model with the word embeddings `kept_ids` alone, in that order."""
    words = checkpoint.tensors[WORD_EMBEDDINGS][kept_ids]
    config = replace(checkpoint.config, vocab_size=len(kept_ids))
    return Checkpoint(config, checkpoint.tensors | {WORD_EMBEDDINGS: words})


def _all_metadata(
    folder: Path,
    metadata: Mapping[str, Any],
    quantization: Quantization,
    vocab_size: int | None,
    vocab_corpus: str | Path | None,
) -> dict[str, Any]:
    of_folder = load_metadata(folder)
    for name in _OWN_METADATA:
        if name in metadata:
            raise ValueError(f"metadata: {name!r} is written by the conversion itself")
        if name in of_folder:
            raise CheckpointError(
                f"{folder / METADATA_FILE}: {name!r} is written by the conversion itself"
            )
    recipe: dict[str, Any] = {"bits": quantization.bits, "per": quantization.per}
    if quantization.group_size is not None:
        recipe["group_size"] = quantization.group_size
    if vocab_corpus is not None:
        path = Path(vocab_corpus)
        recipe["vocab_size"] = vocab_size
        recipe["vocab_corpus"] = {"name": path.name, "sha256": _digest(path)}
    vocab = folder / "vocab.txt"
    sources = [folder / CONFIG_FILE, find_weights(folder)]
    sources.append(vocab if vocab.is_file() else folder / "tokenizer.json")
    name = folder.resolve().name
    facts = {
        "name": name,
        **of_folder,
        **metadata,
        "source": {"name": name, "sha256": {path.name: _digest(path) for path in sources}},
        "recipe": recipe,
        "squadlite": __version__,
    }
    EmbeddingConfig.from_metadata(facts)  # no file is written that no reader would take
    return facts


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
