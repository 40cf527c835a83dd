import subprocess
import sys

import click
import pytest
import torch
from tiny_models import padded_batch, random_model, tiny_config

from squadlite.cli.ask import ask
from squadlite.errors import ComputeError
from squadlite.model import COMPUTES, Compute, kernels, prepare
from squadlite.model.compute import fastest_precision
from squadlite.model.kernels import FloatLinear


@pytest.mark.parametrize("compute", COMPUTES)
def test_a_prepared_model_scores_every_token(compute: Compute) -> None:
    config = tiny_config()
    batch = padded_batch(config)
    for logits in prepare(random_model(config), compute)(*batch):
        assert logits.shape == batch[0].shape
        assert logits.isfinite().all()


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_what_is_asked_for_is_taken(precision: Compute) -> None:
    assert prepare(random_model(tiny_config()), precision).precision == precision


def test_a_kernel_that_is_wrong_or_missing_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
            self._outputs = len(bias)

        def __call__(self, x: torch.Tensor, *, spoil: bool = False) -> torch.Tensor:
            return torch.ones(len(x), self._outputs)

    def missing(weight: torch.Tensor, bias: torch.Tensor) -> FloatLinear:
        raise RuntimeError("no such kernel")

    makers = {**kernels.MAKE_LINEAR, "bf16": Wrong, "int8": missing}
    monkeypatch.setattr("squadlite.model.packed.MAKE_LINEAR", makers)
    assert fastest_precision(random_model(tiny_config())) == "f32"


def test_numbers_that_torch_cannot_compute_in_are_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(weight: torch.Tensor, bias: torch.Tensor) -> FloatLinear:
        raise RuntimeError("no such kernel")

    makers = {**kernels.MAKE_LINEAR, "int8": missing}
    monkeypatch.setattr("squadlite.model.packed.MAKE_LINEAR", makers)
    with pytest.raises(ComputeError, match=r"no kernels for int8 here \(no such kernel\)"):
        prepare(random_model(tiny_config()), "int8")


def test_the_command_line_offers_every_way_to_compute() -> None:
    (option,) = (option for option in ask.params if option.name == "compute")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == COMPUTES


def test_measuring_leaves_torchs_threads_alone() -> None:
    before = torch.get_num_threads()
    fastest_precision(random_model(tiny_config()))
    assert torch.get_num_threads() == before


def test_memory_is_kept_where_the_c_library_can() -> None:
    # In a process of its own: it is for the whole process.
    script = "from squadlite.model.memory import keep_freed_memory; keep_freed_memory()"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
