import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import padded_batch, random_model, tiny_config

from squadlite.model import ModelConfig, QuestionAnsweringModel, SketchedLinear, tensor_shapes

SHARED = {"num_layers": 5, "layer_map": (0, 0, 1, 0, 1)}
SKETCHED = {"sketch_dims": {"attention.query": 4, "feed_forward.output": 6}}


def test_logits_are_float32_for_every_token() -> None:
    config = tiny_config()
    for logits in random_model(config)(*padded_batch(config)):
        assert logits.shape == (3, 15)
        assert logits.dtype == torch.float32


@settings(max_examples=20, deadline=None)
@given(
    num_heads=st.sampled_from([1, 2, 6]),
    hidden_act=st.sampled_from(["gelu", "gelu_new", "relu"]),
    type_vocab_size=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_padding_and_neighbours_do_not_change_a_question(
    num_heads: int, hidden_act: str, type_vocab_size: int, seed: int
) -> None:
    config = tiny_config(
        num_heads=num_heads, hidden_act=hidden_act, type_vocab_size=type_vocab_size
    )
    model = random_model(config, seed=seed)
    batch = padded_batch(config, seed=seed)
    with torch.inference_mode():
        together = torch.stack(model(*batch))
        for row, length in enumerate(batch[2].sum(dim=1).tolist()):
            alone = torch.stack(model(*(part[row : row + 1, :length] for part in batch)))
            torch.testing.assert_close(together[:, row, :length], alone[:, 0], rtol=1e-4, atol=1e-4)


def test_a_shared_layer_equals_its_copies() -> None:
    config = tiny_config(**SHARED)
    shared = random_model(config)
    unshared = random_model(tiny_config(num_layers=5))
    unshared.load_state_dict(_without_sharing(shared))
    batch = padded_batch(config)
    torch.testing.assert_close(shared(*batch), unshared(*batch))


def test_a_shared_layer_exists_once() -> None:
    once = tiny_config(num_layers=1, layer_map=(0,))
    twelve_times = tiny_config(num_layers=12, layer_map=(0,) * 12)
    assert tensor_shapes(once) == tensor_shapes(twelve_times)
    parameters = list(random_model(twelve_times).parameters())
    storages = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    assert len(storages) == len(parameters)
    assert sum(parameter.numel() for parameter in parameters) == once.num_parameters


def test_gradient_reaches_a_shared_layer_from_each_use() -> None:
    shared = random_model(tiny_config(**SHARED)).double()
    unshared = random_model(tiny_config(num_layers=5)).double()
    unshared.load_state_dict(_without_sharing(shared))
    for model in (shared, unshared):
        start_logits, end_logits = model(*padded_batch(model.config))
        (start_logits.square() + end_logits).sum().backward()
    for name, parameter in shared.layers.named_parameters():
        stored, _, rest = name.partition(".")
        uses = [i for i, entry in enumerate(SHARED["layer_map"]) if entry == int(stored)]
        copies = [unshared.layers.get_parameter(f"{use}.{rest}").grad for use in uses]
        torch.testing.assert_close(parameter.grad, sum(copies), rtol=1e-4, atol=1e-4)


def test_layers_are_sketched_as_configured() -> None:
    model = random_model(tiny_config(**SKETCHED))
    sketched = [name for name, part in model.named_modules() if isinstance(part, SketchedLinear)]
    assert sketched == [
        f"layers.{layer}.{name}" for layer in range(2) for name in SKETCHED["sketch_dims"]
    ]


def test_a_sketched_layer_equals_the_plain_layer_of_its_product() -> None:
    sketched = random_model(tiny_config(**SKETCHED))
    tensors = sketched.state_dict()
    for name in [name for name in tensors if name.endswith(".sketch")]:
        module = name.removesuffix(".sketch")
        weight = tensors.pop(f"{module}.sketched_weight") @ tensors.pop(name)
        tensors[f"{module}.weight"] = weight
    plain = random_model(tiny_config())
    plain.load_state_dict(tensors)
    batch = padded_batch(plain.config)
    torch.testing.assert_close(sketched(*batch), plain(*batch), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("changes", [{}, SHARED, SKETCHED, {"type_vocab_size": 0}])
def test_shapes_are_those_of_the_state_dict(changes: dict[str, Any]) -> None:
    config = tiny_config(**changes)
    tensors = random_model(config).state_dict()
    assert tensor_shapes(config) == {name: tuple(t.shape) for name, t in tensors.items()}


def test_bfloat16_computes_close_to_float32() -> None:
    config = tiny_config()
    model = random_model(config)
    batch = padded_batch(config)
    exact = torch.stack(model(*batch))
    rounded = torch.stack(copy.deepcopy(model).to(torch.bfloat16)(*batch))
    assert rounded.dtype == torch.float32
    error = (rounded - exact)[:, batch[2]].abs().max()
    assert error < 0.05 * exact.abs().max()


def test_too_many_tokens_are_a_value_error() -> None:
    config = tiny_config(max_position_embeddings=14)
    with pytest.raises(ValueError, match=r"found 15 tokens, expected at most 14"):
        random_model(config)(*padded_batch(config))


def test_shapes_do_not_wake_the_compiler_of_torch() -> None:
    # Importing sympy and all that hangs on it takes longer than loading a model.
    script = (
        "import sys; from squadlite.model import ModelConfig, tensor_shapes; "
        f"tensor_shapes(ModelConfig.from_dict({tiny_config(**SKETCHED).to_dict()!r})); "
        "sys.exit('sympy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def _without_sharing(model: QuestionAnsweringModel) -> dict[str, torch.Tensor]:
    config: ModelConfig = model.config
    tensors = {}
    for name, tensor in model.state_dict().items():
        if not name.startswith("layers."):
            tensors[name] = tensor
            continue
        _, stored, rest = name.split(".", 2)
        for executed, entry in enumerate(config.layer_map):
            if entry == int(stored):
                tensors[f"layers.{executed}.{rest}"] = tensor.clone()
    return tensors
