import subprocess
import sys

import click
import pytest
import torch
from tiny_models import padded_batch, random_model, tiny_config

from squadlite.cli.ask import ask
from squadlite.errors import ComputeError
from squadlite.model import COMPUTES, Compute, prepare
from squadlite.model.compute import fastest_precision
from squadlite.model.packed import Precision


@pytest.mark.parametrize("compute", ["auto", "f32", "bf16"])
def test_a_prepared_model_scores_every_token(compute: Compute) -> None:
    config = tiny_config()
    batch = padded_batch(config)
    for logits in prepare(random_model(config), compute)(*batch):
        assert logits.shape == batch[0].shape
        assert logits.isfinite().all()


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_what_is_asked_for_is_taken(precision: Compute) -> None:
    assert prepare(random_model(tiny_config()), precision).precision == precision


@pytest.mark.parametrize(
    ("seconds", "expected"), [((1.0, 0.8), "bf16"), ((1.0, 0.95), "f32"), ((1.0, 2.0), "f32")]
)
def test_fewer_bits_are_taken_where_they_are_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float], expected: Precision
) -> None:
    measured = iter(seconds)
    monkeypatch.setattr("squadlite.model.compute._seconds", lambda layer, probe: next(measured))
    assert fastest_precision(random_model(tiny_config())) == expected


def test_int8_without_kernels_is_a_clear_error() -> None:
    with pytest.raises(ComputeError, match="found int8, for which there are no kernels"):
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
