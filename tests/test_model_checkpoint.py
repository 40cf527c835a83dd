import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_models import padded_batch, random_model, randomize, tiny_config

from squadlite.errors import CheckpointError
from squadlite.model import (
    Checkpoint,
    QuestionAnsweringModel,
    load_checkpoint,
    load_model,
    save_checkpoint,
)

BERT: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
}
DISTILBERT: dict[str, Any] = {
    "vocab_size": 60,
    "dim": 16,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 24,
    "max_position_embeddings": 32,
}


def make_bert(**changes: Any) -> Any:
    config = transformers.BertConfig(**BERT | changes)
    return _randomized(transformers.BertForQuestionAnswering(config))


def make_distilbert(**changes: Any) -> Any:
    config = transformers.DistilBertConfig(**DISTILBERT | changes)
    return _randomized(transformers.DistilBertForQuestionAnswering(config))


def save(reference: Any, folder: Path, *, file: str = "model.safetensors") -> Path:
    """Write config.json and weights as transformers 4 or 5 does."""
    folder.mkdir(exist_ok=True)
    reference.config.to_json_file(folder / "config.json", use_diff=False)
    if file == "model.safetensors":
        save_file(reference.state_dict(), folder / file)
    else:
        torch.save(reference.state_dict(), folder / file)
    return folder


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def _randomized(reference: Any) -> Any:
    randomize(reference)
    return reference.eval()


def assert_parity(reference: Any, model: QuestionAnsweringModel, atol: float = 1e-4) -> None:
    """Equal logits on a padded batch and on one without padding."""
    input_ids, token_type_ids, attention_mask = padded_batch(model.config)
    types = {"token_type_ids": token_type_ids} if model.config.type_vocab_size else {}
    for mask in (attention_mask, torch.ones_like(attention_mask)):
        with torch.inference_mode():
            expected = reference(input_ids=input_ids, attention_mask=mask.long(), **types)
            start_logits, end_logits = model(input_ids, token_type_ids, mask)
        difference = torch.stack(
            [start_logits - expected.start_logits, end_logits - expected.end_logits]
        )
        assert difference[:, mask].abs().max() < atol
        assert expected.start_logits.std() > 0.05


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (make_bert, {}),
        (make_bert, {"hidden_act": "gelu_new", "num_attention_heads": 1}),
        (make_bert, {"num_hidden_layers": 5, "layer_norm_eps": 1e-3, "type_vocab_size": 3}),
        (make_distilbert, {}),
        (make_distilbert, {"activation": "relu", "n_layers": 3, "hidden_dim": 8}),
    ],
)
def test_logits_equal_those_of_transformers(
    make: Callable[..., Any], changes: dict[str, Any], tmp_path: Path
) -> None:
    reference = make(**changes)
    assert_parity(reference, load_model(save(reference, tmp_path)))


