"""Where the commands on a library do their work: in this process, or on a Ray cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from squadlite.cli.output import Command, progress_bar

if TYPE_CHECKING:
    from squadlite.engines import Engine

_OPTIONS = (
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where to do the work: in this process, or on a Ray cluster "
        "(pip install 'squadlite[ray]').",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="The Ray cluster to use.  [default: one on this machine, as long as it takes]",
    ),
)


def engine_options(command: Command) -> Command:
    """The options that say where the work is done."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_engine(engine: str, address: str | None, threads: int | None) -> int | None:
    """
    Check that the options go together.

    Returns:
        The threads that the engine computes with; None: as many as are best.

    Raises:
        UsageError: they don't.
    """
    if engine == "local" and address is not None:
        raise click.UsageError("--address needs --engine ray.")
    # A task of Ray's has one CPU unless it is given more.
    return 1 if engine == "ray" and threads is None else threads


@contextmanager
def open_engine(engine: str, address: str | None, threads: int | None) -> "Iterator[Engine]":
    """The engine of `engine_options`, each of whose tasks uses as many CPUs as threads."""
    from squadlite.engines import LOCAL, RayEngine

    if engine == "local":
        yield LOCAL
        return
    with progress_bar("Starting Ray"):
        ray = RayEngine(address, cpus=threads or 1)
    with ray:
        yield ray
