"""docs/http.md: its examples give what it says they do, by curl and a real server."""

import doctest
import shutil
import subprocess
from pathlib import Path

import pytest
from servers import served

from squadlite.answering.reader import Reader

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8642/"


def examples() -> list[tuple[str, str]]:
    """Commands, and what each prints."""
    found: list[tuple[str, str]] = []
    for block in DOCUMENT.split("```console\n")[1:]:
        for line in block.split("```")[0].splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), ""))
            else:
                command, printed = found.pop()
                found.append((command, f"{printed}{line}\n"))
    return found


def test_every_example_gives_what_it_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl, which runs the examples of docs/http.md")
    matches = doctest.OutputChecker().check_output
    with served(tmp_path, Reader.load(compute="auto")) as server:
        for command, expected in examples():
            assert ADDRESS in command
            printed = subprocess.run(
                ["bash", "-c", command.replace(ADDRESS, server.url)],
                cwd=ROOT, capture_output=True, check=True, text=True, timeout=60,
            ).stdout.strip("\n")  # fmt: skip
            given = printed + "\n"
            assert matches(expected, given, doctest.ELLIPSIS), f"{command}\n{given}"
