"""What the stages' command lines share: arguments, and one place where errors end."""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from squadlite.cli import output

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

# The first two are those of the runtime's commands.
existing_file = output.existing_file
existing_path = output.existing_path
existing_folder = click.Path(exists=True, file_okay=False, path_type=Path)
new_folder = click.Path(file_okay=False, path_type=Path)


class _StageFolder(click.Path):
    # A folder to be made, or to be replaced whole: only where a stage made it is nothing lost.
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tools.folders import STAGES_FILE  # noqa: PLC0415 - torch comes with it

        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.is_dir() and any(path.iterdir()) and not (path / STAGES_FILE).is_file():
            self.fail(
                f"{path}: found a folder without {STAGES_FILE}, expected a new one, or one that a "
                "stage made, to be replaced",
                param,
                ctx,
            )
        return path


checkpoint_argument = click.argument("checkpoint", type=existing_folder)
output_argument = click.argument("output", type=_StageFolder(file_okay=False))
file_argument = click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
seed_option = click.option(
    "--seed",
    # As much as JSON holds exactly: seeds are written into what they made.
    type=click.IntRange(0, 2**53 - 1),
    default=0,
    show_default=True,
    help="Of what is drawn at random.",
)
books_option = click.option("--books", type=existing_folder, required=True, help="Holds the books.")
questions_option = click.option(
    "--questions", type=existing_folder, required=True, help="Holds NAME.jsonl for each book NAME."
)


class TitleShare(click.ParamType[tuple[str, float]]):
    """PATTERN=SHARE: titles of articles, and how many of their questions, 0 to 1."""

    name = "pattern=share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Read one."""
        pattern, _, share = value.rpartition("=")
        try:
            number = float(share)
        except ValueError:
            number = -1.0
        if not pattern or not 0 <= number <= 1:
            self.fail(f"found {value!r}, expected PATTERN=SHARE with a share of 0 to 1", param, ctx)
        return pattern, number


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
    except output.EXPECTED_ERRORS as error:
        click.echo(f"Error: {output.one_line(error)}", err=True)
        sys.exit(EXIT_ERROR)
    sys.exit(0)
