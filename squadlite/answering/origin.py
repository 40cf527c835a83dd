"""Where a loaded model comes from."""

from dataclasses import dataclass

from squadlite.config import Compute
from squadlite.portable import PortablePath


@dataclass(frozen=True)
class Origin:
    """
    What a model was loaded from and how: enough to load it in another process, on any machine.

    Attributes:
        model: the .sqz file or checkpoint folder.
        compute: as for `Reader.load`.
        threads: as for `Reader`, known.
    """

    model: PortablePath
    compute: Compute
    threads: int
