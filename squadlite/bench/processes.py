"""Workers as their owner sees them: started, told what to do, and never left behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, TextIO, cast

from squadlite.closing import Closing
from squadlite.errors import BenchError

COMMAND = (sys.executable, "-m", "squadlite.bench.worker")

GRACE_SECONDS = 10  # between the end of a worker's output and the end of its process

# Each library takes its number of threads from a variable of its own, some at import already.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


class Worker(Closing):
    """
    A process of `squadlite.bench.worker`; a context manager that ends it.

    Args:
        name: of its runtime, for messages.
        threads: that libraries may compute with.
        command: what to start.
    """

    def __init__(self, name: str, threads: int, *, command: Sequence[str] = COMMAND) -> None:
        self.name = name
        self.started = time.perf_counter()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (`close` closes it)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | dict.fromkeys(_THREAD_VARIABLES, str(threads)),
            text=True,
            encoding="utf-8",
            # Ctrl-C is for us: we end our workers ourselves.
            start_new_session=True,
        )

    def call(self, do: str, **arguments: Any) -> dict[str, Any]:
        """
        Let the worker obey one command, and wait for its result.

        Args:
            do: a method of `squadlite.bench.worker.Session`.
            arguments: that method's.

        Raises:
            BenchError: the process died; the message says how, and what it said last.
        """
        stdin, stdout = cast(TextIO, self._process.stdin), cast(TextIO, self._process.stdout)
        try:
            stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line.endswith("\n"):
            raise BenchError(f"{self.name}: {self._death()}")
        result: dict[str, Any] = json.loads(line)
        return result

    def close(self) -> None:
        """End the process at once, whatever it is doing, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            # A command that nobody read any more may still wait to be written.
            with suppress(BrokenPipeError):
                cast(IO[Any], stream).close()

    def _death(self) -> str:
        try:
            code = self._process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return "its process no longer answers"
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "nothing")
        return f"its process ended with {how}; it said last: {last}"
