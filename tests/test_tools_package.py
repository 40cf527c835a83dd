import re
from pathlib import Path

import click
import pytest

import tools
from tools import recipe, tables
from tools.recipe_file import COMMANDS

FOLDER = Path(tools.__file__).parent


def test_the_package_names_every_module_and_no_other() -> None:
    assert tools.__doc__ is not None
    named = set(re.findall(r"^    (\w+)  +\S", tools.__doc__, flags=re.MULTILINE))
    named |= set(re.findall(r"\((\w+)\)$", tools.__doc__, flags=re.MULTILINE))
    assert named == {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}


@pytest.mark.parametrize(
    ("name", "command"), [*COMMANDS.items(), ("recipe", recipe.main), ("tables", tables.main)]
)
def test_every_command_tells_how_it_is_run(name: str, command: click.Command) -> None:
    assert command.help is not None
    assert f"python -m tools.{name} " in command.help
    assert "\b\n    Example" in command.help or "\b\nExample" in command.help
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert 'if __name__ == "__main__":\n    run(main)' in source
