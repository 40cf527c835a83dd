"""Batches shared out among threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

Map = Callable[..., Iterator[Any]]


@contextmanager
def workers(n_tasks: int, n_threads: int) -> Iterator[tuple[Map, int]]:
    """
    Gather threads for some tasks.

    Threads that calculate alone never wait for one another; all of them in each operation are no
    faster on an idle machine, and far slower where another program keeps a core busy.

    Yields:
        A `map`, and how many threads may compute each of its tasks: all of them a single one, else
        one.
    """
    if n_tasks <= 1 or n_threads == 1:
        yield map, n_threads
        return
    pool = ThreadPoolExecutor(n_threads)
    try:
        yield pool.map, 1
    finally:
        # On Ctrl-C what hasn't begun must not hold us up.
        pool.shutdown(cancel_futures=True)
