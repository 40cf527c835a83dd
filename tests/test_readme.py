import doctest
from pathlib import Path

import pytest

from benchmarks.report import README, fill_tables
from squadlite.cli import squadlite

TEXT = README.read_text(encoding="utf-8")


def test_every_number_in_a_table_is_the_measured_one() -> None:
    assert fill_tables(TEXT) == TEXT


def test_every_command_is_in_the_readme() -> None:
    for name in squadlite.commands:
        assert f"squadlite {name}" in TEXT


def test_every_example_gives_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(README.parent)
    results = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert results.attempted > 0
    assert results.failed == 0


def test_every_folder_in_the_tree_exists() -> None:
    root = README.parent
    tree = TEXT.split("<!-- tree -->")[1].split("```")[1]
    folders: list[str] = []
    for line in tree.splitlines():
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        path = Path(*folders[:depth], name)
        assert (root / path).exists(), path
        folders[depth:] = [name]
