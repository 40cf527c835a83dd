"""Progress bars of a training and of its teacher."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def training_bar() -> Iterator[Callable[[float, float, float, float], None]]:
    """
    Show a training's progress on stderr, where a person can see it.

    Yields:
        A function `report(share_done, loss, rate, tokens_per_second)`; where stderr isn't a
        terminal it does nothing.
    """
    with _bar("Training") as update:
        yield lambda share, loss, rate, speed: update(
            share, f"loss {loss:.3f}  rate {rate:.1e}  {speed:,.0f} tokens/s"
        )


@contextmanager
def asking_bar() -> Iterator[Callable[[float, float], None]]:
    """
    Show on stderr, where a person can see it, how far a teacher was asked.

    Yields:
        A function `report(share_done, tokens_per_second)`; where stderr isn't a terminal it does
        nothing.
    """
    with _bar("Asking the teacher") as update:
        yield lambda share, speed: update(share, f"{speed:,.0f} tokens/s")


@contextmanager
def _bar(title: str) -> Iterator[Callable[[float, str], None]]:
    if not sys.stderr.isatty():
        yield lambda share, facts: None
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(title),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, facts: bar.update(task, completed=share, description=facts)
