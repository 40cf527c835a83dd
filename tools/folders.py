"""Checkpoint folders between stages: read whole, replaced whole."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from squadlite.answering.metadata import METADATA_FILE
from squadlite.answering.tokenizer_folder import TOKENIZER_FILES
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.digests import digest_of
from squadlite.errors import CheckpointError
from squadlite.families import FAMILIES
from squadlite.model import Checkpoint, load_checkpoint, save_checkpoint
from squadlite.model.checkpoint import CONFIG_FILE, find_weights
from squadlite.source import SKETCH_SEEDS_FILE, fit_to_vocab

# A stage hands these on as they are, unless it changes something in them.
HANDED_ON = (*TOKENIZER_FILES, SKETCH_SEEDS_FILE, METADATA_FILE)
# Other kinds of teachers have these too.
_TEACHERS_TOKENIZER_FILES = (
    "added_tokens.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
)
_TRANSFORMERS_TOKENIZER_FILES = ("special_tokens_map.json", "tokenizer_config.json")
STAGES_FILE = "stages.json"  # what every stage so far said of itself, in order


@dataclass(frozen=True)
class StageInput:
    """A checkpoint folder, loaded: the model with as many word embeddings as there are pieces."""

    folder: Path
    checkpoint: Checkpoint
    spec: TokenizerSpec


def load_input(folder: str | Path) -> StageInput:
    """
    Load the checkpoint folder that a stage begins with.

    Raises:
        CheckpointError, TokenizerError: the folder can't be loaded.
    """
    folder = Path(folder)
    restore_folder(folder)
    spec = TokenizerSpec.from_folder(folder)
    return StageInput(folder, fit_to_vocab(folder, load_checkpoint(folder), spec), spec)


def is_ours(folder: Path) -> bool:
    """Whether `load_input` is what loads a folder, or can say what it misses."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return True
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(model_type, str):
        return True
    if model_type not in FAMILIES:
        return False
    try:
        TokenizerSpec.from_folder(folder)
    except CheckpointError:  # of another kind
        return False
    return True


@contextmanager
def write_output(
    output: str | Path,
    checkpoint: Checkpoint,
    stage: dict[str, Any],
    *,
    source: Path | None = None,
) -> Iterator[Path]:
    """
    Write the checkpoint folder that a stage ends with.

    Args:
        output: the folder to make or replace.
        checkpoint: what the stage made.
        stage: what the stage did, added to those before it in stages.json.
        source: the folder that the stage began with, whose tokenizer is handed on; None: the
            stage adds its own.

    Yields:
        The folder under a name of its own, complete but for what the stage adds; it becomes
        `output` when the block ends well.
    """
    with atomic_folder(Path(output)) as folder:
        save_checkpoint(folder, checkpoint)
        for name in HANDED_ON:
            if source is not None and (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        before = load_stages(source) if source is not None else []
        write_json(folder / STAGES_FILE, [*before, stage])
        yield folder


@contextmanager
def write_teacher(output: Path, stage: dict[str, Any], *, source: Path) -> Iterator[Path]:
    """
    Write a folder of a model that transformers loads.

    Args:
        output: the folder to make or replace.
        stage: what the stage did, for stages.json.
        source: the folder that the stage began with, whose tokenizer is handed on.

    Yields:
        The folder under a name of its own, for the model to be written into.
    """
    with atomic_folder(output) as folder:
        yield folder
        tokenizer_files = {*HANDED_ON, *_TEACHERS_TOKENIZER_FILES, *_TRANSFORMERS_TOKENIZER_FILES}
        for name in sorted(tokenizer_files):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        write_json(folder / STAGES_FILE, [*load_stages(source), stage])


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """
    Make a temporary folder beside `path` and rename it to `path` when the block ends well.

    Killed at any moment, `path` is the old folder or the new one, both whole, once
    `restore_folder(path)` has run. An exception in the block leaves `path` as it was.

    Yields:
        The temporary folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        _sync_files(temporary)
        if path.exists():
            # A kill may have left one that was being deleted.
            shutil.rmtree(_replaced(path), ignore_errors=True)
            path.rename(_replaced(path))
        temporary.rename(path)
        shutil.rmtree(_replaced(path), ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        restore_folder(path)
        raise


def restore_folder(path: Path) -> None:
    """Undo a replacement of the folder `path` that was cut off between its two renames."""
    if not path.exists() and _replaced(path).is_dir():
        _replaced(path).rename(path)


def load_stages(folder: Path) -> list[dict[str, Any]]:
    """
    Read which stages a checkpoint folder came through; one from elsewhere through none.

    Raises:
        CheckpointError: the file isn't a list of objects.
        OSError: it can't be read.
    """
    path = folder / STAGES_FILE
    if not path.is_file():
        return []
    try:
        stages = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: found no JSON ({error}), expected a list") from error
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise CheckpointError(f"{path}: expected a list of objects")
    return stages


def is_model(path: Path) -> bool:
    """Whether a path is a .sqz file or a checkpoint folder, and not a folder of other things."""
    return path.is_file() or (path / CONFIG_FILE).is_file()


def digest_folder(folder: str | Path) -> str:
    """
    Name the contents of a checkpoint folder: configuration, weights and what a stage hands on.

    Args:
        folder: ours, or one of transformers.

    Returns:
        A SHA-256 in hex; what a stage says of itself, and times, are not part of it.

    Raises:
        CheckpointError: there are no weights.
    """
    folder = Path(folder)
    shards = sorted(path.name for path in folder.glob("model-*-of-*.safetensors"))
    names = (
        CONFIG_FILE,
        *(shards or [find_weights(folder).name]),
        *HANDED_ON,
        *_TEACHERS_TOKENIZER_FILES,
    )
    digests = {name: digest_of(folder / name) for name in names if (folder / name).is_file()}
    return digest_values(digests)


def digest_values(values: Any) -> str:
    """SHA-256 of anything that JSON can hold, in hex; the order of an object's names is nothing."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_json(path: Path, values: Any) -> None:
    """Write readable JSON. Not atomic: for folders that are."""
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    # Half a surrogate pair, which UTF-8 can't hold, is escaped as JSON does it.
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _replaced(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _sync_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
