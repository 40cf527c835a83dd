"""The frontier of size and scores: what is measured, kept and drawn."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_training import write_checkpoint, write_squad

from benchmarks import frontier
from benchmarks.kept_rows import digest, keep_rows


def test_each_way_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "TENSOR_BITS", (8,))
    monkeypatch.setattr(frontier, "GROUP_BITS", (4,))
    monkeypatch.setattr(frontier, "TARGETS", (0.03,))
    write_checkpoint(tmp_path / "model")
    data = write_squad(tmp_path / "data.json", 6)
    arguments = [str(tmp_path / "model"), "--data", str(data), "--calibration", str(data)]
    arguments += ["--results", str(tmp_path / "kept.json")]
    result = CliRunner().invoke(frontier.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.output.splitlines()[-1])["rows"]
    assert [row["technique"] for row in rows] == [
        "checkpoint", "target", "per group, coded", "per group", "per tensor",
    ]  # fmt: skip
    target, coded, plain = rows[1:4]
    assert coded["bytes"] < plain["bytes"]
    assert (coded["f1"], coded["exact"]) == (plain["f1"], plain["exact"])
    assert target["bytes"] <= 30_000
    monkeypatch.setattr(frontier, "evaluate", None)  # nothing is left to be asked
    again = CliRunner().invoke(frontier.main, arguments, catch_exceptions=False)
    assert json.loads(again.output.splitlines()[-1])["rows"] == rows


def test_the_curves_are_drawn() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    rows = [
        {"technique": technique, "bytes": size, "f1": f1}
        for technique, size, f1 in (
            ("checkpoint", 66_000_000, 70.0),
            ("target", 5_000_000, 66.0),
            ("target", 8_000_000, 69.0),
            ("trained", 8_000_000, 70.0),
        )
    ]
    assert frontier.draw(rows).startswith(b"\x89PNG")


def test_rows_of_other_inputs_are_made_again(tmp_path: Path) -> None:
    made: list[str] = []

    def make(name: str) -> dict[str, Any]:
        made.append(name)
        return {"value": len(made)}

    path = tmp_path / "rows.json"
    assert [row["name"] for row in keep_rows(path, {"of": 1}, "ab", make)] == ["a", "b"]
    rows = keep_rows(path, {"of": 1}, "cab", make)
    assert [row["value"] for row in rows] == [3, 1, 2]
    assert [row["value"] for row in keep_rows(path, {"of": 2}, "a", make)] == [4]
    assert made == ["a", "b", "c", "a"]


def test_a_folder_with_another_vocabulary_has_another_digest(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    before = digest(folder)
    pieces = (folder / "vocab.txt").read_text()
    (folder / "vocab.txt").write_text(pieces.replace("ada", "dad"))
    assert digest(folder) != before
