"""Energy counters: found where they can be read, added up, and never wrong when they wrap."""

from pathlib import Path

import pytest

from squadlite.bench.energy import EnergyMeter


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl-mmio:0"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "energy_uj").write_text("1000000\n")
        (folder / "max_energy_range_uj").write_text("9999999\n")
    return tmp_path


def test_packages_are_counted_and_their_parts_are_not(powercap: Path) -> None:
    meter = EnergyMeter.find(powercap)
    assert meter is not None
    assert [folder.name for folder, _ in meter.packages] == ["intel-rapl:0", "intel-rapl:1"]
    before = meter.read()
    (powercap / "intel-rapl:0/energy_uj").write_text("1500000\n")
    (powercap / "intel-rapl:0:0/energy_uj").write_text("7000000\n")
    assert meter.joules_since(before) == 0.5


def test_a_counter_that_began_again_has_not_run_backwards(powercap: Path) -> None:
    meter = EnergyMeter.find(powercap)
    assert meter is not None
    before = meter.read()
    (powercap / "intel-rapl:1/energy_uj").write_text("0\n")
    assert meter.joules_since(before) == 9.0


def test_no_counters_are_no_meter(tmp_path: Path) -> None:
    assert EnergyMeter.find(tmp_path) is None
    assert EnergyMeter.find(tmp_path / "absent") is None


@pytest.mark.parametrize("damage", ["unreadable", "no number", "no range"])
def test_counters_kept_from_us_are_no_meter(powercap: Path, damage: str) -> None:
    counter = powercap / "intel-rapl:1/energy_uj"
    if damage == "unreadable":  # a folder can't be read as a file, not even by root
        counter.unlink()
        counter.mkdir()
    elif damage == "no number":
        counter.write_text("secret")
    else:
        (powercap / "intel-rapl:1/max_energy_range_uj").unlink()
    assert EnergyMeter.find(powercap) is None
