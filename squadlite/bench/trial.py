"""All that is measured of one model: which process is started when, and what it is told to do."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from squadlite.bench.agreement import Predictions, compare
from squadlite.bench.energy import EnergyMeter
from squadlite.bench.floor import Limits, count_work, floor_seconds
from squadlite.bench.kind import RuntimeKind, missing
from squadlite.bench.measure import Spread, interleave
from squadlite.bench.processes import Worker
from squadlite.bench.settings import BenchSettings
from squadlite.bench.subject import Subject
from squadlite.bench.system import forget, size_of
from squadlite.errors import BenchError

REFERENCE = "squadlite f32"  # what the others' answers are compared with

Step = Callable[[], None]
Sample = TypeVar("Sample")


@dataclass
class _Row:
    # One runtime, and what became of it so far.
    kind: RuntimeKind
    why_not: str | None
    prepared: Path = Path()
    results: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Start:
    # What one fresh process took, in seconds and bytes.
    import_s: float
    load_cold_s: float | None
    load_warm_s: float
    load_rss: int | None
    first_answer_s: float
    peak_rss: int | None


@dataclass(frozen=True)
class _Pass:
    # One forward pass.
    seconds: float
    joules: float | None


class Trial:
    """
    One model with all runtimes.

    Args:
        subject: the model.
        settings: what to measure.
        meter: the machine's energy counters, or None.

    Raises:
        BenchError: the model has fewer positions than the shortest length.
    """

    def __init__(
        self, subject: Subject, settings: BenchSettings, meter: EnergyMeter | None
    ) -> None:
        positions = subject.config.max_position_embeddings
        self._lengths = [length for length in settings.lengths if length <= positions]
        if not self._lengths:
            raise BenchError(
                f"{subject.path}: found {positions} positions, "
                f"expected at least {min(settings.lengths)}, the shortest length to measure"
            )
        self._subject = subject
        self._settings = settings
        self._meter = meter
        self._most_threads = max(settings.threads)
        self._rows = {kind.name: _Row(kind, missing(kind)) for kind in settings.kinds}

    @property
    def steps(self) -> int:
        """How often `run` calls `step`."""
        settings = self._settings
        cells = len(settings.batches) * len(self._lengths) + (settings.question is not None)
        return 2 + len(settings.threads) * cells + (settings.questions is not None)

    def run(self, limits: Mapping[int, Limits], step: Step) -> dict[str, Any]:
        """
        Measure.

        Args:
            limits: number of threads -> what the machine can do with them.
            step: called now and then.

        Returns:
            A JSON object. A runtime that didn't run to the end says why in `why_not`.
        """
        settings, subject = self._settings, self._subject
        with tempfile.TemporaryDirectory(prefix="squadlite-bench-") as folder:
            self._prepare(Path(folder))
            step()
            self._measure_starts()
            step()
            for threads in settings.threads:
                self._measure_loaded(limits[threads], step)
            if settings.questions is not None:
                self._compare_answers(settings.questions)
                step()
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
        model, questions = str(self._subject.path), self._settings.questions
        for number, row in enumerate(self._living()):
            own_folder = folder / str(number)
            own_folder.mkdir()
            with _failing(row), Worker(row.kind.name, self._most_threads) as worker:
                prepared = worker.call(
                    "prepare",
                    kind=row.kind.name,
                    model=model,
                    folder=str(own_folder),
                    questions=None if questions is None else str(questions),
                )
                row.prepared = Path(prepared["prepared"])
                row.results["bytes"] = size_of(row.prepared)

    def _measure_starts(self) -> None:
        turns = {row.kind.name: partial(self._start, row) for row in self._living()}
        for row, starts in self._taken(turns, self._settings.starts):
            row.results |= {
                "threads": self._most_threads,
                "import_s": _spread(start.import_s for start in starts),
                "load_cold_s": _spread(start.load_cold_s for start in starts),
                "load_warm_s": _spread(start.load_warm_s for start in starts),
                "load_rss": _spread(start.load_rss for start in starts),
                "first_answer_s": _spread(start.first_answer_s for start in starts),
                "peak_rss": _spread(start.peak_rss for start in starts),
            }

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
            # At last, since a library that is asked to tell may keep doing so.
            row.results |= worker.call(
                "instructions",
                length=min(self._lengths),
                vocab_size=self._subject.config.vocab_size,
            )
        return [
            _Start(
                import_s=loaded["import_s"],
                load_cold_s=cold,
                load_warm_s=loaded["load_s"],
                load_rss=loaded["load_rss"],
                first_answer_s=first_answer,
                peak_rss=peak,
            )
        ]

    def _measure_loaded(self, limits: Limits, step: Step) -> None:
        with ExitStack() as stack:
            workers = {}
            for row in self._living():
                with _failing(row):
                    worker = stack.enter_context(Worker(row.kind.name, limits.threads))
                    self._load(worker, row, limits.threads)
                    workers[row.kind.name] = worker
            for batch in self._settings.batches:
                for length in self._lengths:
                    self._measure_forward(workers, limits, batch, length)
                    step()
            if self._settings.question is not None:
                self._measure_question(workers, limits.threads)
                step()

    def _measure_forward(
        self, workers: Mapping[str, Worker], limits: Limits, batch: int, length: int
    ) -> None:
        config = self._subject.config
        work = count_work(config, batch, length)
        shape = {"batch": batch, "length": length}

        def turn(worker: Worker) -> list[_Pass]:
            return self._forward(worker, vocab_size=config.vocab_size, **shape)

        for row, passes in self._taken(self._turns(turn, workers), self._settings.rounds):
            seconds = Spread.of([item.seconds for item in passes])
            floor = floor_seconds(work, limits, row.kind.precision)
            row.results.setdefault("forward", []).append(
                {
                    "threads": limits.threads,
                    **shape,
                    "seconds": asdict(seconds),
                    "tokens_per_s": batch * length / seconds.median,
                    "floor_s": floor,
                    "times_floor": None if floor is None else seconds.median / floor,
                    "joules": _spread(item.joules for item in passes),
                }
            )

    def _forward(self, worker: Worker, **arguments: int) -> list[_Pass]:
        repeats = self._settings.repeats
        before = self._meter.read() if self._meter else ()
        timed = worker.call("forward", repeats=repeats, **arguments)
        # The pass before those that are timed draws energy too.
        joules = self._meter.joules_since(before) / (repeats + 1) if self._meter else None
        return [_Pass(seconds, joules) for seconds in timed["seconds"]]

    def _measure_question(self, workers: Mapping[str, Worker], threads: int) -> None:
        def turn(worker: Worker) -> list[float]:
            question, passages = self._settings.question, self._settings.passages
            return [worker.call("question", question=question, passages=passages)["seconds"]]

        # The first round warms up.
        turns = self._turns(turn, workers)
        for row, (_, *seconds) in self._taken(turns, self._settings.rounds + 1):
            row.results.setdefault("question", []).append(
                {"threads": threads, "seconds": _spread(seconds)}
            )

    def _compare_answers(self, questions: Path) -> None:
        predictions: dict[str, Predictions] = {}
        for row in self._living():
            with _failing(row), Worker(row.kind.name, self._most_threads) as worker:
                self._load(worker, row, self._most_threads)
                predictions[row.kind.name] = worker.call(
                    "spans", data=str(questions), limit=self._settings.max_questions
                )["spans"]
        for name, answers in compare(predictions, questions, reference=REFERENCE).items():
            self._rows[name].results["answers"] = asdict(answers)

    def _load(self, worker: Worker, row: _Row, threads: int) -> dict[str, Any]:
        return worker.call(
            "load",
            kind=row.kind.name,
            model=str(self._subject.path),
            prepared=str(row.prepared),
            threads=threads,
            config=self._subject.config.to_dict(),
        )

    def _turns(
        self, turn: Callable[[Worker], Sequence[Sample]], workers: Mapping[str, Worker]
    ) -> dict[str, Callable[[], Sequence[Sample]]]:
        return {row.kind.name: partial(turn, workers[row.kind.name]) for row in self._living()}

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


@contextmanager
def _failing(row: _Row) -> Iterator[None]:
    # What a runtime fails with becomes its row's reason; the others go on.
    try:
        yield
    except BenchError as error:
        row.why_not = str(error)


def _spread(samples: Iterable[float | None]) -> dict[str, Any] | None:
    # None among the samples, or no sample: it can't be measured here.
    values = [sample for sample in samples if sample is not None]
    return asdict(Spread.of(values)) if values else None
