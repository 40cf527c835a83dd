"""
Where the time goes from starting `squadlite ask` to its answer, with the book's index there.

    python -m benchmarks.start_to_answer book.epub "Who keeps the lighthouse?" "Who built it?"

Runs the real command for each question, since one that is sure sooner takes fewer passages, and in
turns with it a bare interpreter and, where transformers is installed, the first question's job on
the same weights as people do it with transformers and torch (benchmarks/transformers_ask.py).
Rows: the interpreter alone; importing torch, which squadlite does only where it has no kernels of
its own for the processor or the model; importing transformers; loading the model (decoding and the
tokenizer, without those imports); opening the index; retrieving; reading; the rest, which is the
other imports, the command line and the exit; all of it; the most memory held at once; how many
passages were read. Medians of --runs runs, after one that is not counted, in which modules are
compiled, as an installation's are.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.transformers_ask import PASSAGES
from squadlite.cli.output import existing_path, model_option, print_json, print_table

_IMPORT_TORCH = """
import time
started = time.perf_counter()
import torch
print((time.perf_counter() - started) * 1000)
"""
_TELL_OF_TORCH = """
import sys
from squadlite.answering.scorer import load_scorer
load_scorer(sys.argv[1], "auto")
print(int("torch" in sys.modules))
"""
_SAVE_FOR_TRANSFORMERS = """
import sys
from pathlib import Path
from squadlite.bench.peers.weights import save_for_transformers
save_for_transformers(Path(sys.argv[1]), Path(sys.argv[2]))
"""

_PEER = "transformers"


@dataclass(frozen=True)
class _Run:
    # One process: ms from its start to its end, what it printed, the most bytes it held.
    total: float
    output: str
    peak_rss: int


@dataclass(frozen=True)
class _Job:
    # Steps of one run in ms, in order, the most bytes it held, and how many passages it read.
    steps: Mapping[str, float]
    peak_rss: int
    passages: int

    @classmethod
    def of(cls, run: _Run, steps: Mapping[str, float], passages: int) -> "_Job":
        """`steps`, what is left of the run, and all of it."""
        rest = run.total - sum(steps.values())
        return cls({**steps, "rest": rest, "total": run.total}, run.peak_rss, passages)


@click.command()
@click.argument("book", type=existing_path)
@click.argument("questions", nargs=-1, required=True)
@model_option
@click.option("--runs", default=7, show_default=True)
def main(book: Path, questions: tuple[str, ...], model: Path, runs: int) -> None:
    """Time each of QUESTIONS asked of BOOK from process start to answer."""
    python = sys.executable
    asks = {
        question: [python, "-m", "squadlite", "ask", str(book), question, "--model", str(model)]
        for question in questions
    }
    with tempfile.TemporaryDirectory() as folder, _as_installed():
        peer = [python, "-m", "benchmarks.transformers_ask", str(book), questions[0], folder]
        has_peer = importlib.util.find_spec("transformers") is not None
        if has_peer:
            _run([python, "-c", _SAVE_FOR_TRANSFORMERS, str(model), folder])
        has_torch = bool(int(_run([python, "-c", _TELL_OF_TORCH, str(model)]).output))
        rounds = [_measure(asks, peer if has_peer else None, has_torch) for _ in range(runs + 1)]
    jobs = {name: _median([entry[name] for entry in rounds[1:]]) for name in rounds[0]}
    _print(jobs, questions, runs)


@contextmanager
def _as_installed() -> Iterator[None]:
    # Some machines are told to keep no compiled modules, which an installation has.
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as compiled:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        # What transformers calls its progress would cross what we print.
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _measure(
    asks: Mapping[str, Sequence[str]], peer: Sequence[str] | None, has_torch: bool
) -> dict[str, _Job]:
    # Of each question, and of the peer.
    interpreter = _run([sys.executable, "-c", "pass"]).total
    torch_import = 0.0
    if has_torch:
        torch_import = float(_run([sys.executable, "-c", _IMPORT_TORCH]).output)
    jobs = {
        question: _own_job(_run([*ask, "--json"]), interpreter, torch_import)
        for question, ask in asks.items()
    }
    if peer is not None:
        jobs[_PEER] = _peer_job(_run(peer), interpreter)
    return jobs


def _own_job(run: _Run, interpreter: float, torch_import: float) -> _Job:
    reply = json.loads(run.output)
    timing = reply["timing"]
    steps = {
        "interpreter": interpreter,
        "import torch": torch_import,
        "load model": timing["load_ms"] - torch_import,
        "open index": timing["index_ms"],
        "retrieve": timing["retrieve_ms"],
        "read": timing["read_ms"],
    }
    return _Job.of(run, steps, reply["passages_read"])


def _peer_job(run: _Run, interpreter: float) -> _Job:
    timing = json.loads(run.output)["timing"]
    steps = {
        "interpreter": interpreter,
        "import torch": timing["torch_ms"],
        "import transformers": timing["transformers_ms"],
        "load model": timing["load_ms"],
        "open index": timing["index_ms"],
        "retrieve": timing["retrieve_ms"],
        "read": timing["read_ms"],
    }
    return _Job.of(run, steps, PASSAGES)


def _run(command: Sequence[str]) -> _Run:
    # By os.wait4, which tells of this process alone, where resource.getrusage would of all so far.
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        total = (time.perf_counter() - started) * 1000
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        output.seek(0)
        unit = 1 if sys.platform == "darwin" else 1024
        return _Run(total, output.read().decode(), usage.ru_maxrss * unit)


def _median(jobs: Sequence[_Job]) -> _Job:
    steps = {step: statistics.median(job.steps[step] for job in jobs) for step in jobs[0].steps}
    peak_rss = statistics.median_high(job.peak_rss for job in jobs)
    return _Job(steps, peak_rss, jobs[0].passages)


def _print(jobs: Mapping[str, _Job], questions: Sequence[str], runs: int) -> None:
    # The peer has every step that we have, and one more.
    *_, longest = jobs.values()
    rows = [
        [step, *(f"{job.steps[step]:.0f}" if step in job.steps else "-" for job in jobs.values())]
        for step in longest.steps
    ]
    memory = ["peak memory, MB", *(f"{job.peak_rss / 1e6:.0f}" for job in jobs.values())]
    passages = ["passages read", *(str(job.passages) for job in jobs.values())]
    print_table(["Step", *(f"{name} ms" for name in jobs)], [*rows, memory, passages])
    results = {
        name: {
            "median_ms": {step: round(value, 1) for step, value in job.steps.items()},
            "peak_rss": job.peak_rss,
            "passages": job.passages,
        }
        for name, job in jobs.items()
    }
    own = [{"question": question} | results.pop(question) for question in questions]
    print_json({"benchmark": "start_to_answer", "runs": runs, "questions": own, "peers": results})


if __name__ == "__main__":
    main()
