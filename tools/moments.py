"""What a model's linear maps are given: mean and covariance of their inputs over real windows."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from squadlite.model import QuestionAnsweringModel
from tools.data import TrainingBatch


@dataclass
class InputMoments:
    """
    Sums over the inputs of one linear map.

    Attributes:
        count: inputs seen.
        total: (n,) float64, their sum.
        products: (n, n) float64, the sum of x x^T.
    """

    count: int
    total: torch.Tensor
    products: torch.Tensor

    @classmethod
    def empty(cls, n: int) -> "InputMoments":
        """Of no inputs of length `n`."""
        return cls(0, torch.zeros(n, dtype=torch.float64), torch.zeros(n, n, dtype=torch.float64))

    def add(self, inputs: torch.Tensor) -> None:
        """Take (rows, n) inputs in."""
        self.count += len(inputs)
        self.total += inputs.sum(dim=0, dtype=torch.float64)
        self.products += (inputs.T @ inputs).double()

    @property
    def mean(self) -> torch.Tensor:
        """(n,) float64."""
        return self.total / self.count

    @property
    def covariance(self) -> torch.Tensor:
        """(n, n) float64."""
        return self.products / self.count - torch.outer(self.mean, self.mean)


def input_moments(
    model: QuestionAnsweringModel, modules: Collection[str], batches: Iterable[TrainingBatch]
) -> dict[str, InputMoments]:
    """
    Run a model and sum up what its linear maps are given; padding doesn't count.

    Args:
        model: in eval mode.
        modules: names of linear maps, such as "layers.0.attention.query".
        batches: what it reads.

    Returns:
        Module name -> moments over all its uses, where layers are shared.
    """
    linears = {name: model.get_submodule(name) for name in modules}
    moments = {
        name: InputMoments.empty(linear.get_parameter("weight").shape[1])
        for name, linear in linears.items()
    }
    for batch in batches:
        mask = batch.attention_mask
        with (
            _hooks((linear, _taker(moments[name], mask)) for name, linear in linears.items()),
            torch.inference_mode(),
        ):
            model(*batch.inputs)
    return moments


def _taker(moments: InputMoments, mask: torch.Tensor) -> Callable[..., None]:
    def take(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        moments.add(inputs[0][mask])

    return take


@contextmanager
def _hooks(hooks: Iterable[tuple[torch.nn.Module, Callable[..., None]]]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
