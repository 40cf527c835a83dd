"""The benchmark itself: the machine and its limits, then model after model."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from squadlite.answering.squad import load_squad
from squadlite.bench.energy import NOT_EXPOSED, EnergyMeter
from squadlite.bench.floor import Limits
from squadlite.bench.machine import describe_machine
from squadlite.bench.processes import Worker
from squadlite.bench.settings import BenchSettings
from squadlite.bench.subject import describe_model
from squadlite.bench.trial import Trial
from squadlite.progress import Progress


def run_benchmark(
    models: Sequence[Path],
    settings: BenchSettings,
    *,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """
    Measure models with runtimes, on this machine.

    Only one process works at a time. The runtimes of a model take turns; models come one after the
    other, so that no more processes hold memory than there are runtimes.

    Args:
        models: .sqz files or checkpoint folders.
        settings: what to measure.
        progress: called with the steps done and their total.

    Returns:
        A JSON object, described in docs/benchmark.md.

    Raises:
        BenchError: a model too short for every length, or a machine whose limits can't be measured.
        SquadliteError: a model, or the file of questions, that can't be read.
    """
    if settings.questions is not None:
        load_squad(settings.questions)  # a broken file had better fail now than at the end
    machine = describe_machine()  # before our own work loads it
    meter = EnergyMeter.find()
    trials = [Trial(describe_model(path), settings, meter) for path in models]
    total = len(settings.threads) + sum(trial.steps for trial in trials)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    progress(0, total)
    limits = {}
    for threads in settings.threads:
        with Worker("the machine's limits", threads) as worker:
            limits[threads] = Limits.from_dict(worker.call("limits", threads=threads))
        step()
    return {
        "benchmark": "runtimes",
        "machine": asdict(machine),
        "energy": NOT_EXPOSED if meter is None else "processor packages",
        "settings": {
            "rounds": settings.rounds,
            "repeats": settings.repeats,
            "starts": settings.starts,
            "question": settings.question,
            "passages": len(settings.passages),
        },
        "limits": [limit.to_dict() for limit in limits.values()],
        "models": [trial.run(limits, step) for trial in trials],
    }
