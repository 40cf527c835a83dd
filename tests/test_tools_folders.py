import shutil
from pathlib import Path

import pytest
import torch
from tiny_training import write_checkpoint

from squadlite.errors import CheckpointError
from tools.folders import (
    atomic_folder,
    digest_folder,
    is_ours,
    load_input,
    load_stages,
    restore_folder,
    write_output,
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_stage_hands_model_and_tokenizer_on(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "in")
    (source / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    (source / "squadlite.json").write_text('{"licence": "none"}')
    start = load_input(source)
    with write_output(tmp_path / "out", start.checkpoint, {}, source=source) as folder:
        (folder / "more.txt").write_text("more")
    end = load_input(tmp_path / "out")
    assert end.spec == start.spec
    assert not end.spec.lowercase
    assert end.checkpoint.config == start.checkpoint.config
    for name, tensor in start.checkpoint.tensors.items():
        assert torch.equal(end.checkpoint.tensors[name], tensor)
    assert names(tmp_path / "out") >= {"stages.json", "squadlite.json", "more.txt"}
    assert digest_folder(tmp_path / "out") == digest_folder(source)


def test_word_embeddings_without_a_piece_are_dropped(tmp_path: Path) -> None:
    start = load_input(write_checkpoint(tmp_path / "in", vocab_size=64))
    assert start.checkpoint.config.vocab_size == len(start.spec.vocab) < 64


def test_pieces_without_an_embedding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="word pieces"):
        load_input(write_checkpoint(tmp_path / "in", vocab_size=20))


def test_a_digest_changes_with_weights_and_tokenizer(tmp_path: Path) -> None:
    one = digest_folder(write_checkpoint(tmp_path / "one", seed=1))
    two = digest_folder(write_checkpoint(tmp_path / "two", seed=2))
    again = digest_folder(write_checkpoint(tmp_path / "again", seed=1))
    assert one == again != two
    (tmp_path / "one" / "tokenizer_config.json").write_text("{}")
    assert digest_folder(tmp_path / "one") != again


def test_a_digest_changes_with_any_part_of_weights_in_several_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    parts = [tmp_path / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    digests = set()
    for content in (b"one", b"other"):
        for part in parts:
            part.write_bytes(content)
            digests.add(digest_folder(tmp_path))
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("config", "ours"),
    [
        ('{"model_type": "mpnet"}', True),
        ('{"model_type": "xlnet"}', False),
        ("no JSON", True),
        ("[]", True),
        ('{"model_type": []}', True),
    ],
)
def test_a_folder_is_ours_by_its_model_type(tmp_path: Path, config: str, ours: bool) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\n")
    assert is_ours(tmp_path) == ours


def test_a_folder_with_a_tokenizer_of_another_kind_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "WordLevel"}}')
    assert not is_ours(tmp_path)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_folder(target) as folder:
            (folder / name).touch()
    assert names(target) == {"new"}
    assert names(tmp_path) == {"folder"}


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    with pytest.raises(KeyboardInterrupt), atomic_folder(target) as folder:
        (folder / "new").touch()
        raise KeyboardInterrupt
    assert names(target) == {"old"}
    assert names(tmp_path) == {"folder"}


def test_a_replacement_that_was_cut_off_is_undone(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with atomic_folder(target) as folder:
        (folder / "old").touch()
    # As a kill between the two renames leaves it.
    shutil.move(target, tmp_path / ".folder.replaced")
    restore_folder(target)
    assert names(target) == {"old"}


def test_what_a_kill_left_of_a_replaced_folder_is_in_nobodys_way(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for name in ("old", "new"):
        # As a kill before the last replacement's end leaves it.
        (tmp_path / ".folder.replaced").mkdir()
        (tmp_path / ".folder.replaced" / "older").touch()
        with atomic_folder(target) as folder:
            (folder / name).touch()
        assert names(target) == {name}
    assert names(tmp_path) == {"folder"}


def test_stages_add_up(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "0")
    assert load_stages(source) == []
    checkpoint = load_input(source).checkpoint
    for number in (1, 2):
        before = tmp_path / str(number - 1)
        with write_output(tmp_path / str(number), checkpoint, {"stage": number}, source=before):
            pass
    assert load_stages(tmp_path / "2") == [{"stage": 1}, {"stage": 2}]


@pytest.mark.parametrize("content", ["", "{}", "[1]"])
def test_stages_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "stages.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"stages\.json"):
        load_stages(tmp_path)
