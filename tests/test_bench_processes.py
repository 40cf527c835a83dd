"""Workers die with a reason, and never outlive their owner's interest."""

import os
import subprocess
import sys
import time

import pytest

from squadlite.bench import processes
from squadlite.bench.processes import Worker
from squadlite.errors import BenchError


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


def test_a_worker_answers_call_after_call() -> None:
    code = "import json, sys\nfor line in sys.stdin: print(json.dumps([line.strip()]), flush=True)"
    with Worker("echo", 1, command=python(code)) as worker:
        assert worker.call("say", word="ä") == ['{"do": "say", "word": "\\u00e4"}']
        assert worker.call("end") == ['{"do": "end"}']


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "input(); raise MemoryError('no room')",
            "exit code 1; it said last: MemoryError: no room",
        ),
        ("import os; os._exit(3)", "exit code 3; it said last: nothing"),
        ("input(); import os; os.kill(os.getpid(), 9)", "SIGKILL; it said last: nothing"),
        ("print('{\"half\": ', end='')", "exit code 0; it said last: nothing"),
        (
            r"import sys; sys.stderr.buffer.write(b'bad \xff\n\n'); sys.exit(2)",
            "exit code 2; it said last: bad \ufffd",
        ),
    ],
)
def test_a_worker_that_dies_tells_how(code: str, expected: str) -> None:
    with Worker("onnxruntime int8", 1, command=python(code)) as worker:
        with pytest.raises(BenchError) as caught:
            worker.call("forward")
        assert str(caught.value) == f"onnxruntime int8: its process ended with {expected}"


def test_a_dead_worker_stays_dead() -> None:
    with Worker("gone", 1, command=python("")) as worker:
        for _ in range(3):
            with pytest.raises(BenchError, match="gone: its process ended with exit code 0"):
                worker.call("forward", text="x" * 1_000_000)


def test_a_worker_that_closed_its_output_and_lives_on_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.1)
    code = "import os, time; os.close(1); time.sleep(600)"
    with (
        Worker("mute", 1, command=python(code)) as worker,
        pytest.raises(BenchError, match="mute: its process no longer answers"),
    ):
        worker.call("forward")


def test_closing_ends_a_worker_in_the_middle_of_its_work() -> None:
    started = time.monotonic()
    with Worker("busy", 1, command=python("while True: pass")) as worker:
        process = worker._process
    assert process.returncode is not None
    assert time.monotonic() - started < 60


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_ctrl_c_is_the_owners_alone() -> None:
    code = "import os; input(); print(os.getpgrp(), flush=True); input()"
    with Worker("own group", 1, command=python(code)) as worker:
        assert worker.call("tell") != os.getpgrp()


def test_threads_are_set_for_every_library_before_it_is_imported() -> None:
    code = "import json, os; input(); print(json.dumps(dict(os.environ)), flush=True)"
    with Worker("limited", 3, command=python(code)) as worker:
        environment = worker.call("tell")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert environment[name] == "3"


def test_a_real_worker_leaves_when_its_owner_does() -> None:
    with subprocess.Popen(
        processes.COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        output, _ = process.communicate('{"do": "peak"}\n', timeout=60)
    assert process.returncode == 0
    assert "peak_rss" in output
