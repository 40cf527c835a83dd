"""A model exported to ONNX computes what squadlite computes, on the same tokens."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from benchmarks.report import README
from squadlite.answering.tokenizer import Tokenizer, encodable
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.windows import pad_batch, split_into_windows
from squadlite.cli import run
from squadlite.container import open_sqz, write_sqz
from squadlite.container.codecs import Raw
from squadlite.convert import convert
from squadlite.errors import ExportError, TokenizerError
from squadlite.export import export_onnx, onnx_files
from squadlite.export.onnx_files import weight_bytes
from squadlite.model import Checkpoint, load_model, save_checkpoint
from squadlite.models import DEFAULT_MODEL
from squadlite.tensors import read_config

onnx = pytest.importorskip("onnx", reason="comes with squadlite[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="comes with squadlite[bench]")

VOCAB = tiny_spec().vocab
SHARED: dict[str, Any] = {"num_layers": 5, "layer_map": (0, 0, 1, 0, 1)}
SKETCHED: dict[str, Any] = {
    "sketch_dims": {"attention.query": 9, "attention.output": 7, "feed_forward.output": 15}
}
MODELS: dict[str, dict[str, Any]] = {
    "bert": {},
    "distilbert": {"type_vocab_size": 0},
    "shared": SHARED,
    "sketched": SKETCHED,
    "shared and sketched": SHARED | SKETCHED,
    "gelu_new": {"hidden_act": "gelu_new"},
    "relu": {"hidden_act": "relu"},
    "mpnet": {"relative_position_buckets": 32, "type_vocab_size": 0},
    "electra": {"embedding_size": 5},
    "albert": {"embedding_size": 12, "layer_map": (0, 0)},
}


def write_model(folder: Path, *, pruned: bool = False, **changes: Any) -> Path:
    """A .sqz file of a random tiny model; pruned, without some of the words it has."""
    config = tiny_config(vocab_size=len(VOCAB), max_position_embeddings=64, **changes)
    save_checkpoint(folder / "model", Checkpoint(config, random_model(config).state_dict()))
    (folder / "model" / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    corpus = folder / "corpus.txt"
    corpus.write_text("the time machine")
    fewer: dict[str, Any] = {}
    if pruned:
        fewer = {"vocab_size": len(VOCAB) - 6, "vocab_corpus": corpus}
    convert(folder / "model", folder / "model.sqz", bits=6, per="row", **fewer)
    return folder / "model.sqz"


def compare(model: Path, output: Path, shape: tuple[int, int]) -> float:
    """By how much the logits of an export are off, on random tokens, rows of unlike length."""
    reference = load_model(model)
    config = reference.config
    rng = np.random.default_rng(sum(shape))
    lengths = rng.integers(1, shape[1], shape[0], endpoint=True)
    mask = np.arange(shape[1]) < lengths[:, None]
    inputs: dict[str, NDArray[np.int64]] = {
        "input_ids": rng.integers(config.vocab_size, size=shape),
        "token_type_ids": rng.integers(max(config.type_vocab_size, 1), size=shape),
        "attention_mask": mask.astype(np.int64),
    }
    with torch.inference_mode():
        expected = reference(
            torch.from_numpy(inputs["input_ids"]),
            torch.from_numpy(inputs["token_type_ids"]),
            torch.from_numpy(mask),
        )
    if not config.type_vocab_size:
        del inputs["token_type_ids"]
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    found = session.run(["start_logits", "end_logits"], inputs)
    return float(
        max(
            np.abs(ours.numpy() - theirs)[mask].max()
            for ours, theirs in zip(expected, found, strict=True)
        )
    )


@pytest.mark.parametrize("pruned", [False, True], ids=["", "pruned"])
@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)
def test_its_logits_are_ours_at_any_batch_and_length(
    changes: dict[str, Any], pruned: bool, tmp_path: Path
) -> None:
    model = write_model(tmp_path, pruned=pruned, **changes)
    export = export_onnx(model, tmp_path / "out" / "model.onnx")
    assert all(compare(model, export.model, shape) < 1e-3 for shape in ((1, 5), (3, 17), (2, 64)))


def test_the_logits_of_the_default_model_are_ours(tmp_path: Path) -> None:
    export = export_onnx(DEFAULT_MODEL, tmp_path / "model.onnx")
    assert compare(DEFAULT_MODEL, export.model, (2, 200)) < 1e-3


def test_what_an_export_says_is_what_the_file_holds(tmp_path: Path) -> None:
    export = export_onnx(write_model(tmp_path), tmp_path / "model.onnx")
    written = onnx.load(export.model)
    onnx.checker.check_model(written)
    assert export.n_bytes == export.model.stat().st_size
    assert export.opsets == {"ai.onnx": 20, "com.microsoft": 1}
    session = onnxruntime.InferenceSession(export.model, providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == export.inputs
    assert set(export.inputs) == {"input_ids", "token_type_ids", "attention_mask"}
    assert [item.name for item in session.get_outputs()] == export.outputs
    assert export.outputs == ["start_logits", "end_logits"]
    for item in (*session.get_inputs(), *session.get_outputs()):
        assert item.shape == ["batch", "length"]


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = write_model(tmp_path, **SKETCHED)
    exports = [export_onnx(model, tmp_path / name / "model.onnx") for name in "ab"]
    for part in ("model", "tokenizer", "config"):
        first, second = (getattr(export, part).read_bytes() for export in exports)
        assert first == second


@pytest.mark.parametrize("changes", [{}, SHARED, SHARED | SKETCHED])
def test_a_shared_layer_is_there_once(changes: dict[str, Any], tmp_path: Path) -> None:
    model = write_model(tmp_path, **changes)
    export = export_onnx(model, tmp_path / "model.onnx")
    weights = onnx.load(export.model).graph.initializer
    floats = [item for item in weights if item.data_type == onnx.TensorProto.FLOAT]
    with open_sqz(model) as file:
        assert sum(len(item.raw_data) for item in floats) == weight_bytes(read_config(file))


@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)
def test_how_much_it_holds_is_known_before_it_is_decoded(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    model = write_model(tmp_path, **changes)
    weights = onnx.load(export_onnx(model, tmp_path / "model.onnx").model).graph.initializer
    with open_sqz(model) as file:
        n_bytes = weight_bytes(read_config(file))
    # Beside the weights there are a few places and axes.
    assert 0 <= sum(len(item.raw_data) for item in weights) - n_bytes < 100


def test_a_model_too_large_for_one_file_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(tmp_path)
    with open_sqz(model) as file:
        n_bytes = weight_bytes(read_config(file))
    decoded: list[int] = []
    monkeypatch.setattr(onnx_files, "MAX_WEIGHT_BYTES", n_bytes - 1)
    with pytest.raises(ExportError, match=r"GB of weights in float32, expected at most"):
        export_onnx(model, tmp_path / "out" / "model.onnx", progress=lambda n, _: decoded.append(n))
    assert not decoded
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(onnx_files, "MAX_WEIGHT_BYTES", n_bytes)
    export_onnx(model, tmp_path / "out" / "model.onnx", progress=lambda n, _: decoded.append(n))
    with open_sqz(model) as file:
        assert decoded == list(range(1, len(file.tensors)))  # all but the tokenizer's


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    """Our tokenizer of a pruned model, and the one beside its export."""
    folder = tmp_path_factory.mktemp("exported")
    model = write_model(folder, pruned=True)
    export = export_onnx(model, folder / "model.onnx")
    theirs = tokenizers.Tokenizer.from_file(str(export.tokenizer))
    return Tokenizer(TokenizerSpec.load(model)), theirs


@settings(max_examples=60, deadline=None)
@given(text=st.text() | st.text("theTIMEé日’ [SEP]##ing\u0301\u00ad\t"))
def test_its_tokenizer_gives_our_ids(exported: tuple[Tokenizer, Any], text: str) -> None:
    ours, theirs = exported
    (text,) = encodable([text])
    assert theirs.encode(text, add_special_tokens=False).ids == ours.encode(text).ids.tolist()


def test_its_tokenizer_lays_a_question_and_a_context_out_as_we_do(
    exported: tuple[Tokenizer, Any],
) -> None:
    ours, theirs = exported
    question, context = "What [SEP] lever?", "The time [CLS] machine."
    question_ids, context_ids = ours.encode_ids([question, context])
    (window,) = split_into_windows(
        0,
        question_ids,
        context_ids,
        ours.template,
        max_seq_length=64,
        max_question_length=64,
        doc_stride=64,
    )
    batch = pad_batch([window])
    encoded = theirs.encode(question, context)
    assert encoded.ids == batch.input_ids[0].tolist()
    assert encoded.type_ids == batch.token_type_ids[0].tolist()


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_transformers_reads_the_configuration_and_the_tokenizer(name: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="comes with squadlite[bench]")
    model = write_model(tmp_path, **MODELS[name])
    export = export_onnx(model, tmp_path / "out" / "model.onnx")
    config = transformers.AutoConfig.from_pretrained(export.config.parent)
    assert config.model_type == name
    assert (config.num_hidden_layers, config.hidden_size) == (2, 12)
    theirs = transformers.AutoTokenizer.from_pretrained(export.config.parent)
    text = "The TIME traveller’s é machine, whitelever 日!"
    ids = Tokenizer(TokenizerSpec.load(model)).encode(text).ids.tolist()
    assert theirs(text, add_special_tokens=False)["input_ids"] == ids
    with open_sqz(model) as file:
        assert json.loads(export.config.read_bytes())["squadlite"]["metadata"] == file.metadata


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_files_of_another_model_are_not_written_over(name: str, tmp_path: Path) -> None:
    model = write_model(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / name).write_text('{"model_type": "bert"}')
    with pytest.raises(ExportError, match=rf"{name}: found a file that no export wrote"):
        export_onnx(model, folder / "model.onnx")
    assert [path.name for path in folder.iterdir()] == [name]


def test_an_export_takes_the_place_of_another(tmp_path: Path) -> None:
    output = tmp_path / "out" / "model.onnx"
    export_onnx(write_model(tmp_path), output)
    model = write_model(tmp_path, pruned=True)
    export = export_onnx(model, output)
    assert compare(model, output, (2, 9)) < 1e-3
    spec = TokenizerSpec.load(model)
    theirs = tokenizers.Tokenizer.from_file(str(export.tokenizer))
    assert theirs.get_vocab_size() == len(spec.vocab) < len(VOCAB)


def test_an_export_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(tmp_path)

    def fail(_: Tokenizer) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(Tokenizer, "to_json", fail)
    with pytest.raises(OSError, match="no space"):
        export_onnx(model, tmp_path / "out" / "model.onnx")
    assert not list((tmp_path / "out").iterdir())


def test_a_model_that_no_reader_takes_is_not_exported(tmp_path: Path) -> None:
    config = tiny_config(vocab_size=len(VOCAB) + 1)
    spec = tiny_spec()
    tensors = [
        (name, tensor.numpy(), Raw("f32"))
        for name, tensor in random_model(config).state_dict().items()
    ]
    pieces = [(name, values, Raw("u8")) for name, values in spec.to_tensors().items()]
    write_sqz(
        tmp_path / "model.sqz",
        model=config.to_dict(),
        tokenizer=spec.to_header(),
        metadata={},
        tensors=[*tensors, *pieces],
    )
    with pytest.raises(TokenizerError, match="pieces, the model embeddings for"):
        export_onnx(tmp_path / "model.sqz", tmp_path / "model.onnx")


def test_the_command_tells_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = write_model(tmp_path), tmp_path / "out" / "model.onnx"
    assert run(["export", str(model), "--onnx", str(output), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["onnx"] == str(output)
    assert report["n_bytes"] == output.stat().st_size
    assert report["opsets"] == {"ai.onnx": 20, "com.microsoft": 1}
    assert Path(report["tokenizer"]).is_file()
    assert Path(report["config"]).is_file()
    assert run(["export", str(model), "--onnx", str(output)]) == 0
    assert capsys.readouterr().out.startswith(f"Wrote {output}, ")


def test_another_ending_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path)
    assert run(["export", str(model), "--onnx", str(tmp_path / "config.json")]) == 2
    assert "expected a name that ends in .onnx" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"ends in \.onnx"):
        export_onnx(model, tmp_path / "config.json")


def test_without_onnx_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    output = tmp_path / "out" / "model.onnx"
    assert run(["export", str(write_model(tmp_path)), "--onnx", str(output)]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("Error: ")
    assert "pip install 'squadlite[onnx]'" in printed
    assert printed.count("\n") == 1


def test_a_damaged_model_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path)
    content = bytearray(model.read_bytes())
    content[200] ^= 1
    model.write_bytes(content)
    assert run(["export", str(model), "--onnx", str(tmp_path / "out" / "model.onnx")]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("Error: ")
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_example_in_the_readme_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = README.read_text(encoding="utf-8")
    example = textwrap.dedent(text.split("<!-- example: onnx -->")[1].split("<!-- end -->")[0])
    export_onnx(DEFAULT_MODEL, tmp_path / "exported" / "model.onnx")
    monkeypatch.chdir(tmp_path)
    finished = subprocess.run(
        [sys.executable, "-c", example], check=True, capture_output=True, encoding="utf-8"
    )
    assert finished.stdout == "a hatful of salt\n"
