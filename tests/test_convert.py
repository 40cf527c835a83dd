import hashlib
import json
import math
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import padded_batch, random_model, tiny_config

from squadlite import __version__
from squadlite.answering.metadata import METADATA_FILE
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import Linear, Rademacher, Raw, open_sqz
from squadlite.convert import convert
from squadlite.errors import CheckpointError, CodecError, ConfigError, TokenizerError
from squadlite.model import Checkpoint, load_checkpoint, load_model, save_checkpoint

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
WORDS = ["time", "machine", "the", "##ing", "travel", "dinner"]
VOCAB = [*SPECIAL, *LETTERS, *WORDS]
MUST_STAY = len(SPECIAL) + len(LETTERS)


def write_folder(folder: Path, **changes: Any) -> Path:
    """A checkpoint of a random tiny model and a vocabulary that fits it."""
    config = tiny_config(**{"vocab_size": len(VOCAB)} | changes)
    save_checkpoint(folder, Checkpoint(config, random_model(config).state_dict()))
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    return folder


def change_tensor(folder: Path, name: str, value: float) -> None:
    checkpoint = load_checkpoint(folder)
    changed = checkpoint.tensors[name].clone()
    changed.view(-1)[0] = value
    save_checkpoint(folder, Checkpoint(checkpoint.config, checkpoint.tensors | {name: changed}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny-squad2")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "model.sqz"


EMBEDDING = {"embedding": {"pooling": "mean", "weight": 0.5}}


def test_what_a_folder_says_of_its_use_goes_into_the_file(folder: Path, output: Path) -> None:
    (folder / METADATA_FILE).write_text(json.dumps({**EMBEDDING, "licence": "folder's"}))
    convert(folder, output, metadata={"licence": "given"})
    with open_sqz(output) as file:
        assert file.metadata["embedding"] == EMBEDDING["embedding"]
        assert file.metadata["licence"] == "given"


def test_a_file_that_no_reader_would_take_is_not_written(folder: Path, output: Path) -> None:
    wrong = {"embedding": {"pooling": "max", "weight": 0.5}}
    with pytest.raises(ConfigError, match="pooling is 'max', expected 'mean'"):
        convert(folder, output, metadata=wrong)
    (folder / METADATA_FILE).write_text(json.dumps(wrong))
    with pytest.raises(ConfigError, match="pooling is 'max', expected 'mean'"):
        convert(folder, output)
    assert not output.exists()


def test_a_folder_cannot_say_what_the_conversion_says(folder: Path, output: Path) -> None:
    (folder / METADATA_FILE).write_text('{"recipe": {}}')
    with pytest.raises(CheckpointError, match=r"squadlite\.json: 'recipe' is written by"):
        convert(folder, output)


@pytest.mark.parametrize("bits", [1, 7, 10, 16])
def test_per_tensor_every_tensor_is_linear_as_in_the_paper(
    bits: int, folder: Path, output: Path
) -> None:
    convert(folder, output, bits=bits, format_version=1)
    before = load_checkpoint(folder).tensors
    after = load_model(output).state_dict()
    with open_sqz(output) as file:
        for name, tensor in before.items():
            info = file.tensors[name]
            assert info.codec == Linear(bits, per="tensor")
            assert info.n_bytes == -(-tensor.numel() * bits // 8) + 8
            step = (tensor.max() - tensor.min()) / (2**bits - 1)
            assert (after[name] - tensor).abs().max() <= 0.501 * step


@pytest.mark.parametrize("per", ["row", "group"])
def test_per_row_and_group_only_matrices_are_quantized(
    per: str, folder: Path, output: Path
) -> None:
    convert(folder, output, bits=6, per=per, group_size=5, format_version=1)
    with open_sqz(output) as file:
        for name, info in file.tensors.items():
            if name == "tokenizer.vocab":
                assert info.codec == Raw("u8")
            elif len(info.shape) == 1 or name == "span_head.weight":
                assert info.codec == Raw("f16")
            else:
                expected = Linear(6, per=per, group_size=5 if per == "group" else None)
                assert info.codec == expected


@pytest.mark.parametrize("per", ["tensor", "row", "group"])
def test_both_versions_of_the_format_hold_the_same_values(
    per: str, folder: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{version}.sqz" for version in (1, 2)]
    for version, path in enumerate(paths, 1):
        convert(folder, path, bits=6, per=per, format_version=version)
    with open_sqz(paths[0]) as plain, open_sqz(paths[1]) as coded:
        assert (plain.version, coded.version) == ((1, 0), (2, 0))
        assert plain.metadata == coded.metadata
        assert list(plain.tensors) == list(coded.tensors)
        for name, info in plain.tensors.items():
            np.testing.assert_array_equal(plain.read(name), coded.read(name))
            assert coded.tensors[name].n_bytes <= info.n_bytes
    assert paths[1].stat().st_size < paths[0].stat().st_size


def test_vectors_that_half_precision_cannot_hold_keep_single(folder: Path, output: Path) -> None:
    name = "layers.1.feed_forward.norm.weight"
    change_tensor(folder, name, 1e5)
    convert(folder, output, per="row", format_version=1)
    with open_sqz(output) as file:
        assert file.tensors[name].codec == Raw("f32")
        np.testing.assert_array_equal(file.read(name), load_checkpoint(folder).tensors[name])


@pytest.mark.parametrize("per", ["tensor", "group"])
def test_sketches_take_one_bit_an_entry(per: str, tmp_path: Path, output: Path) -> None:
    sketch_dims = {"attention.key": 4, "feed_forward.output": 6}
    folder = write_folder(tmp_path / "sketched", sketch_dims=sketch_dims)
    convert(folder, output, per=per)
    name = "layers.0.feed_forward.output.sketch"
    with open_sqz(output) as file:
        assert file.tensors[name].codec == Rademacher()
        assert file.tensors[name].n_bytes == 6 * 20 // 8
    before, after = load_checkpoint(folder), load_model(output)
    assert after.config == before.config
    torch.testing.assert_close(after.state_dict()[name], before.tensors[name])


def test_shared_layers_are_stored_once(tmp_path: Path, output: Path) -> None:
    once = write_folder(tmp_path / "once", num_layers=1, layer_map=(0,))
    often = write_folder(tmp_path / "often", num_layers=12, layer_map=(0,) * 12)
    assert convert(once, output).parts[:-1] == convert(often, output).parts[:-1]
    assert load_model(output).config.layer_map == (0,) * 12


@pytest.mark.parametrize("per", ["tensor", "row", "group"])
def test_sixteen_bits_answer_as_the_checkpoint_does(per: str, folder: Path, output: Path) -> None:
    convert(folder, output, bits=16, per=per)
    before, after = load_model(folder), load_model(output)
    batch = padded_batch(before.config)
    torch.testing.assert_close(after(*batch), before(*batch), rtol=0, atol=0.02)


@pytest.mark.parametrize("per", ["tensor", "group"])
def test_the_same_input_gives_the_same_bytes(per: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the time machine\n")
    files = []
    for place in ("one", "other"):
        folder = write_folder(tmp_path / place / "model")
        output = tmp_path / f"{place}.sqz"
        size = {"vocab_size": len(VOCAB) - 2, "vocab_corpus": corpus}
        convert(folder, output, per=per, metadata={"licence": "MIT"}, **size)
        files.append(output.read_bytes())
    assert files[0] == files[1]


def test_pruning_keeps_the_pieces_of_the_corpus(folder: Path, output: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the time machine\nthe dinner of the time traveller\n")
    convert(folder, output, bits=16, vocab_size=MUST_STAY + 3, vocab_corpus=corpus)
    with open_sqz(output) as file:
        spec = TokenizerSpec.from_sqz(file)
    assert spec.kept_ids is not None
    assert [VOCAB[old_id] for old_id in spec.kept_ids] == list(spec.vocab)
    # "machine", "dinner" and "travel" are equally frequent: the lowest id stays.
    assert set(spec.vocab) == {*SPECIAL, *LETTERS, "the", "time", "machine"}

    before, after = load_model(folder), load_model(output)
    assert after.config.vocab_size == len(spec.vocab)
    _, token_type_ids, attention_mask = padded_batch(after.config)
    new_ids = torch.randint(len(spec.vocab), attention_mask.shape)
    old_ids = torch.tensor(spec.kept_ids)[new_ids]
    torch.testing.assert_close(
        after(new_ids, token_type_ids, attention_mask),
        before(old_ids, token_type_ids, attention_mask),
        rtol=0,
        atol=0.02,
    )


def test_embeddings_beyond_the_vocabulary_are_dropped(tmp_path: Path, output: Path) -> None:
    folder = write_folder(tmp_path / "padded", vocab_size=len(VOCAB) + 9)
    convert(folder, output)
    with open_sqz(output) as file:
        assert file.tensors["embeddings.word.weight"].shape == (len(VOCAB), 12)
        assert TokenizerSpec.from_sqz(file) == TokenizerSpec.from_folder(folder)


def test_a_vocabulary_beyond_the_embeddings_is_refused(tmp_path: Path, output: Path) -> None:
    folder = write_folder(tmp_path / "short", vocab_size=len(VOCAB) - 1)
    with pytest.raises(CheckpointError, match=f"found {len(VOCAB)} word pieces, expected at most"):
        convert(folder, output)


def test_the_report_accounts_for_every_byte(folder: Path, output: Path) -> None:
    report = convert(folder, output, bits=7)
    assert [part.name for part in report.parts] == [
        "word embeddings",
        "other embeddings",
        "layer 0 attention",
        "layer 0 feed-forward",
        "layer 1 attention",
        "layer 1 feed-forward",
        "span head",
        "tokenizer",
        "header and padding",
    ]
    with open_sqz(output) as file:
        assert report.metadata == file.metadata
        stored = sum(info.n_bytes for info in file.tensors.values())
    assert report.n_bytes == output.stat().st_size
    assert report.n_bytes - report.parts[-1].n_bytes == stored
    pieces = len("\n".join(VOCAB))
    assert report.num_values == load_checkpoint(folder).config.num_parameters + pieces


def test_metadata_says_where_the_file_comes_from(
    folder: Path, output: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the time\n")
    convert(
        folder,
        output,
        bits=5,
        per="group",
        group_size=32,
        vocab_size=MUST_STAY,
        vocab_corpus=corpus,
        metadata={"name": "tiny", "licence": "MIT"},
    )
    with open_sqz(output) as file:
        assert file.metadata == {
            "name": "tiny",
            "licence": "MIT",
            "source": {
                "name": "tiny-squad2",
                "sha256": {
                    name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
                    for name in ("config.json", "model.safetensors", "vocab.txt")
                },
            },
            "recipe": {
                "bits": 5,
                "per": "group",
                "group_size": 32,
                "vocab_size": MUST_STAY,
                "vocab_corpus": {
                    "name": "corpus.txt",
                    "sha256": hashlib.sha256(b"the time\n").hexdigest(),
                },
            },
            "squadlite": __version__,
        }


def test_a_file_is_named_after_its_folder(
    folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert convert(".", output).metadata["name"] == "tiny-squad2"


def test_progress_reaches_its_total(folder: Path, output: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the time\n" * 3)
    seen: list[tuple[int, int]] = []
    convert(
        folder,
        output,
        vocab_size=MUST_STAY,
        vocab_corpus=corpus,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[0] == (3, 3)
    with open_sqz(output) as file:
        count = len(file.tensors)
    assert seen[1:] == [(done, count) for done in range(1, count + 1)]


def test_impossible_settings_are_refused_and_nothing_is_written(
    folder: Path, output: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the time\n")
    for settings in (
        {"bits": 0},
        {"bits": 17},
        {"bits": math.inf},
        {"bits": math.nan},
        {"per": "layer"},
        {"per": "group", "group_size": 0},
    ):
        with pytest.raises(CodecError):
            convert(folder, output, **settings)
    with pytest.raises(ValueError, match="both or neither"):
        convert(folder, output, vocab_size=30)
    with pytest.raises(ValueError, match="format_version: found 3, expected 1 or 2"):
        convert(folder, output, format_version=3)
    with pytest.raises(ValueError, match="'recipe'"):
        convert(folder, output, metadata={"recipe": {}})
    with pytest.raises(TokenizerError, match="vocabulary size 3"):
        convert(folder, output, vocab_size=3, vocab_corpus=corpus)
    assert not output.exists()


@pytest.mark.parametrize("per", ["tensor", "row"])
@pytest.mark.parametrize("name", ["embeddings.word.weight", "layers.0.attention.query.bias"])
def test_weights_that_are_not_finite_are_named(
    name: str, per: str, folder: Path, output: Path
) -> None:
    output.write_bytes(b"the old file")
    change_tensor(folder, name, float("nan"))
    with pytest.raises(CodecError, match=name):
        convert(folder, output, per=per)
    assert output.read_bytes() == b"the old file"


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path, output: Path) -> None:
    with pytest.raises(CheckpointError):
        convert(tmp_path, output)


def test_the_real_checkpoint_takes_ten_bits_a_value(shared: Path, output: Path) -> None:
    folder = shared / "checkpoints" / "minilm-l6-squad2"
    report = convert(folder, output, format_version=1)
    model_parts = report.parts[:-2]
    num_values = sum(part.num_values for part in model_parts)
    assert num_values == 22_566_146
    assert sum(part.n_bytes for part in model_parts) == pytest.approx(num_values * 10 / 8, rel=1e-4)
    assert json.dumps(report.metadata)
    assert load_model(output).config.vocab_size == 30_522
