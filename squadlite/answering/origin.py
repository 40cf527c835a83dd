"""Where a loaded model comes from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from squadlite.config import Compute
from squadlite.container import SqzFile, open_sqz
from squadlite.portable import PortablePath

Source = str | Path | SqzFile  # a .sqz file, open or not, or a checkpoint folder


@contextmanager
def opened(source: Source) -> Iterator[SqzFile | Path]:
    """
    Open a .sqz file for a block, unless it is open: so a model's parts are read from one opening.

    Yields:
        The open file, or the checkpoint folder.

    Raises:
        FormatError, OSError: as `open_sqz`.
    """
    if isinstance(source, SqzFile):
        yield source
        return
    path = Path(source)
    if path.is_dir():
        yield path
        return
    with open_sqz(path) as file:
        yield file


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
