import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import padded_batch, random_model, tiny_config

from tools.dropout import dropout

CONFIG = tiny_config()


def test_dropout_zeroes_a_share_and_scales_up_the_rest() -> None:
    model, batch = random_model(CONFIG).train(), padded_batch(CONFIG)
    before: list[torch.Tensor] = []
    after: list[torch.Tensor] = []
    # Hooks run in the order in which they were made.
    model.embeddings.register_forward_hook(lambda module, inputs, output: before.append(output))
    with torch.no_grad(), dropout(model, 0.3):
        model.embeddings.register_forward_hook(lambda module, inputs, output: after.append(output))
        for _ in range(50):
            model(*batch)
    whole, left = torch.stack(before), torch.stack(after)
    assert float((left == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    torch.testing.assert_close(left, torch.where(left == 0, 0, whole / 0.7))


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    share=st.floats(0.05, 0.95),
    dtype=st.sampled_from([torch.bfloat16, torch.float32, torch.float64]),
    seed=st.integers(0, 100),
)
@settings(max_examples=30, deadline=None)
def test_gradients_pass_where_values_were_kept(
    shape: list[int], share: float, dtype: torch.dtype, seed: int
) -> None:
    class Ones(torch.nn.Module):
        def forward(self, *batch: torch.Tensor) -> torch.Tensor:
            return torch.ones(shape, dtype=dtype, requires_grad=True)

    def left() -> tuple[torch.Tensor, torch.Tensor]:
        model = random_model(CONFIG).train()
        model.embeddings = Ones()  # type: ignore[assignment]
        torch.manual_seed(seed)
        given_: list[torch.Tensor] = []
        model.embeddings.register_forward_hook(lambda *call: given_.append(call[2]))
        with dropout(model, share):
            dropped = model.embeddings()
        (gradient,) = torch.autograd.grad(dropped.sum(), given_)
        return dropped, gradient

    dropped, gradient = left()
    assert torch.equal(dropped, gradient)
    assert set(dropped.unique().tolist()) <= {
        0.0,
        float(torch.tensor(1 / (1 - share), dtype=dtype)),
    }
    assert torch.equal(left()[0], dropped)


@pytest.mark.parametrize(("share", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_dropped_at_a_share_of_zero_or_when_answering(
    share: float, training: bool
) -> None:
    model, batch = random_model(CONFIG), padded_batch(CONFIG)
    expected = model(*batch)
    with dropout(model.train(training), share):
        assert all(map(torch.equal, model(*batch), expected))


def test_nothing_is_dropped_after_the_block() -> None:
    model, batch = random_model(CONFIG).train(), padded_batch(CONFIG)
    expected = model(*batch)
    with dropout(model, 0.5):
        assert not all(map(torch.equal, model(*batch), expected))
    assert all(map(torch.equal, model(*batch), expected))
