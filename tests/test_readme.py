import doctest
import tomllib
from pathlib import Path

import click
import pytest

from benchmarks.report import MODEL_CARD, README, TABLES, fill_tables
from squadlite.cli import squadlite

TEXT = README.read_text(encoding="utf-8")
ABOUT_BOOKS = {"assemble_books", "book_data"}


@pytest.mark.parametrize("path", [README, MODEL_CARD], ids=lambda path: path.name)
def test_every_number_in_a_table_is_the_measured_one(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "<!-- table: " in text
    assert fill_tables(text) == text


def test_a_model_that_was_taught_says_so_on_its_card() -> None:
    _, make_table = TABLES["model_stages"]
    stage = {
        "stage": "finetune",
        "steps": 1715,
        "num_windows": 192910,
        "num_groups": 111807,
        "teaching": {"teachers": ["digest"]},
        "quantization": {"bits": 4},
        "seconds": 229.2,
        "device": "cuda",
    }
    assert make_table({"metadata": {"stages": [stage]}}).splitlines()[-1] == (
        "| finetune | 1,715 steps over 111,807 questions, taught by 1 larger "
        "model, at the weights that 4 bits hold; 229 s on a GPU |"
    )


@pytest.mark.parametrize("recipe", ["books", "books-gpu", "books-gpu-allminilm"])
def test_the_card_tells_each_stage_that_a_default_model_goes_through(recipe: str) -> None:
    _, make_table = TABLES["model_stages"]
    said: dict[str, dict[str, object]] = {
        "add_span_head": {"seed": 0},
        "prune_vocab": {"size": 15261},
        "finetune": {
            "steps": 7,
            "num_groups": 9,
            "device": "cuda",
            "quantization": {"like": "digest"},
        },
        "average": {"weights": [0.9, 0.1]},
        "balance_null": {"shift": 2.2, "questions": 2000},
    }
    path = README.parent / "recipes" / f"{recipe}.toml"
    runs = [stage["run"] for stage in tomllib.loads(path.read_text(encoding="utf-8"))["stages"]]
    through = runs[: runs.index("export")]
    stages = [{"stage": run, **said[run]} for run in through if run not in ABOUT_BOOKS]
    rows = make_table({"metadata": {"stages": stages}}).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {stage['stage']}" for stage in stages]


def test_every_command_is_in_the_readme() -> None:
    for name in squadlite.list_commands(click.Context(squadlite)):
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
