"""Energy drawn by the processor, where the machine counts it (RAPL, under Linux's powercap)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

POWERCAP = Path("/sys/class/powercap")
NOT_EXPOSED = "not exposed"


@dataclass(frozen=True)
class EnergyMeter:
    """
    The energy counters of all processor packages.

    Args:
        packages: a counter's folder, and the microjoules at which it begins again at 0.
    """

    packages: tuple[tuple[Path, int], ...]

    @classmethod
    def find(cls, powercap: Path = POWERCAP) -> Self | None:
        """
        Find the counters.

        Returns:
            None where the machine has none, or keeps them from us (most systems show them to root
            alone).
        """
        packages = []
        # "intel-rapl:0" is a package, AMD's too; "intel-rapl:0:1" is a part of it.
        for folder in sorted(powercap.glob("intel-rapl:[0-9]*")):
            if folder.name.count(":") == 1:
                try:
                    _read(folder / "energy_uj")
                    packages.append((folder, _read(folder / "max_energy_range_uj")))
                except (OSError, ValueError):
                    return None
        return cls(tuple(packages)) if packages else None

    def read(self) -> tuple[int, ...]:
        """The counters now, in microjoules."""
        return tuple(_read(folder / "energy_uj") for folder, _ in self.packages)

    def joules_since(self, before: tuple[int, ...]) -> float:
        """Joules drawn since `read` gave `before`; a counter may have begun again once."""
        drawn = (
            (now - then) % (largest + 1)
            for now, then, (_, largest) in zip(self.read(), before, self.packages, strict=True)
        )
        return sum(drawn) / 1e6


def _read(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
