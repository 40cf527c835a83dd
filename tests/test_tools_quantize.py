from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tiny_models import random_model, tiny_config
from tiny_training import run_stage, write_checkpoint, write_squad

from squadlite.container import Linear, Uniform, open_sqz
from squadlite.convert import convert
from squadlite.errors import CodecError
from squadlite.model import load_checkpoint
from squadlite.quantization import Quantization
from tools.finetune import main as finetune
from tools.quantize import QuantizedWeights, quantize

GOLDEN = Path(__file__).parent / "golden"
CODECS = st.builds(
    lambda bits, per, size, dtype: Linear(
        bits,
        per=per,
        group_size=size if per == "group" else None,
        range_dtype="f32" if per == "tensor" else dtype,
    ),
    st.integers(1, 16),
    st.sampled_from(["tensor", "row", "group"]),
    st.integers(1, 9),
    st.sampled_from(["f32", "f16"]),
)
VALUES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=1, max_dims=2, max_side=12),
    elements=st.floats(-100, 100, width=32),
)


@given(values=VALUES, codec=CODECS)
def test_weights_are_quantized_as_the_container_does_it(values: np.ndarray, codec: Linear) -> None:
    expected = codec.decode(codec.encode(values), values.shape)
    np.testing.assert_array_equal(quantize(torch.from_numpy(values), codec).numpy(), expected)


@given(
    values=arrays.arrays(
        np.float32, st.just((5, 7)), elements=st.floats(-100, 100, width=32, allow_subnormal=False)
    ),
    step=st.floats(1, 2**9),  # all codes are in reach
    exponents=arrays.arrays(np.int8, st.just((7,)), elements=st.integers(0, 16)),
)
def test_weights_are_quantized_to_a_grid_as_the_container_does_it(
    values: np.ndarray, step: float, exponents: np.ndarray
) -> None:
    for codec in (Uniform(step), Uniform(step, "columns", exponents=exponents)):
        stored, data = codec.stored(values)
        expected = stored.decode(data, values.shape)
        found = quantize(torch.from_numpy(values), stored.encoder(data, values.shape))
        np.testing.assert_array_equal(found.numpy(), expected)


def test_weights_are_quantized_inside_the_block_and_themselves_after_it() -> None:
    model = random_model(tiny_config())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    quantized = QuantizedWeights(model, Quantization(3, "row", None))
    with quantized():
        inside = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, inside[name])}
    assert changed == {name for name, t in before.items() if t.ndim == 2 and "head" not in name}
    assert all(len(row.unique()) <= 8 for row in inside["embeddings.word.weight"])


@pytest.mark.parametrize("size", [3, 8])
def test_all_at_once_and_each_alone_give_the_same(size: int) -> None:
    model = random_model(tiny_config()).requires_grad_(True)
    codec = Linear(3, per="group", group_size=size, range_dtype="f16")
    weights = {name: part.detach().clone() for name, part in model.named_parameters()}
    with QuantizedWeights(model, Quantization(3, "group", size))():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "head" not in name:
                assert torch.equal(parameter.data, quantize(weights[name], codec)), name


def test_gradients_are_taken_at_the_quantized_weights() -> None:
    model = random_model(tiny_config()).requires_grad_(True)
    weight = model.span_head.weight
    quantized = QuantizedWeights(model, Quantization(2, "tensor", None))
    with quantized():
        inside = weight.detach().clone()
        (weight**2).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, 2 * inside)
    assert not torch.equal(weight.detach(), inside)


@pytest.mark.parametrize(("per", "bits"), [("tensor", 5), ("row", 4), ("group", 4)])
def test_a_model_trained_at_quantized_weights_converts_without_loss(
    tmp_path: Path, per: str, bits: int
) -> None:
    write_checkpoint(tmp_path / "in")
    data = write_squad(tmp_path / "train.json", 8)
    arguments = (tmp_path / "in", tmp_path / "out", "--data", data, "--epochs", 1)
    options = ("--quantize-bits", bits, "--quantize-per", per, "--group-size", 10)
    options += ("--freeze-embeddings", "--learning-rate", 1e-2, "--device", "cpu")
    assert run_stage(finetune, *arguments, *options).exit_code == 0
    convert(tmp_path / "out", tmp_path / "out.sqz", bits=bits, per=per, group_size=10)
    trained = load_checkpoint(tmp_path / "out").tensors
    with open_sqz(tmp_path / "out.sqz") as file:
        for name, tensor in trained.items():
            if tensor.ndim == 2:
                tolerance = 1e-6 if name != "span_head.weight" else 1e-3
                np.testing.assert_allclose(
                    file.read(name), tensor.numpy(), atol=tolerance, err_msg=name
                )


def test_a_model_trained_like_a_file_converts_like_it_without_loss(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    data = write_squad(tmp_path / "train.json", 8)
    convert(tmp_path / "in", tmp_path / "like.sqz", bits=4, calibration=data)
    arguments = (tmp_path / "in", tmp_path / "out", "--data", data, "--epochs", 1)
    options = ("--quantize-like", tmp_path / "like.sqz", "--learning-rate", 1e-2, "--device", "cpu")
    assert run_stage(finetune, *arguments, *options).exit_code == 0
    convert(tmp_path / "out", tmp_path / "out.sqz", like=tmp_path / "like.sqz")
    trained = load_checkpoint(tmp_path / "out").tensors
    with open_sqz(tmp_path / "out.sqz") as file, open_sqz(tmp_path / "like.sqz") as like:
        matrices = [name for name in trained if isinstance(like.tensors[name].codec, Uniform)]
        assert matrices
        for name in matrices:
            np.testing.assert_array_equal(file.read(name), trained[name].numpy(), err_msg=name)
            assert file.tensors[name].codec.step == like.tensors[name].codec.step


def test_a_file_to_be_like_must_have_all_tensors(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    with pytest.raises(CodecError, match="is missing"):
        convert(tmp_path / "in", tmp_path / "out.sqz", like=GOLDEN / "tiny.sqz")
    with pytest.raises(ValueError, match="like"):
        convert(tmp_path / "in", tmp_path / "out.sqz", like=GOLDEN / "tiny.sqz", bits=4)


def test_settings_that_no_codec_has_are_usage_errors(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    data = write_squad(tmp_path / "train.json", 2)
    arguments = (tmp_path / "in", tmp_path / "out", "--data", data, "--quantize-bits", 17)
    result = run_stage(finetune, *arguments)
    assert result.exit_code == 2
    assert "1..16" in result.output
