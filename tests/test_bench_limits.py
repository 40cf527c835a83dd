"""The machine's limits: the best of the kernels that are there."""

import pytest
import torch

from squadlite.bench import limits
from squadlite.bench.limits import measure_limits

QUICK = {"shapes": ((16, 32, 48), (8, 16, 16)), "read_sizes": (4096, 1024), "seconds": 0.0}


@pytest.fixture(autouse=True)
def threads_as_before() -> object:
    before = torch.get_num_threads()
    yield None
    torch.set_num_threads(before)


def test_every_precision_has_a_peak_and_every_size_a_speed() -> None:
    measured = measure_limits(1, **QUICK)
    assert measured.threads == 1
    assert "f32" in measured.peaks
    for peak in measured.peaks.values():
        assert peak.macs_per_s > 0
        assert peak.shape in QUICK["shapes"]
    assert list(measured.bandwidth) == [1024, 4096]
    assert min(measured.bandwidth.values()) > 0


@pytest.mark.parametrize(
    ("precision", "name", "make"),
    [
        (precision, name, make)
        for precision, makers in limits._MAKERS.items()
        for name, make in makers.items()
    ],
)
def test_a_kernel_runs_or_is_left_out(precision: str, name: str, make: limits.Maker) -> None:
    try:
        product = make(16, 32, 48)()
    except (RuntimeError, AttributeError) as error:
        pytest.skip(f"this torch or machine has no {name}: {error}")
    assert product.shape == (16, 48)


def test_a_kernel_that_is_missing_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(rows: int, inputs: int, outputs: int) -> limits.Kernel:
        raise AttributeError("no such operator")

    makers = {
        "f32": {"gone": missing, "numpy matmul": limits._numpy_f32},
        "int8": {"gone": missing},
    }
    monkeypatch.setattr(limits, "_MAKERS", makers)
    peaks = measure_limits(1, **QUICK).peaks
    assert list(peaks) == ["f32"]
    assert peaks["f32"].kernel == "numpy matmul"
