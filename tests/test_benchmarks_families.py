"""The table of families: a row from a folder."""

from pathlib import Path

import pytest

from benchmarks.example_folders import EXAMPLES
from benchmarks.families import Material, measure
from benchmarks.report import TABLES
from squadlite.answering.squad import SquadExample

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own

CONTEXT = "The lighthouse keeper keeps the north lighthouse; the lever is white ivory. " * 4
EXAMPLE = SquadExample("1", "Who keeps it?", CONTEXT, (), "")


def test_a_row_holds_a_family_to_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="comes with squadlite[bench]")
    EXAMPLES["RoBERTa"].save(tmp_path / "model")
    lines = ["Don't you  see the naïve 👍🏽 lever?", "日本語 \x00\t"]
    row = measure("random", tmp_path / "model", Material([EXAMPLE], lines))
    assert (row["model"], row["family"], row["tokenizer"]) == ("random", "RoBERTa", "byte_bpe")
    assert 0 < row["logits"] < 1e-4
    assert 0 < row["back: logits"] < 1e-4
    assert row["tokens %"] == row["back: tokens %"] == 100
    assert row["8-bit spans %"] in (None, 0.0, 100.0)
    assert 0 < row["file MB"] < row["folder MB"]


def test_the_table_is_as_measured() -> None:
    _, make_table = TABLES["families"]
    rows = [{"model": "random", "logits": 1.2e-06, "8-bit spans %": None}]
    assert make_table({"rows": rows}).splitlines()[-1] == "| random | 1.2e-06 | - |"
