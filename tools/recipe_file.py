"""A recipe's TOML file, read and checked before anything runs."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from squadlite.config import COMPUTES, Compute
from tools import (
    add_span_head,
    assemble_books,
    average,
    balance_null,
    book_data,
    export,
    factorise_embeddings,
    finetune,
    fit_answering,
    fit_search,
    prune_vocab,
    random_model,
    share_layers,
    sketch,
)
from tools.errors import RecipeError

COMMANDS: Mapping[str, click.Command] = {
    "add_span_head": add_span_head.main,
    "assemble_books": assemble_books.main,
    "average": average.main,
    "balance_null": balance_null.main,
    "book_data": book_data.main,
    "export": export.main,
    "factorise_embeddings": factorise_embeddings.main,
    "finetune": finetune.main,
    "fit_answering": fit_answering.main,
    "fit_search": fit_search.main,
    "prune_vocab": prune_vocab.main,
    "random_model": random_model.main,
    "share_layers": share_layers.main,
    "sketch": sketch.main,
}
# What these make is a file, what the others make a folder.
_FILE_EXTENSIONS = {
    "book_data": ".json",
    "export": ".sqz",
    "fit_answering": ".sqz",
    "fit_search": ".sqz",
}
# Of a table of what holds, in place of what stands beside it, where there is no GPU.
_ON_CPU = "cpu"
# The recipe's own names in a stage; all others are options of its command.
_STAGE_FIELDS = ("name", "run", "from", "processes", "only")
_RECIPE_FIELDS = {"output": str, "seed": int, "evaluation": dict, "stages": list}
_EVALUATION_FIELDS = {"data": str, "limit": int, "compute": str}


@dataclass(frozen=True)
class Stage:
    """
    One command with all its arguments.

    Args:
        name: unique in the recipe.
        run: name of the command.
        source: the checkpoint folder or .sqz file to begin with; None for a command that takes
            none.
        output: the folder or file to make.
        options: those that are no paths, by name.
        reads: the files and folders that options name, as many as each names.
        keeps: the folders that options name for the command to write to.
        processes: that train together; more than 1 for `finetune` alone.
    """

    name: str
    run: str
    source: Path | None
    output: Path
    options: Mapping[str, Any]
    reads: Mapping[str, tuple[Path, ...]]
    keeps: Mapping[str, Path]
    processes: int

    @property
    def command(self) -> click.Command:
        """The command to run."""
        return COMMANDS[self.run]

    def arguments(self) -> list[str]:
        """The words of the command's line."""
        words = [str(path) for path in (self.source, self.output) if path is not None]
        options = {**self.options, **self.reads, **self.keeps}
        if self.trains:
            options["resume"] = True
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(flag)
            elif value is not False:
                values = value if isinstance(value, list | tuple) else [value]
                words += [word for item in values for word in (flag, str(item))]
        return words

    @property
    def trains(self) -> bool:
        """Whether it reads data to change weights."""
        return self.run == "finetune"

    @property
    def inputs(self) -> dict[str, Path]:
        """The files and folders that the stage depends on."""
        inputs = {"from": self.source} if self.source is not None else {}
        for name, paths in self.reads.items():
            for number, path in enumerate(paths):
                inputs[f"{name}[{number}]" if number else name] = path
        return inputs


@dataclass(frozen=True)
class Recipe:
    """
    A recipe, checked.

    Args:
        path: the TOML file.
        output: the folder of all results.
        stages: in order.
        evaluation: a SQuAD file to score every stage on; None: none.
        evaluation_limit: take this many of its questions; None: all.
        evaluation_compute: the numbers that a CPU computes them in.
    """

    path: Path
    output: Path
    stages: tuple[Stage, ...]
    evaluation: Path | None
    evaluation_limit: int | None
    evaluation_compute: Compute

    def until(self, name: str) -> "Recipe":
        """
        The recipe that ends with a stage.

        Raises:
            RecipeError: there is no such stage.
        """
        names = [stage.name for stage in self.stages]
        if name not in names:
            expected = f"one of {', '.join(names)}"
            raise RecipeError(f"{self.path}: found no stage {name!r}, expected {expected}")
        return replace(self, stages=self.stages[: names.index(name) + 1])


