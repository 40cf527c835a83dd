"""The benchmark itself: which process is started when, and what each is told to do."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from squadlite.bench.agreement import Predictions, compare
from squadlite.bench.energy import NOT_EXPOSED, EnergyMeter
from squadlite.bench.floor import Limits, count_work, floor_seconds
from squadlite.bench.kind import RuntimeKind, missing
from squadlite.bench.machine import describe_machine
from squadlite.bench.measure import Spread, interleave
from squadlite.bench.processes import Worker
from squadlite.bench.subject import Subject, describe_model
from squadlite.bench.system import forget, size_of
from squadlite.errors import BenchError

REFERENCE = "squadlite f32"  # what the others' answers are compared with

Progress = Callable[[int, int], None]
Sample = TypeVar("Sample")


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """
    What to measure.

    Args:
        kinds: the runtimes.
        threads, batches, lengths: every combination is a cell; lengths count tokens.
        rounds: turns that each runtime gets in a cell.
        repeats: counted passes, or questions, in a turn.
        starts: fresh processes of each runtime, from a cold and from a warm file cache each.
        question, passages: what is asked, and of which texts; no question: none is.
        questions: a SQuAD file on which answers are compared, or None.
        max_questions: asked of that file, spread over it.
    """

    kinds: Sequence[RuntimeKind]
    threads: Sequence[int]
    batches: Sequence[int] = (1, 8)
    lengths: Sequence[int] = (64, 128, 256, 384)
    rounds: int = 7
    repeats: int = 3
    starts: int = 3
    question: str | None = None
    passages: Sequence[str] = ()
    questions: Path | None = None
    max_questions: int = 500


@dataclass(frozen=True)
class _Start:
    # What one fresh process took, in seconds and bytes.
    import_s: float
    load_cold_s: float | None
    load_warm_s: float
    first_answer_s: float
    peak_rss: int | None


@dataclass(frozen=True)
class _Pass:
    seconds: float
    joules: float | None


@dataclass
class _Row:
    # One runtime on one model: what became of it so far.
    kind: RuntimeKind
    prepared: Path = Path()
    why_not: str | None = None
    results: dict[str, Any] = field(default_factory=dict)


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
        A JSON object, see docs/benchmark.md. A runtime that couldn't run says why in `why_not`.

    Raises:
        SquadliteError: a model that can't be read.
    """
    subjects = [describe_model(path) for path in models]
    steps = _Steps(progress, len(settings.threads) + _count_steps(subjects, settings))
    limits = {}
    for threads in settings.threads:
        with Worker("the machine's limits", threads) as worker:
            limits[threads] = Limits.from_dict(worker.call("limits", threads=threads))
        steps.done()
    meter = EnergyMeter.find()
    return {
        "benchmark": "runtimes",
        "machine": asdict(describe_machine()),
        "energy": NOT_EXPOSED if meter is None else "processor packages",
        "settings": {
            "rounds": settings.rounds,
            "repeats": settings.repeats,
            "starts": settings.starts,
            "question": settings.question,
            "passages": len(settings.passages),
        },
        "limits": [limit.to_dict() for limit in limits.values()],
        "models": [_Model(subject, settings, limits, meter, steps).run() for subject in subjects],
    }