@pytest.mark.parametrize("make", [make_bert, make_distilbert])
def test_means_are_those_of_transformers_last_hidden_states(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    reference = make()
    model = load_model(save(reference, tmp_path))
    input_ids, _, attention_mask = padded_batch(model.config)
    with torch.inference_mode():
        hidden = reference.base_model(input_ids, attention_mask.long()).last_hidden_state
        found = model.embed(input_ids, attention_mask)
    expected = [hidden[row, mask].mean(dim=0) for row, mask in enumerate(attention_mask)]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("make", [make_bert, make_distilbert])
def test_every_kind_of_weight_file_is_read(
    make: Callable[..., Any], dtype: torch.dtype, file: str, tmp_path: Path
) -> None:
    reference = make().to(dtype)
    model = load_model(save(reference, tmp_path, file=file))
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    assert_parity(reference.float(), model)


def test_logits_equal_those_of_transformers_on_the_real_checkpoint(shared: Path) -> None:
    folder = shared / "checkpoints" / "minilm-l6-squad2"
    reference = transformers.BertForQuestionAnswering.from_pretrained(folder, dtype=torch.float32)
    assert_parity(reference.eval(), load_model(folder))


@pytest.mark.parametrize(
    "extra",
    ["bert.embeddings.position_ids", "bert.pooler.dense.weight", "bert.pooler.dense.bias"],
)
def test_tensors_that_answering_never_uses_are_ignored(extra: str, tmp_path: Path) -> None:
    folder = save(make_bert(), tmp_path)
    before = load_checkpoint(folder).tensors
    change_tensors(folder, lambda tensors: tensors.update({extra: torch.zeros(3)}))
    assert load_checkpoint(folder).tensors.keys() == before.keys()


def test_norms_may_have_their_old_names(tmp_path: Path) -> None:
    folder = save(make_bert(), tmp_path)
    before = load_checkpoint(folder).tensors

    def age(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if "LayerNorm" in name]:
            old = name.replace(".weight", ".gamma").replace(".bias", ".beta")
            tensors[old] = tensors.pop(name)

    change_tensors(folder, age)
    torch.testing.assert_close(load_checkpoint(folder).tensors, before)


def test_absent_fields_of_the_configuration_have_the_defaults_of_transformers(
    tmp_path: Path,
) -> None:
    for name, make in (("bert", make_bert), ("distilbert", make_distilbert)):
        folder = save(make(), tmp_path / name)
        reference = make()
        sizes = BERT if name == "bert" else DISTILBERT
        (folder / "config.json").write_text(json.dumps({"model_type": name} | sizes))
        assert_parity(reference, load_model(folder))


def test_xtremedistil_is_a_bert(tmp_path: Path) -> None:
    # As its checkpoints are published: a narrow BERT, pickled, with buffers and a pooler.
    reference = make_bert()
    fields = {
        "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "model_type": "bert",
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "use_cache": True,
    }
    (tmp_path / "config.json").write_text(
        json.dumps({**fields, **BERT, "architectures": ["BertModel"]})
    )
    extra = {
        "bert.embeddings.position_ids": torch.arange(32)[None],
        "bert.pooler.dense.weight": torch.zeros(16, 16),
        "bert.pooler.dense.bias": torch.zeros(16),
    }
    torch.save(reference.state_dict() | extra, tmp_path / "pytorch_model.bin")
    assert_parity(reference, load_model(tmp_path))


@pytest.mark.parametrize("model_type", ["mobilebert", "deberta-v2", "xlnet", "longformer"])
def test_a_family_that_we_do_not_have_is_named_beside_those_we_have(
    model_type: str, tmp_path: Path
) -> None:
    config = transformers.AutoConfig.for_model(model_type)
    config.to_json_file(tmp_path / "config.json", use_diff=False)
    names = "bert, distilbert, roberta, mpnet, electra, albert"
    with pytest.raises(
        CheckpointError, match=f"model_type '{model_type}', expected one of {names}$"
    ):
        load_checkpoint(tmp_path)


def test_shared_layers_are_stored_once(tmp_path: Path) -> None:
    reference = make_bert(num_hidden_layers=2)
    folder = save(reference, tmp_path)
    change_config(folder, num_hidden_layers=4, layer_map=[0, 0, 1, 1])
    checkpoint = load_checkpoint(folder)
    assert checkpoint.config.layer_map == (0, 0, 1, 1)
    assert sum("query.weight" in name for name in checkpoint.tensors) == 2
    layers = reference.bert.encoder.layer
    reference.bert.encoder.layer = torch.nn.ModuleList(layers[i] for i in (0, 0, 1, 1))
    reference.config.num_hidden_layers = 4
    assert_parity(reference, load_model(folder))


@pytest.mark.parametrize("type_vocab_size", [0, 2])
def test_transformers_reads_what_we_save(type_vocab_size: int, tmp_path: Path) -> None:
    config = tiny_config(type_vocab_size=type_vocab_size, hidden_act="gelu_new")
    model = random_model(config)
    save_checkpoint(tmp_path, Checkpoint(config, model.state_dict()))
    family = (
        transformers.BertForQuestionAnswering
        if type_vocab_size
        else transformers.DistilBertForQuestionAnswering
    )
    assert_parity(family.from_pretrained(tmp_path).eval(), model)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"type_vocab_size": 0},
        {"num_layers": 3, "layer_map": (0, 1, 0)},
        {"sketch_dims": {"attention.value": 5, "feed_forward.intermediate": 3}},
    ],
)
def test_what_we_save_loads_as_it_was(changes: dict[str, Any], tmp_path: Path) -> None:
    config = tiny_config(**changes)
    tensors = random_model(config).state_dict()
    save_checkpoint(tmp_path, Checkpoint(config, tensors))
    loaded = load_checkpoint(tmp_path)
    assert loaded.config == config
    torch.testing.assert_close(loaded.tensors, dict(tensors), rtol=0, atol=0)


