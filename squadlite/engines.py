"""Where work on many things is done: in this process, or by the workers of a Ray cluster."""

import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from squadlite import __version__
from squadlite.closing import Closing
from squadlite.cores import usable_cores
from squadlite.errors import EngineError, SquadliteError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Closeable(Protocol):
    """What is closed by who has it last."""

    def close(self) -> None:
        """Close it."""


Value = TypeVar("Value", bound=Closeable)
Value_co = TypeVar("Value_co", bound=Closeable, covariant=True)


class Shared(Protocol[Value_co]):
    """A value that work on several items needs: sent with them, it is one wherever it goes."""

    def get(self) -> Value_co:
        """The value, which stays open."""

    def close(self) -> None:
        """Let go of the value: it is sent with no further item."""


class Engine(Protocol):
    """Does work; a context manager."""

    @property
    def max_shared(self) -> int:
        """How many shared values are worth keeping for further items."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """
        Do work on each of some items.

        Args:
            work: what is done with each; it, the items and the results can be pickled, and it may
                be done twice where a worker is lost.
            items: gone through a little ahead of the results.

        Returns:
            The results, in the order of the items.

        Raises:
            EngineError: the workers can't be reached, don't suit, or die over an item.
            Exception: what the work raises.
        """

    def share(self, value: Value) -> Shared[Value]:
        """Take over a value, to be sent with items."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class LocalEngine(Closing):
    """Does work in this process, each item's when its result is asked for."""

    max_shared = 64

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Engine`."""
        for item in items:
            yield work(item)

    def share(self, value: Value) -> Shared[Value]:
        """See `Engine`."""
        return _Here(value)

    def close(self) -> None:
        """There is nothing to let go of."""


LOCAL = LocalEngine()


@dataclass(frozen=True)
class _Here(Generic[Value]):
    value: Value

    def get(self) -> Value:
        return self.value

    def close(self) -> None:
        self.value.close()


# Tasks for each that can be worked on at once: while one's result waits for its turn, others run.
_TASKS_AHEAD = 2
# Of an item whose worker died, so that one that kills every worker comes to an end.
_RETRIES = 3
_CONNECT_SECONDS = 10.0
# By a worker, for its next items: books opened, and the work itself with its model.
_VALUES_KEPT = 64


class RayEngine(Closing):
    """
    Has work done by the workers of a Ray cluster, which have the same squadlite installed.

    Items and results go through Ray's object store, so that workers need no files of this machine.
    Where this process is connected to a cluster already, that is the one.

    Args:
        address: the cluster's ("HOST:PORT", "auto"); None: one on this machine, as long as the
            engine is open.
        cpus: how many each task takes.

    Raises:
        EngineError: Ray isn't installed, or there is no such cluster.
    """

    # Ray puts on disk what its memory doesn't hold.
    max_shared = sys.maxsize

    def __init__(self, address: str | None = None, *, cpus: int = 1) -> None:
        # A local cluster sends nothing about itself to Ray's makers.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # What is raised behind the first error isn't printed.
        os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
        try:
            import ray
        except ImportError as error:
            raise EngineError(
                "the engine ray needs Ray, which is not installed: pip install 'squadlite[ray]'"
            ) from error
        self._ray: Any = ray
        self._cpus = cpus
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(ray, address, cpus)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        found = max(resources.get("CPU", 0) for resources in nodes)
        if found < cpus:
            self.close()
            raise EngineError(f"Ray: found machines of {found:g} CPUs, expected {cpus} in one")

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Engine`."""
        ray = self._ray
        shared = _InStore(ray.put(work))
        task = ray.remote(_perform).options(num_cpus=self._cpus, max_retries=_RETRIES)
        at_once = int(ray.cluster_resources().get("CPU", 0)) // self._cpus
        pending: deque[Any] = deque()
        try:
            for item in items:
                pending.append(task.remote(__version__, shared, item))
                if len(pending) > _TASKS_AHEAD * at_once:
                    yield self._result(pending.popleft())
            while pending:
                yield self._result(pending.popleft())
        finally:
            for reference in pending:
                ray.cancel(reference)

    def share(self, value: Value) -> Shared[Value]:
        """See `Engine`."""
        reference = self._ray.put(value)
        value.close()
        return cast(Shared[Value], _InStore(reference))

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, SquadliteError):
                raise error.cause from None
            if isinstance(error.cause, ImportError | RuntimeError | errors.RayError):
                # The worker couldn't even begin, as a rule for want of a library.
                raise EngineError(f"Ray: a worker can't work ({_last_line(error)})") from error
            raise
        except errors.RayError as error:
            raise EngineError(f"Ray: a worker was lost ({_first_line(error)})") from error

    def close(self) -> None:
        """End the cluster, if it was started here."""
        if self._is_ours:
            self._ray.shutdown()


def _connect(ray: Any, address: str | None, cpus: int) -> None:
    """
    Connect this process to a cluster, or to a new one on this machine.

    Raises:
        EngineError: there is no such cluster.
    """
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        settings |= {"num_cpus": max(usable_cores(), cpus), "include_dashboard": False}
    else:
        _check_listens(address)
    try:
        ray.init(address or "local", **settings)
    except Exception as error:  # Ray raises many kinds, and `Exception` itself
        raise EngineError(f"Ray: can't be started or reached ({_first_line(error)})") from error


def _check_listens(address: str) -> None:
    """
    Find out whether anybody is at an address; Ray itself would try for minutes.

    Raises:
        EngineError: nobody is.
    """
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        raise EngineError(f"Ray: {address}: expected a cluster there ({error})") from error


@dataclass(frozen=True)
class _InStore:
    """A value in Ray's object store."""

    reference: Any

    def get(self) -> Any:
        return _fetch(self.reference)

    def close(self) -> None:
        """Nothing to be done: it goes when nobody refers to it any more."""


@lru_cache(maxsize=_VALUES_KEPT)
def _fetch(reference: Any) -> Any:
    import ray

    return ray.get(reference)


def _perform(version: str, work: _InStore, item: Any) -> Any:
    """What a task does, in a worker."""
    if version != __version__:
        raise EngineError(f"Ray: a worker has squadlite {__version__}, expected {version}")
    return work.get()(item)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2]