class _Model:
    # Everything that is measured of one model.

    def __init__(
        self,
        subject: Subject,
        settings: BenchSettings,
        limits: Mapping[int, Limits],
        meter: EnergyMeter | None,
        steps: "_Steps",
    ) -> None:
        self._subject = subject
        self._settings = settings
        self._limits = limits
        self._meter = meter
        self._steps = steps
        self._rows = {kind.name: _Row(kind, why_not=missing(kind)) for kind in settings.kinds}

    def run(self) -> dict[str, Any]:
        subject = self._subject
        with tempfile.TemporaryDirectory(prefix="squadlite-bench-") as folder:
            self._prepare(Path(folder))
            self._measure_starts()
            for threads in self._settings.threads:
                self._measure_loaded(threads)
            if self._settings.questions is not None:
                self._compare_answers(self._settings.questions)
        return {
            "model": subject.path.name,
            "bytes": subject.size,
            "f1": subject.f1,
            "scored_on": subject.scored_on,
            "runtimes": [
                {
                    "runtime": row.kind.name,
                    "precision": row.kind.precision,
                    "is_peer": row.kind.is_peer,
                    "why_not": row.why_not,
                    **row.results,
                }
                for row in self._rows.values()
            ],
        }

    def _prepare(self, folder: Path) -> None:
        for number, row in enumerate(self._living()):
            own_folder = folder / str(number)
            own_folder.mkdir()
            with _failing(row), Worker(row.kind.name, self._most_threads) as worker:
                prepared = worker.call(
                    "prepare",
                    kind=row.kind.name,
                    model=str(self._subject.path),
                    folder=str(own_folder),
                )
                row.prepared = Path(prepared["prepared"])
                row.results["bytes"] = size_of(row.prepared)
        self._steps.done()

    def _measure_starts(self) -> None:
        turns = {row.kind.name: partial(self._start, row) for row in self._living()}
        for row, starts in self._taken(turns, self._settings.starts):
            cold = [start.load_cold_s for start in starts if start.load_cold_s is not None]
            peaks = [start.peak_rss for start in starts if start.peak_rss is not None]
            row.results |= {
                "threads": self._most_threads,
                "import_s": _spread(start.import_s for start in starts),
                "load_cold_s": _spread(cold),
                "load_warm_s": _spread(start.load_warm_s for start in starts),
                "first_answer_s": _spread(start.first_answer_s for start in starts),
                "peak_rss": _spread(peaks),
            }
        self._steps.done()

    def _start(self, row: _Row) -> list[_Start]:
        cold = None
        if forget(row.prepared):
            with Worker(row.kind.name, self._most_threads) as worker:
                cold = self._load(worker, row, self._most_threads)["load_s"]
        with Worker(row.kind.name, self._most_threads) as worker:
            loaded = self._load(worker, row, self._most_threads)
            worker.call(
                "first",
                question=self._settings.question,
                passages=self._settings.passages,
                length=min(self._lengths),
                vocab_size=self._subject.config.vocab_size,
            )
            first_answer = time.perf_counter() - worker.started
            peak = worker.call("peak")["peak_rss"]
        return [_Start(loaded["import_s"], cold, loaded["load_s"], first_answer, peak)]

    def _measure_loaded(self, threads: int) -> None:
        with ExitStack() as stack:
            workers = {}
            for row in self._living():
                with _failing(row):
                    worker = stack.enter_context(Worker(row.kind.name, threads))
                    self._load(worker, row, threads)
                    workers[row.kind.name] = worker
            for batch in self._settings.batches:
                for length in self._lengths:
                    self._measure_forward(workers, threads, batch, length)
            if self._settings.question is not None:
                self._measure_question(workers, threads)

    def _measure_forward(
        self, workers: Mapping[str, Worker], threads: int, batch: int, length: int
    ) -> None:
        config, repeats = self._subject.config, self._settings.repeats

        def turn(worker: Worker) -> list[_Pass]:
            before = self._meter.read() if self._meter else ()
            seconds = worker.call(
                "forward",
                batch=batch,
                length=length,
                vocab_size=config.vocab_size,
                repeats=repeats,
            )["seconds"]
            # The pass that isn't timed draws energy too.
            joules = self._meter.joules_since(before) / (repeats + 1) if self._meter else None
            return [_Pass(value, joules) for value in seconds]

        work = count_work(config, batch, length)
        turns = {row.kind.name: partial(turn, workers[row.kind.name]) for row in self._living()}
        for row, passes in self._taken(turns, self._settings.rounds):
            seconds = Spread.of([item.seconds for item in passes])
            floor = floor_seconds(work, self._limits[threads], row.kind.precision)
            row.results.setdefault("forward", []).append(
                {
                    "threads": threads,
                    "batch": batch,
                    "length": length,
                    "seconds": asdict(seconds),
                    "tokens_per_s": batch * length / seconds.median,
                    "floor_s": floor,
                    "times_floor": seconds.median / floor if floor else None,
                    "joules": _spread(item.joules for item in passes if item.joules is not None),
                }
            )
        self._steps.done()

    def _measure_question(self, workers: Mapping[str, Worker], threads: int) -> None:
        def turn(worker: Worker) -> list[float]:
            seconds: list[float] = worker.call(
                "question",
                question=self._settings.question,
                passages=self._settings.passages,
                repeats=1,
            )["seconds"]
            return seconds

        turns = {row.kind.name: partial(turn, workers[row.kind.name]) for row in self._living()}
        for row, seconds in self._taken(turns, self._settings.rounds):
            row.results.setdefault("question", []).append(
                {"threads": threads, "seconds": _spread(seconds)}
            )
        self._steps.done()

    def _compare_answers(self, questions: Path) -> None:
        predictions: dict[str, Predictions] = {}
        for row in self._living():
            with _failing(row), Worker(row.kind.name, self._most_threads) as worker:
                self._load(worker, row, self._most_threads)
                predictions[row.kind.name] = worker.call(
                    "spans", data=str(questions), limit=self._settings.max_questions
                )["spans"]
        for name, agreement in compare(predictions, questions, reference=REFERENCE).items():
            self._rows[name].results["answers"] = asdict(agreement)
        self._steps.done()

    def _load(self, worker: Worker, row: _Row, threads: int) -> dict[str, Any]:
        return worker.call(
            "load",
            kind=row.kind.name,
            model=str(self._subject.path),
            prepared=str(row.prepared),
            threads=threads,
            max_positions=self._subject.config.max_position_embeddings,
        )

    def _taken(
        self, turns: Mapping[str, Callable[[], Sequence[Sample]]], rounds: int
    ) -> Iterator[tuple[_Row, Sequence[Sample]]]:
        taken = interleave(turns, rounds=rounds)
        for name, failure in taken.failures.items():
            self._rows[name].why_not = failure
        for name, samples in taken.samples.items():
            yield self._rows[name], samples

    def _living(self) -> list[_Row]:
        return [row for row in self._rows.values() if row.why_not is None]

    @property
    def _lengths(self) -> list[int]:
        return _lengths_within(self._subject, self._settings)

    @property
    def _most_threads(self) -> int:
        return max(self._settings.threads)


class _Steps:
    # Counts what is done towards a progress bar.

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        progress(0, total)

    def done(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def _count_steps(subjects: Iterable[Subject], settings: BenchSettings) -> int:
    steps = 0
    for subject in subjects:
        cells = len(settings.batches) * len(_lengths_within(subject, settings))
        steps += 2 + len(settings.threads) * (cells + (settings.question is not None))
        steps += settings.questions is not None
    return steps


def _lengths_within(subject: Subject, settings: BenchSettings) -> list[int]:
    positions = subject.config.max_position_embeddings
    lengths = [length for length in settings.lengths if length <= positions]
    if not lengths:
        raise BenchError(
            f"{subject.path}: found {positions} positions, "
            f"expected at least {min(settings.lengths)}, the shortest length to measure"
        )
    return lengths


@contextmanager
def _failing(row: _Row) -> Iterator[None]:
    # What a runtime fails with becomes its row's reason; the others go on.
    try:
        yield
    except BenchError as error:
        row.why_not = str(error)


def _spread(samples: Iterable[float]) -> dict[str, Any] | None:
    values = list(samples)
    return asdict(Spread.of(values)) if values else None
