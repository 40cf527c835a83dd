"""The `squadlite` command: one module per group of commands, one place where errors end."""

import os
import sys
from collections.abc import Sequence

import click

from squadlite import __version__
from squadlite.cli.ask import ask
from squadlite.cli.bench import bench
from squadlite.cli.diff import diff
from squadlite.cli.evaluate import evaluate
from squadlite.cli.export import export
from squadlite.cli.library import library
from squadlite.cli.model_files import convert, inspect, verify
from squadlite.cli.output import EXPECTED_ERRORS, one_line
from squadlite.cli.people import people
from squadlite.cli.serve import serve
from squadlite.cli.text import text

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="squadlite")
def squadlite() -> None:
    """
    Answer questions from your e-books, offline.

    \b
    Example:
      squadlite ask book.epub "Who keeps the lighthouse?"
    """


for command in (
    ask,
    people,
    library,
    serve,
    text,
    convert,
    export,
    inspect,
    verify,
    diff,
    evaluate,
    bench,
):
    squadlite.add_command(command)


def main() -> None:
    """
    Run the command line and exit: 0 done, 1 our errors, 2 usage errors, 130 Ctrl-C.

    `squadlite diff` exits as diff does: 1 where there are differences, 2 for any error.
    """
    code = run()
    sys.stderr.flush()
    # Taking torch apart at a normal exit costs 0.4 s, a tenth of a question. Nothing of ours waits
    # for it: what was written is whole and synced, what was printed is flushed.
    os._exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        arguments: the command's words; None: those that the process was started with.

    Returns:
        The exit code. Nothing but a bug raises.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        # `Context.exit` makes it return a code, and a command that ends by itself None.
        code = squadlite.main(arguments, prog_name="squadlite", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`); what is left to flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except EXPECTED_ERRORS as error:
        click.echo(f"Error: {one_line(error)}", err=True)
        return EXIT_ERROR
    return code or 0
