import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import padded_batch, random_model, tiny_config

from squadlite.model import PackedModel
from squadlite.model.packed import Precision, _attend, _attend_approximately, _power_of_2

SHARED = {"num_layers": 5, "layer_map": (0, 0, 1, 0, 1)}
SKETCHED = {"sketch_dims": {"attention.query": 4, "attention.value": 3, "feed_forward.output": 6}}


@settings(max_examples=30, deadline=None)
@given(
    num_heads=st.sampled_from([1, 2, 6]),
    hidden_act=st.sampled_from(["gelu", "gelu_new", "relu"]),
    type_vocab_size=st.integers(0, 2),
    extras=st.sampled_from([{}, SHARED, SKETCHED, SHARED | SKETCHED]),
    seed=st.integers(0, 1000),
)
def test_float32_gives_the_models_own_logits(
    num_heads: int, hidden_act: str, type_vocab_size: int, extras: dict, seed: int
) -> None:
    config = tiny_config(
        num_heads=num_heads, hidden_act=hidden_act, type_vocab_size=type_vocab_size, **extras
    )
    model = random_model(config, seed=seed)
    batch = padded_batch(config, seed=seed)
    with torch.inference_mode():
        expected = torch.stack(model(*batch))[:, batch[2]]
    found = torch.stack(PackedModel(model, "f32")(*batch))
    torch.testing.assert_close(found[:, batch[2]], expected, rtol=1e-4, atol=1e-4)
    assert not found[:, ~batch[2]].any()


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-5), ("bf16", 0.15)])
def test_means_are_nearly_the_models_own(precision: Precision, tolerance: float) -> None:
    torch.manual_seed(0)  # sketches are drawn from it
    config = tiny_config(**SHARED, **SKETCHED)
    model = random_model(config)
    input_ids, _, attention_mask = padded_batch(config)
    with torch.inference_mode():
        expected = model.embed(input_ids, attention_mask)
    found = PackedModel(model, precision).embed(input_ids, attention_mask)
    assert (found - expected).norm() < tolerance * expected.norm()


def test_bfloat16_gives_nearly_the_same_logits() -> None:
    config = tiny_config(**SHARED, **SKETCHED)
    model = random_model(config)
    batch = padded_batch(config)
    with torch.inference_mode():
        expected = torch.stack(model(*batch))[:, batch[2]]
    found = torch.stack(PackedModel(model, "bf16")(*batch))[:, batch[2]]
    error = (found - expected).norm() / expected.norm()
    assert error < 0.15


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_window_does_not_see_its_neighbours(precision: Precision) -> None:
    config = tiny_config()
    packed = PackedModel(random_model(config), precision)
    batch = padded_batch(config)
    together = torch.stack(packed(*batch))
    for row, length in enumerate(batch[2].sum(dim=1).tolist()):
        alone = torch.stack(packed(*(part[row : row + 1, :length] for part in batch)))
        torch.testing.assert_close(together[:, row, :length], alone[:, 0], rtol=1e-2, atol=1e-2)


@settings(max_examples=50, deadline=None)
@given(
    tokens=st.integers(1, 40),
    spread=st.sampled_from([0.0, 0.1, 1.0, 3.0]),
    shift=st.sampled_from([0.0, 5.0, -20.0]),
    seed=st.integers(0, 1000),
)
def test_approximate_attention_weighs_within_a_few_percent(
    tokens: int, spread: float, shift: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    window = torch.randn(tokens, 3, 2, 8, generator=generator)
    window[:, 0] *= spread
    window[:, 1] += shift  # of all keys alike: it changes no weight
    exact, approximate = torch.empty(2, tokens, 8), torch.empty(2, tokens, 8)
    _attend(window, out=exact)
    window[:, 0] *= 32 / torch.log(torch.tensor(2.0))
    _attend_approximately(window, out=approximate)
    largest = window[:, 2].abs().max()
    assert (approximate - exact).abs().max() < 0.08 * largest


@pytest.mark.parametrize("factor", [50.0, 1e3, 1e6])
def test_scores_out_of_the_ordinary_give_numbers(factor: float) -> None:
    window = factor * torch.randn(20, 3, 2, 8, generator=torch.Generator().manual_seed(0))
    window[:, 2] /= factor
    out = torch.empty(2, 20, 8)
    _attend_approximately(window, out=out)
    assert out.isfinite().all()


def test_powers_are_within_three_percent_of_a_constant_times_the_curve() -> None:
    steps = torch.arange(-25 * 32, 190 * 32).to(torch.bfloat16)
    found = _power_of_2(steps.clone()).double()
    ratios = found / torch.exp2(steps.double() / 32)
    middle = (ratios.max() + ratios.min()) / 2
    assert ((ratios / middle - 1).abs() < 0.032).all()


def test_powers_far_below_the_average_are_none() -> None:
    assert not _power_of_2(torch.tensor([-27.0 * 32, -1e4, -3e4], dtype=torch.bfloat16)).any()
