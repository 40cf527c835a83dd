import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config

from squadlite.errors import ConfigError
from squadlite.model import ModelConfig


def test_survives_json() -> None:
    config = tiny_config(
        num_layers=4, layer_map=(0, 0, 1, 1), sketch_dims={"attention.query": 5}, hidden_act="relu"
    )
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_a_model_does_not_have_is_not_written() -> None:
    plain = tiny_config()
    assert not {"embedding_size", "relative_position_buckets"} & plain.to_dict().keys()
    assert plain.version == (1, 0)
    for changes in ({"embedding_size": 12}, {"relative_position_buckets": 32}):
        config = tiny_config(**changes)
        assert changes.items() <= config.to_dict().items()
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
        assert config.version == (2, 0)


def test_groups_are_the_stored_layers() -> None:
    assert tiny_config(num_layers=6, layer_map=(0, 0, 1, 1, 2, 2)).num_layer_groups == 3
    assert tiny_config(num_layers=3, layer_map=(1, 0, 1)).num_layer_groups == 2


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"type_vocab_size": 0},
        {"num_layers": 5, "layer_map": (0, 1, 1, 0, 2)},
        {"sketch_dims": {"attention.output": 4, "feed_forward.output": 7}},
        {"embedding_size": 5},
        {"relative_position_buckets": 32},
    ],
)
def test_parameters_are_counted_as_the_model_stores_them(changes: dict[str, Any]) -> None:
    config = tiny_config(**changes)
    stored = random_model(config).state_dict().values()
    assert config.num_parameters == sum(tensor.numel() for tensor in stored)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("vocab_size", 0, "from 1 to"),
        ("vocab_size", "30522", "whole number"),
        ("vocab_size", True, "whole number"),
        ("hidden_size", 12.0, "whole number"),
        ("hidden_size", 10, "multiple of num_heads 3"),
        ("num_heads", 0, "from 1 to"),
        ("num_layers", 10**12, "from 1 to 256"),
        ("intermediate_size", 2**40, "from 1 to"),
        ("max_position_embeddings", -1, "from 1 to"),
        ("type_vocab_size", -1, "from 0 to"),
        ("type_vocab_size", None, "whole number"),
        ("layer_norm_eps", 0.0, "above 0"),
        ("layer_norm_eps", float("nan"), "above 0"),
        ("layer_norm_eps", "1e-12", "a number"),
        ("hidden_act", "swish", "one of gelu"),
        ("hidden_act", [], "one of gelu"),
        ("layer_map", [0], "one entry for each of the 2 layers"),
        ("layer_map", [0, 2], "from 0 to 1"),
        ("layer_map", [0, -1], "from 0 to 1"),
        ("layer_map", [1, 1], "every stored layer used; 0 is not"),
        ("layer_map", [0, "1"], "whole number"),
        ("layer_map", 2, "a list"),
        ("sketch_dims", [], "an object"),
        ("sketch_dims", {"attention.norm": 4}, "one of attention.query"),
        ("sketch_dims", {"attention.query": 0}, "from 1 to 12"),
        ("sketch_dims", {"feed_forward.output": 21}, "from 1 to 20"),
        ("embedding_size", 0, "from 1 to"),
        ("embedding_size", 2**40, "from 1 to"),
        ("embedding_size", None, "no such field"),
        ("relative_position_buckets", None, "no such field"),
        ("relative_position_buckets", 0, "32"),
        ("relative_position_buckets", 32.0, "32"),
    ],
)
def test_a_broken_rule_names_field_and_expectation(field: str, value: Any, expected: str) -> None:
    values = tiny_config().to_dict() | {field: value}
    with pytest.raises(ConfigError, match=rf"{field}.*: found .*, expected .*{expected}"):
        ModelConfig.from_dict(values)


def test_sizes_that_are_fine_alone_may_be_too_much_together() -> None:
    with pytest.raises(ConfigError, match="parameters"):
        tiny_config(vocab_size=2**20, hidden_size=3 * 2**12)


def test_missing_and_unknown_fields_are_named() -> None:
    values = tiny_config().to_dict()
    with pytest.raises(ConfigError, match="found field 'dropout', expected one of"):
        ModelConfig.from_dict(values | {"dropout": 0.1})
    del values["num_heads"]
    with pytest.raises(ConfigError, match="'num_heads'"):
        ModelConfig.from_dict(values)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(tiny_config().to_dict())), _JSON)
def test_any_value_in_any_field_is_a_config_or_a_config_error(field: str, value: Any) -> None:
    with contextlib.suppress(ConfigError):
        ModelConfig.from_dict(tiny_config().to_dict() | {field: value})


@given(_JSON)
def test_any_json_is_a_config_or_a_config_error(values: Any) -> None:
    with pytest.raises(ConfigError):
        ModelConfig.from_dict(values)
