"""What the stages' command lines share: arguments, and one place where errors end."""

import sys
from pathlib import Path
from typing import NoReturn

import click

from squadlite.errors import SquadliteError

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)
existing_folder = click.Path(exists=True, file_okay=False, path_type=Path)
new_folder = click.Path(file_okay=False, path_type=Path)

checkpoint_argument = click.argument("checkpoint", type=existing_folder)
output_argument = click.argument("output", type=new_folder)


def run(command: click.Command) -> NoReturn:
    """Run a command and exit: 0 done, 1 our errors, 2 usage errors, 130 Ctrl-C."""
    try:
        command.main(standalone_mode=False)
    except click.exceptions.Exit as exit_request:
        sys.exit(exit_request.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except (SquadliteError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_ERROR)
    sys.exit(0)
