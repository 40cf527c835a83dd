import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from squadlite.model.kernels import MAKE_LINEAR, FloatLinear, Int8Linear, Precision, quantize_rows


def random_linear(
    rows: int, inputs: int, outputs: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows + inputs + outputs)
    shapes = (rows, inputs), (outputs, inputs), (outputs,)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return x, weight, bias


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("f32", 1e-5), ("bf16", 0.01), ("int8", 0.02)]
)
@pytest.mark.parametrize("shape", [(1, 3, 5), (7, 12, 12), (64, 33, 20), (100, 48, 1)])
def test_every_kernel_is_a_linear_map(
    precision: Precision, tolerance: float, shape: tuple[int, int, int]
) -> None:
    x, weight, bias = random_linear(*shape)
    found = MAKE_LINEAR[precision](weight, bias)(x)
    expected = functional.linear(x, weight, bias)
    assert found.dtype == torch.float32
    assert (found - expected).norm() / expected.norm() < tolerance


def test_float32_is_exact() -> None:
    x, weight, bias = random_linear(9, 8, 7)
    found = FloatLinear(weight, bias, torch.float32)(x)
    torch.testing.assert_close(found, functional.linear(x, weight, bias), rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_rows_are_spoiled_only_where_that_is_allowed(precision: Precision) -> None:
    x, weight, bias = random_linear(6, 8, 7)
    kernel = MAKE_LINEAR[precision](weight, bias)
    before = x.clone()
    kept = kernel(x)
    assert torch.equal(x, before)
    assert torch.equal(kernel(x.clone(), spoil=True), kept)


def test_int8_multiplies_codes_exactly() -> None:
    # Whole numbers whose rows and outputs all reach 127: their scales are 1.
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randint(-127, 128, (rows, 40), generator=generator).float() for rows in (30, 20)
    )
    x[:, 0], weight[:, 0] = 127, -127
    found = Int8Linear(weight, torch.zeros(20))(x)
    torch.testing.assert_close(found, functional.linear(x, weight), rtol=1e-6, atol=0)


@settings(max_examples=60, deadline=None)
@given(
    magnitudes=st.lists(st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 100.0, 1e30]), min_size=1),
    width=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_codes_are_within_half_a_step_of_their_row(
    magnitudes: list[float], width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(magnitudes), width, generator=generator)
    x *= torch.tensor(magnitudes)[:, None]
    codes, scales = quantize_rows(x)
    assert codes.dtype == torch.uint8
    assert codes.min() >= 1
    read_back = (codes.double() - 128) * scales
    assert ((read_back - x).abs() <= 0.501 * scales).all()
