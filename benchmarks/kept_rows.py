"""Rows of a long measurement, kept as they are made, so that one that was stopped goes on."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from squadlite.atomic import atomic_write
from squadlite.digests import digest_of
from tools.folders import digest_folder


def keep_rows(
    path: Path,
    inputs: Mapping[str, Any],
    names: Iterable[str],
    make: Callable[[str], Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """
    Make the rows that a file of results doesn't hold yet.

    Args:
        path: JSON of `inputs` and `rows`; written anew after each row made.
        inputs: all that the rows depend on; those of others are made again.
        names: the rows, in order.
        make: makes one, given its name.

    Returns:
        All rows, in order; each has its "name".

    Raises:
        OSError: the file can't be read or written.
    """
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept = known.get("rows", []) if known.get("inputs") == inputs else []
    rows = {row["name"]: row for row in kept}
    order = list(names)
    for name in order:
        if name not in rows:
            rows[name] = {"name": name, **make(name)}
            made = [rows[one] for one in order if one in rows]
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(json.dumps({"inputs": inputs, "rows": made}, indent=1).encode())
    return [rows[name] for name in order]


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of all that matters in a checkpoint folder."""
    return digest_folder(path) if path.is_dir() else digest_of(path)
