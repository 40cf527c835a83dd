import torch
from torch import nn

from squadlite.model import SketchedLinear
from squadlite.model.sketched_linear import random_sketch


def sketched_from(linear: nn.Linear, sketch_dim: int) -> SketchedLinear:
    sketched = SketchedLinear(linear.in_features, linear.out_features, sketch_dim)
    with torch.no_grad():
        sketched.sketched_weight.copy_(linear.weight @ sketched.sketch.T)
        sketched.bias.copy_(linear.bias)
    return sketched


def test_output_is_the_product_of_the_stored_matrices() -> None:
    torch.manual_seed(1)
    linear = nn.Linear(20, 6)
    sketched = sketched_from(linear, 8)
    x = torch.randn(3, 5, 20)
    explicit = x @ sketched.sketch.T @ (linear.weight @ sketched.sketch.T).T + linear.bias
    torch.testing.assert_close(sketched(x), explicit)


def test_sketch_has_evenly_drawn_signs_of_the_right_scale() -> None:
    torch.manual_seed(2)
    signs = random_sketch(64, 500)
    assert set(signs.abs().unique().tolist()) == {1 / 8}
    # 32,000 fair coins: the mean sign is within 5 standard deviations of 0.
    assert abs(signs.sign().mean().item()) < 5 / 32000**0.5


def test_expected_gram_matrix_of_the_sketch_is_the_identity() -> None:
    torch.manual_seed(3)
    draws, m, n = 2000, 8, 10
    gram = torch.zeros(n, n)
    for _ in range(draws):
        sketch = random_sketch(m, n)
        gram += sketch.T @ sketch / draws
    # The diagonal is 1 in every draw; off it, entries have variance 1/m a draw.
    torch.testing.assert_close(gram.diagonal(), torch.ones(n), rtol=0, atol=1e-4)
    assert (gram - torch.eye(n)).abs().max().item() < 5 / (m * draws) ** 0.5


def test_sketching_approximates_the_trained_layer_on_average() -> None:
    torch.manual_seed(4)
    linear = nn.Linear(16, 4)
    x = torch.randn(16)
    outputs = [sketched_from(linear, 12)(x) for _ in range(2000)]
    mean = torch.stack(outputs).mean(dim=0)
    spread = torch.stack(outputs).std(dim=0) / 2000**0.5
    assert ((mean - linear(x)).abs() < 5 * spread).all()


def test_the_same_seed_gives_the_same_layer() -> None:
    layers = []
    for _ in range(2):
        torch.manual_seed(5)
        layers.append(SketchedLinear(16, 4, 5).state_dict())
    torch.testing.assert_close(*layers, rtol=0, atol=0)


def test_signs_do_not_train_and_the_rest_does() -> None:
    sketched = SketchedLinear(16, 4, 5)
    assert {name for name, _ in sketched.named_parameters()} == {"sketched_weight", "bias"}
    sketched(torch.randn(2, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in sketched.parameters())
    assert "sketch" in sketched.state_dict()


def test_a_new_layer_is_scaled_as_a_linear_is() -> None:
    torch.manual_seed(6)
    x = torch.randn(256, 400)
    plain, sketched = nn.Linear(400, 300), SketchedLinear(400, 300, 100)
    torch.testing.assert_close(sketched(x).std(), plain(x).std(), rtol=0.1, atol=0)
