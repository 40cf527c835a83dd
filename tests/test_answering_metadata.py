"""What a model's metadata may say, and where it is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.answering.metadata import METADATA_FILE, EmbeddingConfig, load_metadata
from squadlite.container import write_sqz
from squadlite.errors import CheckpointError, ConfigError, HeaderError

BROKEN: list[Any] = [
    None,
    [],
    "mean",
    {},
    {"pooling": "mean"},
    {"weight": 1.0},
    {"pooling": "mean", "weight": 1.0, "normalised": True},
    {"pooling": "cls", "weight": 1.0},
    {"pooling": None, "weight": 1.0},
    {"pooling": "mean", "weight": True},
    {"pooling": "mean", "weight": "1"},
    {"pooling": "mean", "weight": -0.5},
    {"pooling": "mean", "weight": 1001},
]


def write_file(path: Path, metadata: dict[str, Any]) -> Path:
    write_sqz(path, model={}, tokenizer={}, metadata=metadata, tensors=[])
    return path


def write_folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / METADATA_FILE).write_text(content)
    return path


@given(st.integers(0, 1000) | st.floats(0, 1000))
def test_any_weight_from_0_to_1000_is_taken(weight: float) -> None:
    config = EmbeddingConfig.from_metadata({"embedding": {"pooling": "mean", "weight": weight}})
    assert config == EmbeddingConfig(weight)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 10**400])
def test_a_weight_that_is_no_such_number_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"weight is .* expected a number from 0 to 1000"):
        EmbeddingConfig(weight)


def test_file_and_folder_say_the_same(tmp_path: Path) -> None:
    metadata = {"embedding": {"pooling": "mean", "weight": 2}, "name": "tiny"}
    for path in (
        write_file(tmp_path / "m.sqz", metadata),
        write_folder(tmp_path / "folder", json.dumps(metadata)),
    ):
        assert load_metadata(path) == metadata
        assert EmbeddingConfig.load(path) == EmbeddingConfig(2)


def test_metadata_may_say_nothing(tmp_path: Path) -> None:
    assert EmbeddingConfig.load(write_file(tmp_path / "m.sqz", {"name": "tiny"})) is None
    assert EmbeddingConfig.load(tmp_path) is None  # a folder without the file


@pytest.mark.parametrize("embedding", BROKEN)
def test_what_breaks_a_rule_is_refused_with_its_place(embedding: Any, tmp_path: Path) -> None:
    metadata = {"embedding": embedding}
    file = write_file(tmp_path / "m.sqz", metadata)
    with pytest.raises(HeaderError, match=r"m\.sqz: metadata 'embedding'"):
        EmbeddingConfig.load(file)
    folder = write_folder(tmp_path / "folder", json.dumps(metadata))
    with pytest.raises(CheckpointError, match=r"squadlite\.json: metadata 'embedding'"):
        EmbeddingConfig.load(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "1", "[" * 100_000, "\ud800"])
def test_a_file_that_holds_no_object_is_refused(content: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", "")
    (folder / METADATA_FILE).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(CheckpointError, match=r"squadlite\.json: found .* expected an object"):
        load_metadata(folder)
