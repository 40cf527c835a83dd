"""
The process that one runtime lives in: `python -m squadlite.bench.worker`.

Commands come in as JSON lines on stdin, one result goes out for each as a JSON line on stdout. The
end of stdin ends the process. A command that fails ends it too, with a traceback on stderr: after
an error inside a foreign library nothing that follows could be trusted.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from squadlite.bench.kind import Runtime, TellsInstructions, TextReader
from squadlite.bench.runtimes import RUNTIMES
from squadlite.bench.system import peak_rss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Nothing at the top imports numpy or more: what a runtime imports is timed.


class Session:
    """What the worker was told so far: the runtime that it loaded."""

    def __init__(self) -> None:
        self._model = Path()
        self._config: dict[str, Any] = {}
        self._runtime: Runtime | None = None
        self._reader: TextReader | None = None

    def prepare(
        self, *, kind: str, model: str, folder: str, questions: str | None
    ) -> dict[str, Any]:
        """Write what the runtime loads."""
        data = None if questions is None else Path(questions)
        return {"prepared": str(RUNTIMES[kind].prepare(Path(model), Path(folder), data))}

    def load(
        self, *, kind: str, model: str, prepared: str, threads: int, config: dict[str, Any]
    ) -> dict[str, Any]:
        """Import the runtime's modules, then load the model; what both took, and bytes held."""
        started = time.perf_counter()
        for name in RUNTIMES[kind].requires:
            importlib.import_module(name)
        import_s = time.perf_counter() - started
        before = peak_rss()
        started = time.perf_counter()
        self._runtime = RUNTIMES[kind].load(Path(prepared), threads)
        load_s = time.perf_counter() - started
        after = peak_rss()
        self._model, self._config = Path(model), config
        return {
            "import_s": import_s,
            "load_s": load_s,
            "load_rss": None if before is None or after is None else after - before,
        }

    def forward(
        self, *, batch: int, length: int, vocab_size: int, repeats: int
    ) -> dict[str, Sequence[float]]:
        """
        Time forward passes over windows without padding.

        One pass before is not counted: another runtime has worked meanwhile, has the caches, and
        may keep a core busy for a moment yet.
        """
        runtime = self._loaded()
        inputs = example_inputs(batch, length, vocab_size)
        runtime.logits(*inputs)
        return {"seconds": [_timed(lambda: runtime.logits(*inputs)) for _ in range(repeats)]}

    def question(self, *, question: str, passages: Sequence[str]) -> dict[str, float]:
        """Time answering a question from passages: tokens, forward passes, spans."""
        reader = self._reading()
        pairs = [(question, passage) for passage in passages]
        return {"seconds": _timed(lambda: reader.read_pairs(pairs))}

    def first(
        self, *, question: str | None, passages: Sequence[str], length: int, vocab_size: int
    ) -> dict[str, Any]:
        """Answer once, or make one forward pass where there is no question."""
        if question is None:
            self._loaded().logits(*example_inputs(1, length, vocab_size))
        else:
            self._reading().read_pairs([(question, passage) for passage in passages])
        return {}

    def spans(self, *, data: str, limit: int) -> dict[str, Any]:
        """Answer a SQuAD file's questions: id -> best span and null score less its logits."""
        from squadlite.answering.evaluate import spread
        from squadlite.answering.squad import load_squad

        examples = spread(load_squad(data), limit)
        pairs = [(example.question, example.context) for example in examples]
        readings = self._reading().read_pairs(pairs)
        return {
            "spans": {
                example.id: (
                    reading.spans[0].text if reading.spans else "",
                    reading.null_score_diff,
                )
                for example, reading in zip(examples, readings, strict=True)
            }
        }

    def peak(self) -> dict[str, int | None]:
        """The most memory that the process has held, in bytes."""
        return {"peak_rss": peak_rss()}

    def instructions(self, *, length: int, vocab_size: int) -> dict[str, str | None]:
        """What the runtime multiplies matrices by; None: its library doesn't tell."""
        runtime = self._loaded()
        if not isinstance(runtime, TellsInstructions):
            return {"instructions": None}
        inputs = example_inputs(1, length, vocab_size)
        return {"instructions": runtime.instructions(lambda: runtime.logits(*inputs))}

    def limits(self, *, threads: int) -> dict[str, Any]:
        """Measure what the machine can do."""
        from squadlite.bench.limits import measure_limits

        return measure_limits(threads).to_dict()

    def _loaded(self) -> Runtime:
        if self._runtime is None:
            raise ValueError("no runtime is loaded")
        return self._runtime

    def _reading(self) -> TextReader:
        runtime = self._loaded()
        if isinstance(runtime, TextReader):
            return runtime
        if self._reader is None:
            from squadlite.bench.reading import runtime_reader
            from squadlite.config import ModelConfig

            config = ModelConfig.from_dict(self._config)
            self._reader = runtime_reader(runtime, self._model, config)
        return self._reader


def example_inputs(
    batch: int, length: int, vocab_size: int
) -> "tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]":
    """
    Windows of random tokens, the same ones every time: what a token is doesn't change its cost. All
    are of type 0, which every model has.

    Returns:
        input_ids, token_type_ids and attention_mask, each (batch, length), without padding.
    """
    import numpy as np

    shape = batch, length
    input_ids = np.random.default_rng(0).integers(vocab_size, size=shape, dtype=np.int64)
    return input_ids, np.zeros_like(input_ids), np.ones(shape, dtype=np.bool_)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def serve(commands: TextIO, results: TextIO) -> None:
    """
    Obey until the commands end.

    Args:
        commands: JSON lines: "do" names a method of `Session`, the other fields are its arguments.
        results: takes a JSON line for each.
    """
    session = Session()
    for line in commands:
        command = json.loads(line)
        result = getattr(session, command.pop("do"))(**command)
        results.write(json.dumps(result) + "\n")
        results.flush()


def main() -> None:
    """Serve stdin; whatever a library prints goes to stderr, so that stdout holds results alone."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, results)
    sys.stderr.flush()
    # Nothing is left to do, and some libraries take long to take themselves apart.
    os._exit(0)


if __name__ == "__main__":
    main()