def load_recipe(path: Path, *, output: Path | None = None, on_cpu: bool = False) -> Recipe:
    """
    Read a recipe.

    Args:
        path: the TOML file.
        output: in place of the recipe's own output folder.
        on_cpu: whether what the recipe says for CPUs holds.

    Raises:
        RecipeError: no TOML, a field missing or unknown, an unknown command or option, a stage
            that begins with one that isn't there before it, or a file that is missing.
        OSError: the file can't be read.
    """
    try:
        values = tomllib.loads(path.read_bytes().decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: found no TOML ({error})") from error
    _check_fields(values, _RECIPE_FIELDS, str(path))
    for needed in ("output", "stages"):
        if needed not in values:
            raise RecipeError(f"{path}: {needed} is missing")
    where = f"{path}: evaluation"
    evaluation = _read_evaluation(values, on_cpu, where)
    folder = output or path.parent / values["output"]
    reader = _StageReader(path, folder, values.get("seed"), on_cpu=on_cpu)
    return Recipe(
        path=path,
        output=folder,
        stages=tuple(
            reader.read(number, stage)
            for number, stage in enumerate(values["stages"])
            if not _is_left_out(stage, on_cpu, f"{path}: stages[{number}]")
        ),
        evaluation=reader.find_file(evaluation["data"], where) if evaluation else None,
        evaluation_limit=evaluation.get("limit"),
        evaluation_compute=evaluation.get("compute", "f32"),
    )


def _read_evaluation(values: dict[str, Any], on_cpu: bool, where: str) -> dict[str, Any]:
    evaluation: dict[str, Any] = _on_device(values.get("evaluation", {}), on_cpu, where)
    _check_fields(evaluation, _EVALUATION_FIELDS, where)
    compute, limit = evaluation.get("compute", "f32"), evaluation.get("limit", 1)
    if compute not in COMPUTES:
        expected = f"one of {', '.join(COMPUTES)}"
        raise RecipeError(f"{where}: compute: found {compute!r}, expected {expected}")
    if limit < 1:
        raise RecipeError(f"{where}: limit: found {limit}, expected 1 or more")
    if "evaluation" in values and "data" not in evaluation:
        raise RecipeError(f"{where}: data is missing, expected a SQuAD file")
    return evaluation


class _StageReader:
    # Reads stages one after the other, and knows those before.

    def __init__(self, path: Path, output: Path, seed: int | None, *, on_cpu: bool) -> None:
        self.path = path
        self.on_cpu = on_cpu
        self.output = output
        self.seed = seed
        self.before: dict[str, Path] = {}

    def read(self, number: int, values: Any) -> Stage:
        where = f"{self.path}: stages[{number}]"
        if not isinstance(values, dict):
            raise RecipeError(f"{where}: found {values!r}, expected a table")
        values = _on_device(values, self.on_cpu, where)
        for name in ("name", "run"):
            if not isinstance(values.get(name), str):
                raise RecipeError(f"{where}: {name}: found {values.get(name)!r}, expected a string")
        name, run = values["name"], values["run"]
        where = f"{self.path}: stage {name!r}"
        if name in self.before or not name.replace("-", "").replace("_", "").isalnum():
            raise RecipeError(f"{where}: expected a new name of letters, digits, - and _")
        if run not in COMMANDS:
            raise RecipeError(f"{where}: found run {run!r}, expected one of {', '.join(COMMANDS)}")
        output = self.output / f"{name}{_FILE_EXTENSIONS.get(run, '')}"
        source = self._source(values, COMMANDS[run], where)
        options, reads, keeps = self._options(values, COMMANDS[run], where)
        processes = self._processes(values, run, where)
        stage = Stage(name, run, source, output, options, reads, keeps, processes)
        self.before[name] = output
        return stage

    def _processes(self, values: dict[str, Any], run: str, where: str) -> int:
        processes = values.get("processes", 1)
        most = None if run == "finetune" else 1
        if type(processes) is not int or processes < 1 or (most and processes > most):
            expected = "1" if most else "a number of 1 or more"
            raise RecipeError(f"{where}: processes: found {processes!r}, expected {expected}")
        return processes

    def find_file(self, name: str, where: str) -> Path:
        path = self.path.parent / name
        if not path.exists():
            raise RecipeError(f"{where}: found no {path}")
        return path

    def _source(self, values: dict[str, Any], command: click.Command, where: str) -> Path | None:
        if all(parameter.name not in ("checkpoint", "model") for parameter in command.params):
            if "from" in values:
                raise RecipeError(f"{where}: found 'from', expected none: it begins with nothing")
            return None
        if "from" in values:
            return self._find(values["from"], f"{where}: from")
        if not self.before:
            raise RecipeError(f"{where}: 'from' is missing, and no stage stands before it")
        return next(reversed(self.before.values()))

    def _find(self, name: Any, where: str) -> Path:
        if not isinstance(name, str):
            raise RecipeError(f"{where}: found {name!r}, expected a path or a stage's name")
        return self.before[name] if name in self.before else self.find_file(name, where)

    def _options(
        self, values: dict[str, Any], command: click.Command, where: str
    ) -> tuple[dict[str, Any], dict[str, tuple[Path, ...]], dict[str, Path]]:
        known = {
            parameter.opts[0].removeprefix("--").replace("-", "_"): parameter.type
            for parameter in command.params
            if isinstance(parameter, click.Option) and parameter.name != "resume"
        }
        options: dict[str, Any] = {}
        reads, keeps = dict[str, tuple[Path, ...]](), dict[str, Path]()
        if self.seed is not None and "seed" in known:
            options["seed"] = self.seed
        for name, value in values.items():
            if name in _STAGE_FIELDS:
                continue
            if name not in known:
                expected = ", ".join(known)
                raise RecipeError(f"{where}: found option {name!r}, expected one of {expected}")
            kind, items = known[name], value if isinstance(value, list) else [value]
            if not isinstance(kind, click.Path):
                _check_words(items, f"{where}: {name}")
                options[name] = value
            elif kind.exists:
                reads[name] = tuple(self._find(path, f"{where}: {name}") for path in items)
            elif isinstance(value, str):
                keeps[name] = self.output / value
            else:
                raise RecipeError(f"{where}: {name}: found {value!r}, expected a path")
        return options, reads, keeps


def _check_words(items: list[Any], where: str) -> None:
    # TOML has dates and tables too.
    for item in items:
        if not isinstance(item, str | int | float):
            raise RecipeError(f"{where}: found {item!r}, expected text, numbers, true or false")


def _is_left_out(stage: Any, on_cpu: bool, where: str) -> bool:
    if not isinstance(stage, dict) or "only" not in stage:
        return False
    if stage["only"] not in ("cpu", "gpu"):
        raise RecipeError(f"{where}: only: found {stage['only']!r}, expected cpu or gpu")
    left_out: bool = (stage["only"] == "cpu") != on_cpu
    return left_out


def _on_device(values: Any, on_cpu: bool, where: str) -> Any:
    # A table, with what it says of CPUs in the place of the rest, or left out.
    if not isinstance(values, dict):
        return values
    changes = values.get(_ON_CPU, {})
    if not isinstance(changes, dict):
        raise RecipeError(f"{where}: {_ON_CPU}: found {changes!r}, expected a table")
    kept = {name: value for name, value in values.items() if name != _ON_CPU}
    return {**kept, **changes} if on_cpu else kept


def _check_fields(values: Any, fields: dict[str, type], where: str) -> None:
    if not isinstance(values, dict):
        raise RecipeError(f"{where}: found {values!r}, expected a table")
    for name, value in values.items():
        if name not in fields:
            raise RecipeError(f"{where}: found {name!r}, expected one of {', '.join(fields)}")
        if type(value) is not fields[name]:
            expected = fields[name].__name__
            raise RecipeError(f"{where}: {name}: found {value!r}, expected {expected}")
