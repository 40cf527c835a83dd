"""A trial: who is told what, in which order, and what becomes of those that fail."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_workers import ALIVE, CALLS, LIMITS, FakeWorker, kind
from tiny_models import tiny_config

from squadlite.bench import trial
from squadlite.bench.energy import EnergyMeter
from squadlite.bench.kind import RuntimeKind
from squadlite.bench.settings import BenchSettings
from squadlite.bench.subject import Subject
from squadlite.bench.trial import Trial
from squadlite.errors import BenchError


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(trial, "Worker", FakeWorker)
    CALLS.clear()
    yield
    assert ALIVE == []


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    path = tmp_path / "tiny.sqz"
    path.write_bytes(bytes(100))
    return Subject(path, 100, tiny_config(max_position_embeddings=64))


def run(
    subject: Subject, *kinds: RuntimeKind, meter: EnergyMeter | None = None, **settings: Any
) -> dict[str, Any]:
    values = {"threads": (1,), "batches": (1,), "lengths": (16,), "rounds": 2, "starts": 1}
    made = Trial(subject, BenchSettings(kinds=kinds, **values | settings), meter)
    steps = []
    result = made.run(LIMITS, lambda: steps.append(1))
    assert len(steps) == made.steps
    return result


def told(do: str) -> list[str]:
    return [name for name, command, _ in CALLS if command == do]


def test_runtimes_take_turns(subject: Subject) -> None:
    run(subject, kind("a"), kind("b"), rounds=3, question="who?", passages=("them",))
    assert told("forward") == ["a", "b"] * 3
    assert told("question") == ["a", "b"] * 4  # the first round is not counted
    assert told("first") == ["a", "b"]


def test_every_cell_is_measured_and_beside_its_floor(subject: Subject) -> None:
    grid = {"threads": (1, 2), "batches": (1, 8), "lengths": (16, 64, 65)}
    result = run(subject, kind("a"), **grid)
    (row,) = result["runtimes"]
    cells = [(cell["threads"], cell["batch"], cell["length"]) for cell in row["forward"]]
    # 65 tokens are more than the model has positions for.
    assert cells == [(t, b, n) for t in (1, 2) for b in (1, 8) for n in (16, 64)]
    for cell in row["forward"]:
        assert cell["seconds"]["median"] == 0.25
        assert cell["seconds"]["count"] == 6  # 2 rounds of 3
        assert cell["tokens_per_s"] == cell["batch"] * cell["length"] / 0.25
        assert cell["times_floor"] == 0.25 / cell["floor_s"]
        assert cell["joules"] is None
    assert row["threads"] == 2


def test_a_result_has_all_that_the_report_needs(subject: Subject) -> None:
    result = run(subject, kind("a"), question="who?", passages=("them",))
    assert list(result) == ["model", "bytes", "f1", "scored_on", "runtimes"]
    (row,) = result["runtimes"]
    assert list(row) == [
        "runtime", "precision", "is_peer", "why_not", "bytes", "instructions", "threads",
        "import_s",
        "load_cold_s", "load_warm_s", "load_rss", "first_answer_s", "peak_rss", "forward",
        "question",
    ]  # fmt: skip
    assert row["instructions"] == "abacus"
    assert row["question"] == [{"threads": 1, "seconds": row["question"][0]["seconds"]}]
    assert row["question"][0]["seconds"]["count"] == 2


@pytest.mark.parametrize("broken", ["prepare", "load", "first", "forward", "question"])
def test_one_that_dies_says_so_and_the_others_go_on(subject: Subject, broken: str) -> None:
    name = f"{broken}-breaks"
    result = run(subject, kind(name), kind("fine"), question="who?", passages=("them",))
    dead, fine = result["runtimes"]
    assert dead["why_not"] == f"{name}: its process ended with SIGKILL"
    assert told(broken).count(name) == 1
    assert fine["why_not"] is None
    assert fine["forward"]
    assert fine["question"]


def test_one_that_cannot_run_here_is_never_started(subject: Subject) -> None:
    absent = kind("absent", requires=("no_such_library.part",))
    unfit = kind("unfit", unsupported=lambda: "needs AVX-512")
    result = run(subject, absent, unfit)
    assert [row["why_not"] for row in result["runtimes"]] == [
        "no_such_library is not installed (pip install 'squadlite[bench]')",
        "needs AVX-512",
    ]
    assert CALLS == []


def test_where_files_cannot_be_forgotten_a_cold_load_is_not_measured(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "forget", lambda path: False)
    (row,) = run(subject, kind("a"))["runtimes"]
    assert row["load_cold_s"] is None
    assert row["load_warm_s"]["median"] == 0.5
    assert told("load") == ["a", "a"]  # for the first answer, then for the cells
    monkeypatch.setattr(trial, "forget", lambda path: True)
    (row,) = run(subject, kind("a"))["runtimes"]
    assert row["load_cold_s"]["median"] == 0.5


def test_energy_is_shared_out_among_all_passes(subject: Subject, tmp_path: Path) -> None:
    class Meter(EnergyMeter):
        def read(self) -> tuple[int, ...]:
            return (0,)

        def joules_since(self, before: tuple[int, ...]) -> float:
            return 8.0

    (row,) = run(subject, kind("a"), meter=Meter(()), repeats=3)["runtimes"]
    assert row["forward"][0]["joules"]["median"] == 2.0


def test_answers_are_compared_on_the_questions_of_a_file(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(trial, "compare", lambda *args, **kw: asked.append((args, kw)) or {})
    data = tmp_path / "squad.json"
    run(subject, kind("a"), kind("spans-breaks"), questions=data, max_questions=9)
    assert asked == [(({"a": {}}, data), {"reference": "squadlite f32"})]
    spans = [arguments for _, do, arguments in CALLS if do == "spans"]
    assert spans == [{"data": str(data), "limit": 9}] * 2


def test_a_model_too_short_for_every_length_is_an_error(subject: Subject) -> None:
    with pytest.raises(BenchError, match="found 64 positions, expected at least 65"):
        run(subject, kind("a"), lengths=(65, 128))
