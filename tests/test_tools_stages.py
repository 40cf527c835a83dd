"""The stages that change a model without training it."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import padded_batch, random_model, tiny_config
from tiny_training import PIECES, run_stage, write_checkpoint, write_squad
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizerFast

from benchmarks.example_tokenizers import SENTENCES, TOKENIZERS, write_tokenizer
from squadlite.answering.reader import Reader
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import Rademacher, open_sqz
from squadlite.convert import convert
from squadlite.errors import CheckpointError, CodecError, TokenizerError
from squadlite.model import Checkpoint, load_checkpoint, load_model, model_from_checkpoint
from tools.add_span_head import main as add_span_head
from tools.export import main as export
from tools.finetune import main as finetune
from tools.folders import load_input
from tools.moments import InputMoments
from tools.prune_vocab import main as prune_vocab
from tools.random_model import main as new_random_model
from tools.share_layers import Keep, share_layers
from tools.share_layers import main as share
from tools.sketch import PAPER_RATIOS, fit, sketch
from tools.sketch import main as sketch_main


def checkpoint_of(**changes: object) -> Checkpoint:
    model = random_model(tiny_config(**changes))
    return Checkpoint(model.config, dict(model.state_dict()))


# Sharing


@pytest.mark.parametrize(
    ("schedule", "layer_map"),
    [
        ((6,), (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5)),
        ((6, 3), (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2)),
        ((6, 3, 2), (0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)),
        ((6, 3, 2, 1), (0,) * 12),
    ],
)
def test_the_papers_schedule_shares_neighbours(
    schedule: tuple[int, ...], layer_map: tuple[int, ...]
) -> None:
    checkpoint = checkpoint_of(num_layers=12)
    for groups in schedule:
        checkpoint = share_layers(checkpoint, groups)
    assert checkpoint.config.layer_map == layer_map
    assert checkpoint.config.num_layers == 12


@given(num_layers=st.integers(1, 8), data=st.data())
def test_groups_are_even_and_hold_neighbours(num_layers: int, data: st.DataObject) -> None:
    groups = data.draw(st.integers(1, num_layers))
    layer_map = share_layers(checkpoint_of(num_layers=num_layers), groups).config.layer_map
    assert list(layer_map) == sorted(layer_map)
    sizes = np.bincount(layer_map)
    assert len(sizes) == groups
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("keep", ["upper", "lower", "mean"])
def test_a_group_takes_the_parameters_chosen(keep: Keep) -> None:
    before = checkpoint_of(num_layers=4)
    after = share_layers(before, 2, keep)
    for name, tensor in after.tensors.items():
        if not name.startswith("layers."):
            assert torch.equal(tensor, before.tensors[name])
            continue
        _, group, rest = name.split(".", 2)
        lower, upper = (before.tensors[f"layers.{2 * int(group) + i}.{rest}"] for i in (0, 1))
        expected = {"upper": upper, "lower": lower, "mean": (lower + upper) / 2}[keep]
        torch.testing.assert_close(tensor, expected)


def test_sharing_layers_that_are_equal_changes_no_answer() -> None:
    shared = share_layers(checkpoint_of(num_layers=4), 2)
    unshared = {
        name.replace(f"layers.{group}.", f"layers.{layer}.", 1): tensor
        for name, tensor in shared.tensors.items()
        for layer, group in enumerate(shared.config.layer_map)
        if not name.startswith("layers.") or name.startswith(f"layers.{group}.")
    }
    config = tiny_config(num_layers=4)
    batch = padded_batch(config)
    before = model_from_checkpoint(Checkpoint(config, unshared))(*batch)
    for one, other in zip(before, model_from_checkpoint(shared)(*batch), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("groups", [0, 5])
def test_more_groups_than_layers_are_refused(groups: int) -> None:
    with pytest.raises(CheckpointError, match=f"found {groups}, expected 1 to 4"):
        share_layers(checkpoint_of(num_layers=4), groups)


def test_sketched_layers_are_not_shared() -> None:
    sketched, _ = sketch(checkpoint_of(), PAPER_RATIOS, seed=0)
    with pytest.raises(CheckpointError, match="sketch after sharing"):
        share_layers(sketched, 1)


# Sketching


def test_sketches_have_the_papers_ratios_and_project_the_weights() -> None:
    before = checkpoint_of(intermediate_size=24)
    after, _ = sketch(before, PAPER_RATIOS, seed=3)
    dims = {f"attention.{part}": 4 for part in ("query", "key", "value", "output")}
    assert dict(after.config.sketch_dims) == {**dims, "feed_forward.output": 4}
    for name in after.config.sketch_dims:
        module = f"layers.1.{name}"
        weight, signs = before.tensors[f"{module}.weight"], after.tensors[f"{module}.sketch"]
        torch.testing.assert_close(after.tensors[f"{module}.sketched_weight"], weight @ signs.T)
        assert torch.equal(after.tensors[f"{module}.bias"], before.tensors[f"{module}.bias"])
    model_from_checkpoint(after)


def test_a_fitted_sketch_is_the_least_squares_one() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(5, 12, generator=generator), torch.randn(5, generator=generator)
    inputs = 2 + torch.randn(400, 4, generator=generator) @ torch.randn(4, 12, generator=generator)
    inputs += 0.1 * torch.randn(400, 12, generator=generator)
    signs = torch.randn(6, 12, generator=generator).sign()
    moments = InputMoments.empty(12)
    for part in inputs.split(150):
        moments.add(part)
    fitted, shifted = fit(weight, bias, signs, moments)
    wanted = inputs @ weight.T + bias
    sketched = torch.cat([inputs @ signs.T, torch.ones(400, 1)], dim=1)
    best = torch.linalg.lstsq(sketched.double(), wanted.double()).solution
    found = inputs @ signs.T @ fitted.T + shifted
    error = (found - wanted).square().mean()
    assert error <= 1.01 * (sketched.double() @ best - wanted).square().mean()
    assert (
        error < 0.1 * (inputs @ signs.T @ (weight @ signs.T / 6).T + bias - wanted).square().mean()
    )


def test_fitting_brings_the_model_nearer(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "in", num_layers=2, layer_map=(0, 0))
    data = write_squad(tmp_path / "data.json", 20)
    run_stage(sketch_main, folder, tmp_path / "plain")
    run_stage(sketch_main, folder, tmp_path / "fitted", "--fit", data, "--windows", 30)
    batch = padded_batch(load_checkpoint(folder).config)

    def logits(path: Path) -> torch.Tensor:
        return torch.stack(load_model(path)(*batch))[:, batch[2]]

    expected = logits(folder)
    assert (logits(tmp_path / "fitted") - expected).norm() < (
        logits(tmp_path / "plain") - expected
    ).norm()


def test_many_sketches_on_average_give_the_weights_back() -> None:
    before = checkpoint_of(num_layers=1)
    name = "layers.0.attention.query"
    total = torch.zeros(12, 12)
    for seed in range(500):
        after, _ = sketch(before, {"attention.query": Fraction(1, 3)}, seed=seed)
        total += after.tensors[f"{name}.sketched_weight"] @ after.tensors[f"{name}.sketch"]
    torch.testing.assert_close(total / 500, before.tensors[f"{name}.weight"], atol=0.3, rtol=0)


def test_a_file_holds_seeds_in_place_of_signs(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    run_stage(sketch_main, tmp_path / "in", tmp_path / "out", "--seed", 5)
    convert(tmp_path / "out", tmp_path / "seeds.sqz")
    with open_sqz(tmp_path / "seeds.sqz") as file:
        sketches = [info for name, info in file.tensors.items() if name.endswith(".sketch")]
        assert [info.codec for info in sketches] == [Rademacher(5 + i) for i in range(10)]
        assert sum(info.n_bytes for info in sketches) == 0
        for info in sketches:
            stored = load_checkpoint(tmp_path / "out").tensors[info.name].numpy()
            np.testing.assert_array_equal(file.read(info.name), stored)


def test_a_file_says_what_was_done_and_not_how_long_it_took(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    files = []
    for seconds in (7.5, 8.5):
        stage = {"stage": "finetune", "steps": 3, "seconds": seconds, "tokens_per_second": seconds}
        (tmp_path / "in" / "stages.json").write_text(json.dumps([stage]), encoding="utf-8")
        assert run_stage(export, tmp_path / "in", tmp_path / "model.sqz").exit_code == 0
        files.append((tmp_path / "model.sqz").read_bytes())
    assert files[0] == files[1]
    with open_sqz(tmp_path / "model.sqz") as file:
        assert file.metadata["stages"] == [{"stage": "finetune", "steps": 3}]


def test_a_file_holds_signs_where_it_is_asked_to(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    run_stage(sketch_main, tmp_path / "in", tmp_path / "out")
    for name, options in (("seeds", ()), ("signs", ("--store-signs",))):
        assert run_stage(export, tmp_path / "out", tmp_path / name, *options).exit_code == 0
    with open_sqz(tmp_path / "seeds") as seeds, open_sqz(tmp_path / "signs") as signs:
        for name, info in signs.tensors.items():
            np.testing.assert_array_equal(signs.read(name), seeds.read(name))
            if name.endswith(".sketch"):
                assert info.codec == Rademacher()


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ({"attention.nothing": Fraction(1, 2)}, "expected one of attention.query"),
        ({"attention.query": Fraction(3, 2)}, "found ratio 3/2"),
        ({"attention.query": Fraction(0)}, "found ratio 0"),
    ],
)
def test_sketches_that_cannot_be_are_refused(ratios: dict[str, Fraction], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        sketch(checkpoint_of(), ratios, seed=0)


def test_a_sketch_is_not_sketched_again() -> None:
    sketched, _ = sketch(checkpoint_of(), PAPER_RATIOS, seed=0)
    with pytest.raises(CheckpointError, match="sketched already"):
        sketch(sketched, PAPER_RATIOS, seed=0)


@pytest.mark.parametrize("ratio", ["attention.query", "attention.query=1/0", "=x"])
def test_a_ratio_that_is_none_is_a_usage_error(tmp_path: Path, ratio: str) -> None:
    write_checkpoint(tmp_path / "in")
    result = run_stage(sketch_main, tmp_path / "in", tmp_path / "out", "--ratio", ratio)
    assert result.exit_code == 2


# Vocabulary


def test_a_pruned_checkpoint_keeps_frequent_pieces_and_remembers_their_ids(tmp_path: Path) -> None:
    before = load_input(write_checkpoint(tmp_path / "in"))
    (tmp_path / "corpus.txt").write_text("ada keeps the north lighthouse\n")
    result = run_stage(
        prune_vocab,
        *(tmp_path / "in", tmp_path / "out", "--corpus", tmp_path / "corpus.txt", "--size", 15),
    )
    assert result.exit_code == 0
    after = load_input(tmp_path / "out")
    assert {"ada", "keeps", "the", "north", "lighthouse"} <= set(after.spec.vocab)
    assert after.spec.kept_ids == tuple(PIECES.index(piece) for piece in after.spec.vocab)
    words = "embeddings.word.weight"
    expected = before.checkpoint.tensors[words][list(after.spec.kept_ids)]
    assert torch.equal(after.checkpoint.tensors[words], expected)
    convert(tmp_path / "out", tmp_path / "out.sqz")
    with open_sqz(tmp_path / "out.sqz") as file:
        assert TokenizerSpec.from_sqz(file) == after.spec


def test_a_pruned_tokenizer_json_still_works_in_transformers(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    hugging = BertTokenizerFast(vocab={p: i for i, p in enumerate(PIECES)})
    hugging.save_pretrained(tmp_path / "in")
    (tmp_path / "in" / "vocab.txt").unlink(missing_ok=True)
    text = "ada keeps the north lighthouse"
    (tmp_path / "corpus.txt").write_text(text)
    arguments = (tmp_path / "in", tmp_path / "out", "--corpus", tmp_path / "corpus.txt")
    assert run_stage(prune_vocab, *arguments, "--share", 0.5).exit_code == 0
    pruned = Tokenizer(TokenizerSpec.from_folder(tmp_path / "out"))
    hugging = BertTokenizerFast.from_pretrained(tmp_path / "out")
    ids = [pruned.cls_id, *pruned.encode(text).ids.tolist(), pruned.sep_id]
    assert hugging(text)["input_ids"] == ids


@pytest.mark.parametrize("name", ["byte_bpe", "albert", "xlm"])
def test_a_model_of_another_tokenizer_is_pruned_converted_and_read(
    name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    n_pieces = len(json.loads(TOKENIZERS[name]())["model"]["vocab"])
    write_checkpoint(folder, vocab_size=n_pieces, type_vocab_size=0)
    (folder / "vocab.txt").unlink()
    write_tokenizer(folder, TOKENIZERS[name](), name)
    (tmp_path / "corpus.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    arguments = (folder, tmp_path / "out", "--corpus", tmp_path / "corpus.txt", "--share", 0.9)
    assert run_stage(prune_vocab, *arguments).exit_code == 0
    before, after = load_input(folder), load_input(tmp_path / "out")
    kept = after.spec.kept_ids
    assert kept is not None
    assert n_pieces * 0.8 < len(kept) < n_pieces
    assert after.spec == before.spec.keep(kept)
    convert(tmp_path / "out", tmp_path / "out.sqz", bits=16)
    with open_sqz(tmp_path / "out.sqz") as file:
        assert file.version == (2, 0)
        assert TokenizerSpec.from_sqz(file) == after.spec
    context = "The lighthouse keeper keeps the north lighthouse."
    (reading,) = Reader.load(tmp_path / "out.sqz", threads=1).read("Who keeps it?", [context])
    (expected,) = Reader.load(tmp_path / "out", threads=1).read("Who keeps it?", [context])
    assert [span.text for span in reading.spans] == [span.text for span in expected.spans]
    assert reading.spans
    for span in reading.spans:
        assert span.text == span.text.strip() == context[span.start : span.end] != ""
    with pytest.raises(TokenizerError, match="format_version 1"):
        convert(tmp_path / "out", tmp_path / "old.sqz", format_version=1)


def test_a_pruned_byte_bpe_of_two_files_is_the_same(tmp_path: Path) -> None:
    whole = json.loads(TOKENIZERS["byte_bpe"]())
    folder = write_checkpoint(tmp_path / "in", vocab_size=len(whole["model"]["vocab"]))
    (folder / "vocab.txt").unlink()
    (folder / "vocab.json").write_text(json.dumps(whole["model"]["vocab"]))
    merges = [" ".join(merge) for merge in whole["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (tmp_path / "corpus.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    arguments = (folder, tmp_path / "out", "--corpus", tmp_path / "corpus.txt", "--share", 0.9)
    assert run_stage(prune_vocab, *arguments).exit_code == 0
    before, after = load_input(folder), load_input(tmp_path / "out")
    assert after.spec.kept_ids is not None
    assert after.spec == before.spec.keep(after.spec.kept_ids)


def test_one_of_size_and_share_is_needed(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    corpus = write_squad(tmp_path / "corpus.json", 1)
    arguments = (tmp_path / "in", tmp_path / "out", "--corpus", corpus)
    assert run_stage(prune_vocab, *arguments).exit_code == 2
    assert run_stage(prune_vocab, *arguments, "--size", 9, "--share", 0.5).exit_code == 2


# Beginnings


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM])
def test_a_pretrained_encoder_gets_a_span_head(tmp_path: Path, kind: type) -> None:
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=48,
    )
    encoder = kind(config).eval()
    encoder.save_pretrained(tmp_path / "in")
    (tmp_path / "in" / "vocab.txt").write_text("\n".join(PIECES))
    assert run_stage(add_span_head, tmp_path / "in", tmp_path / "out").exit_code == 0
    checkpoint = load_checkpoint(tmp_path / "out")
    name = "embeddings.word_embeddings.weight"
    encoder_tensors = encoder.state_dict()
    theirs = encoder_tensors.get(name, encoder_tensors.get(f"bert.{name}"))
    assert torch.equal(checkpoint.tensors["embeddings.word.weight"], theirs)
    assert 0 < checkpoint.tensors["span_head.weight"].std() < 0.1
    assert not checkpoint.tensors["span_head.bias"].any()


def test_what_is_no_encoder_gets_no_span_head(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    (tmp_path / "in" / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(CheckpointError, match="found model_type 'gpt2', expected one of"):
        run_stage(add_span_head, tmp_path / "in", tmp_path / "out")


def test_a_random_model_reads(tmp_path: Path) -> None:
    corpus = write_squad(tmp_path / "corpus.json", 5)
    arguments = (tmp_path / "out", "--corpus", corpus, "--vocab-size", 60, "--num-layers", 2)
    assert run_stage(new_random_model, *arguments).exit_code == 0
    reader = Reader.load(tmp_path / "out", threads=1)
    (reading,) = reader.read("who keeps it?", ["ada keeps the north lighthouse"])
    assert reading.spans


def test_sharing_from_the_command_line(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", num_layers=4)
    result = run_stage(share, tmp_path / "in", tmp_path / "out", "--groups", 2, "--keep", "mean")
    assert result.exit_code == 0
    assert "0 0 1 1" in result.output
    (stage,) = json.loads((tmp_path / "out" / "stages.json").read_text())
    assert stage == {"stage": "share_layers", "groups": 2, "keep": "mean"}


# Families


@pytest.mark.parametrize(
    ("changes", "model_types"),
    [
        ({"relative_position_buckets": 32, "type_vocab_size": 0}, ["mpnet"] * 4),
        (
            {"relative_position_buckets": 32, "type_vocab_size": 0, "embedding_size": 8},
            ["mpnet"] * 4,
        ),
        ({"embedding_size": 8}, ["electra", *["albert"] * 3]),
    ],
)
def test_every_family_goes_through_the_stages(
    tmp_path: Path, changes: dict[str, Any], model_types: list[str]
) -> None:
    folders = [tmp_path / name for name in ("in", "shared", "sketched", "trained")]
    write_checkpoint(folders[0], num_layers=4, **changes)
    data = write_squad(tmp_path / "train.json", 4)
    run_stage(share, *folders[:2], "--groups", 2)
    run_stage(sketch_main, *folders[1:3])
    run_stage(finetune, *folders[2:4], "--data", data, "--epochs", 0.5, "--device", "cpu")
    found = [json.loads((f / "config.json").read_text())["model_type"] for f in folders]
    assert found == model_types
    before, after = (load_checkpoint(folder) for folder in folders[2:])
    assert after.config == before.config
    for name, tensor in after.tensors.items():
        assert torch.equal(tensor, before.tensors[name]) == name.endswith(".sketch"), name
    convert(folders[3], tmp_path / "model.sqz", bits=8, vocab_size=15, vocab_corpus=data)
    with open_sqz(tmp_path / "model.sqz") as file:
        assert file.version == (2, 0)
    (reading,) = Reader.load(tmp_path / "model.sqz").read("who?", ["ada keeps the lighthouse"])
    assert reading.spans


def test_an_mpnet_learns_its_teachers_layers_after_sharing(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("in", "shared", "taught")]
    write_checkpoint(folders[0], num_layers=4, type_vocab_size=0, relative_position_buckets=32)
    data = write_squad(tmp_path / "train.json", 8)
    run_stage(share, *folders[:2], "--groups", 2)
    options = ("--teacher", folders[0], "--hidden-weight", 30, "--hard-weight", 0)
    rhythm = ("--epochs", 12, "--learning-rate", 3e-3, "--dropout", 0, "--device", "cpu")
    run_stage(finetune, *folders[1:3], "--data", data, *options, *rhythm, "--log-steps", 1)
    losses = [
        json.loads(line)["loss"] for line in (folders[2] / "log.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < losses[0] / 2


# What stages leave in a folder, and conversion reads


@pytest.mark.parametrize("content", ["", "{}", '["a"]', "[true]"])
def test_kept_ids_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (write_checkpoint(tmp_path / "in") / "kept_ids.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"kept_ids\.json"):
        TokenizerSpec.from_folder(tmp_path / "in")


@pytest.mark.parametrize("content", ["", "[]", '{"layers.0.attention.query.sketch": 1.5}'])
def test_sketch_seeds_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (write_checkpoint(tmp_path / "in") / "sketch_seeds.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"sketch_seeds\.json"):
        convert(tmp_path / "in", tmp_path / "out.sqz")


def test_a_seed_that_did_not_make_the_signs_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    run_stage(sketch_main, tmp_path / "in", tmp_path / "out")
    seeds = json.loads((tmp_path / "out" / "sketch_seeds.json").read_text())
    (tmp_path / "out" / "sketch_seeds.json").write_text(json.dumps(dict.fromkeys(seeds, 77)))
    with pytest.raises(CodecError, match="seed 77"):
        convert(tmp_path / "out", tmp_path / "out.sqz")
