"""A training's progress bar."""

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
    if not sys.stderr.isatty():
        yield lambda share, loss, rate, speed: None
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
        TextColumn("Training"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0)

        def report(share: float, loss: float, rate: float, speed: float) -> None:
            facts = f"loss {loss:.3f}  rate {rate:.1e}  {speed:,.0f} tokens/s"
            bar.update(task, completed=share, description=facts)

        yield report
