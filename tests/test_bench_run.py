"""The benchmark over all models: the machine first, then one model after the other."""

from pathlib import Path

import numpy as np
import pytest
from bench_workers import CALLS, LIMITS, FakeWorker, kind
from tiny_models import tiny_config

from squadlite.bench import run as bench_run
from squadlite.bench import trial
from squadlite.bench.run import run_benchmark
from squadlite.bench.settings import BenchSettings
from squadlite.container import Raw, write_sqz
from squadlite.errors import BenchError, DatasetError


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "Worker", FakeWorker)
    monkeypatch.setattr(bench_run, "Worker", FakeWorker)
    CALLS.clear()


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.sqz", tmp_path / "b.sqz"]
    for path in paths:
        write_sqz(
            path,
            model=tiny_config().to_dict(),
            tokenizer={},
            metadata={},
            tensors=[("t", np.zeros(1, np.float32), Raw("f32"))],
        )
    return paths


def test_limits_are_measured_once_for_each_number_of_threads(models: list[Path]) -> None:
    settings = BenchSettings(kinds=[kind("x")], threads=(1, 2), lengths=(16,), rounds=1, starts=1)
    done: list[tuple[int, int]] = []
    result = run_benchmark(models, settings, progress=lambda *step: done.append(step))
    limits = [arguments for _, do, arguments in CALLS if do == "limits"]
    assert limits == [{"threads": 1}, {"threads": 2}]
    assert result["limits"] == [LIMITS[1].to_dict(), LIMITS[2].to_dict()]
    assert [model["model"] for model in result["models"]] == ["a.sqz", "b.sqz"]
    assert list(result) == ["benchmark", "machine", "energy", "settings", "limits", "models"]
    total = done[0][1]
    assert done == [(step, total) for step in range(total + 1)]


def test_nothing_is_measured_where_a_model_is_too_short(models: list[Path]) -> None:
    with pytest.raises(BenchError, match="expected at least 384"):
        run_benchmark(models, BenchSettings(kinds=[kind("x")], threads=(1,), lengths=(384,)))
    assert CALLS == []


def test_nothing_is_measured_where_the_questions_are_broken(
    models: list[Path], tmp_path: Path
) -> None:
    questions = tmp_path / "questions.json"
    questions.write_text("{}")
    settings = BenchSettings(kinds=[kind("x")], threads=(1,), questions=questions)
    with pytest.raises(DatasetError):
        run_benchmark(models, settings)
    assert CALLS == []
