"""Workers that start no process, for the tests of those that tell workers what to do."""

from types import TracebackType
from typing import Any, Self

from squadlite.bench.floor import Limits, Peak
from squadlite.bench.kind import RuntimeKind
from squadlite.errors import BenchError

LIMITS = {
    threads: Limits(threads, {"f32": Peak(1e9, "k", (1, 1, 1))}, {1: 1e12}) for threads in (1, 2)
}
ALIVE: list[str] = []
CALLS: list[tuple[str, str, dict[str, Any]]] = []


class FakeWorker:
    """Answers at once, and fails where its name says: "forward-breaks" in forward passes."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads, self.started = name, threads, 0.0
        ALIVE.append(name)

    def call(self, do: str, **arguments: Any) -> dict[str, Any]:
        CALLS.append((self.name, do, arguments))
        if self.name == f"{do}-breaks":
            raise BenchError(f"{self.name}: its process ended with SIGKILL")
        results: dict[str, dict[str, Any]] = {
            "prepare": {"prepared": arguments.get("model")},
            "load": {"import_s": 1.0, "load_s": 0.5, "load_rss": 80},
            "forward": {"seconds": [0.25] * arguments.get("repeats", 0)},
            "question": {"seconds": 2.0},
            "spans": {"spans": {}},
            "peak": {"peak_rss": 1000},
            "instructions": {"instructions": "abacus"},
            "limits": LIMITS[self.threads].to_dict(),
        }
        return results.get(do, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ALIVE.remove(self.name)


def kind(name: str, **changes: Any) -> RuntimeKind:
    values = {"precision": "f32", "is_peer": False, "requires": (), "load": print}
    return RuntimeKind(name=name, **values | changes)
