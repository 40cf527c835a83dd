"""The `squadlite` command: one module per group of commands, one place where errors end."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from squadlite import __version__
from squadlite.cli.output import EXPECTED_ERRORS, one_line, shows_colours

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

# Command -> its module and what it is called there, in the order of --help.
_COMMANDS = {
    "ask": ("ask", "ask"),
    "people": ("people", "people"),
    "library": ("library", "library"),
    "serve": ("serve", "serve"),
    "text": ("text", "text"),
    "convert": ("model_files", "convert"),
    "export": ("export", "export"),
    "inspect": ("model_files", "inspect"),
    "verify": ("model_files", "verify"),
    "diff": ("diff", "diff"),
    "eval": ("evaluate", "evaluate"),
    "bench": ("bench", "bench"),
}


class _Commands(click.Group):
    # Imports a command when it is asked for: most take none of the others.

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), name)
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, package_name="squadlite")
@click.pass_context
def squadlite(context: click.Context) -> None:
    """
    Answer questions from your e-books, offline.

    \b
    Example:
      squadlite ask book.epub "Who keeps the lighthouse?"
    """
    if not shows_colours():
        # click itself knows neither NO_COLOR nor TERM=dumb.
        context.color = False


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
        _prepare_streams()
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


def _prepare_streams() -> None:
    """Have whatever is printed go out in UTF-8, and nowhere where a stream is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started the command
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)
        else:
            # Words of the command line that aren't text have halves of surrogate pairs, which have
            # no UTF-8 form: they are printed as JSON writes them.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