def test_what_no_checkpoint_can_say_is_not_saved(tmp_path: Path) -> None:
    for changes, message in (
        ({"layer_norm_eps": 1e-5, "type_vocab_size": 0}, "layer_norm_eps 1e-05, expected 1e-12"),
        ({"relative_position_buckets": 32}, "type_vocab_size 2, expected 0, as every mpnet has"),
    ):
        config = tiny_config(**changes)
        checkpoint = Checkpoint(config, random_model(config).state_dict())
        with pytest.raises(CheckpointError, match=message):
            save_checkpoint(tmp_path, checkpoint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "mobilebert"},
            r"found model_type 'mobilebert', expected one of bert, distilb",
        ),
        ({"model_type": None}, "found model_type None"),
        ({"model_type": ["bert"]}, "found model_type"),
        ({"position_embedding_type": "relative_key"}, "'relative_key', expected 'absolute'"),
        ({"is_decoder": True}, "found is_decoder True, expected False"),
        ({"num_hidden_layers": 10**15}, "num_layers"),
        ({"num_hidden_layers": "2"}, "num_layers"),
        ({"hidden_act": "silu"}, "hidden_act.*'silu'"),
        ({"layer_map": [0, 0, 1]}, "layer_map"),
        ({"sketch_dims": {"pooler": 3}}, "sketch_dims.*'pooler'"),
    ],
)
def test_a_config_of_another_model_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = save(make_bert(), tmp_path)
    change_config(folder, **changes)
    with pytest.raises(CheckpointError, match=rf"config\.json.*{message}"):
        load_checkpoint(folder)


def test_a_field_that_has_no_default_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match="vocab_size"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_broken_config_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_checkpoint(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: can't be read"):
        load_checkpoint(tmp_path)
    folder = save(make_bert(), tmp_path)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    with pytest.raises(CheckpointError, match=r"found no weights, expected model\.safetensors or"):
        load_checkpoint(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(CheckpointError, match="found weights in several files"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["qa_outputs.bias", "bert.encoder.layer.1.output.dense.bias"])
def test_a_missing_tensor_is_named(name: str, tmp_path: Path) -> None:
    folder = save(make_bert(), tmp_path)
    change_tensors(folder, lambda tensors: tensors.pop(name))
    with pytest.raises(CheckpointError, match=f"tensor '{name}' is missing, expected shape"):
        load_checkpoint(folder)


def test_a_model_with_another_head_is_named(tmp_path: Path) -> None:
    config = transformers.BertConfig(**BERT)
    save(transformers.BertForSequenceClassification(config), tmp_path)
    change_config(tmp_path, architectures=["BertForSequenceClassification"])
    message = r"no span head 'qa_.*\['BertForSequenceClassification'\], expected BertForQuestion"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_an_unknown_tensor_is_named(tmp_path: Path) -> None:
    folder = save(make_bert(num_hidden_layers=3), tmp_path)
    change_config(folder, num_hidden_layers=2)
    with pytest.raises(CheckpointError, match=r"tensor 'bert\.encoder\.layer\.2\..*unknown"):
        load_checkpoint(folder)


def test_a_tensor_of_another_shape_or_type_is_named(tmp_path: Path) -> None:
    folder = save(make_bert(), tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({"qa_outputs.bias": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"qa_outputs\.bias.*found shape \(3,\), expected"):
        load_checkpoint(folder)
    change_tensors(
        folder, lambda tensors: tensors.update({"qa_outputs.bias": torch.zeros(2).long()})
    )
    with pytest.raises(CheckpointError, match=r"qa_outputs\.bias.*found torch\.int64, expected"):
        load_checkpoint(folder)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    folder = save(make_bert(), tmp_path, file="pytorch_model.bin")
    trap = tmp_path / "trap"

    class Attack:
        def __reduce__(self) -> Any:
            return Path.touch, (trap,)

    torch.save({"qa_outputs.bias": Attack()}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: can't be read as tensors"):
        load_checkpoint(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)
    assert not trap.exists()


@pytest.mark.parametrize("content", [[1, 2], {"qa_outputs.bias": 3}, {1: 2}])
def test_a_pickle_of_something_else_is_refused(content: Any, tmp_path: Path) -> None:
    folder = save(make_bert(), tmp_path, file="pytorch_model.bin")
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


@pytest.fixture(scope="module", params=["model.safetensors", "pytorch_model.bin"])
def weight_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save(make_bert(), tmp_path_factory.mktemp("whole"), file=request.param)
    return folder / request.param


@settings(max_examples=40, deadline=None)
@given(
    kept=st.just(1.0) | st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=3),
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch's, on a damaged pickle
def test_damaged_weights_load_or_are_refused(
    kept: float, flips: list[tuple[float, int]], weight_file: Path
) -> None:
    whole = weight_file.read_bytes()
    content = bytearray(whole)
    for place, mask in flips:
        content[int(place * (len(content) - 1))] ^= mask
    try:
        weight_file.write_bytes(content[: int(len(content) * kept)])
        load_checkpoint(weight_file.parent)
    except CheckpointError as error:
        assert str(weight_file.parent) in str(error)
    finally:
        weight_file.write_bytes(whole)
