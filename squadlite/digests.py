"""Files known by their content."""

from hashlib import file_digest
from pathlib import Path


def digest_of(path: Path) -> str:
    """
    SHA-256 of a file, 64 hex digits.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
