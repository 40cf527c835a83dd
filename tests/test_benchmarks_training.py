from pathlib import Path

import pytest
from tiny_training import run_stage, write_checkpoint, write_squad

pytest.importorskip("transformers", reason="comes with squadlite[bench]")

from benchmarks import training


@pytest.mark.parametrize(("asked", "taken"), [("auto", "f32"), ("f32", "f32"), ("bf16", "bf16")])
def test_the_precision_asked_for_is_the_one_trained_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, taken: str
) -> None:
    settings: list[training.Setting] = []
    monkeypatch.setattr(training, "best_precision", lambda device: "f32")
    monkeypatch.setattr(training, "_race", lambda setting, *others: settings.append(setting))
    data = write_squad(tmp_path / "data.json", 2)
    words = (write_checkpoint(tmp_path / "model"), "--data", data, "--precision", asked)
    run_stage(training.main, *words)
    assert [setting.precision for setting in settings] == [taken]
