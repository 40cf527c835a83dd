"""
A recipe: stages in one TOML file, run in order, those skipped whose inputs are unchanged.

    python -m tools.recipe recipes/smoke.toml

    output = "../build/smoke"       # folder of all results; paths count from the recipe's folder
    seed = 1                        # of every stage that takes one

    [evaluation]                    # after each stage; left out: none
    data = "smoke.json"
    limit = 100
    compute = "int8"                # of a CPU; left out: f32
    cpu = { limit = 50 }            # in place of the above where there is no GPU

    [[stages]]
    name = "tuned"                  # the stage's folder in `output`
    run = "finetune"                # a command of tools; all that is not named here is its options
    from = "../checkpoints/base"    # a folder or an earlier stage; left out: the stage before
    data = "smoke.json"
    epochs = 2
    processes = 2                   # of a training, each on its own core or GPU; left out: one
    cpu = { max_seconds = 600 }     # as above
    only = "gpu"                    # left out where there is none; "cpu": where there is one

Stages that run "export", "fit_search" or "fit_answering" write a .sqz file, those that run
"book_data" a .json file. A training that was stopped goes on where it was. With --until a run ends
with that stage, and another goes on from there, also on another machine that is given the folder:
what a GPU isn't needed for can be done before it is lent, and afterwards. The report, report.json
and report.md in `output`, says of each stage what it made: parameters, bytes, scores before and
after it, tokens that a training read, time, seed and digests.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch

from squadlite import __version__
from squadlite.answering.squad import load_squad
from squadlite.atomic import atomic_write
from squadlite.digests import digest_of
from tools.command import existing_file, new_folder, run
from tools.errors import RecipeError
from tools.evaluation import score_path
from tools.folders import digest_folder, digest_values, is_model, is_ours, load_stages
from tools.recipe_file import Recipe, Stage, load_recipe


@dataclass(frozen=True)
class StageResult:
    """
    One row of a recipe's report.

    Args:
        name, run: of the stage.
        key: digest of all that the stage depends on; the same key, the same result.
        output: digest of what it made.
        num_parameters: values that the model stores, the signs of sketches included; 0 for a stage
            that makes no model.
        n_bytes: of the weights' file, of the .sqz file, or of all files in the folder.
        before: the scores of the stage that this one began with; None where it began with none
            that was scored.
        scores: the official ones, on the recipe's evaluation data; None where it has none.
        tokens: that a training read, padding left out; None for what trains nothing.
        seconds: that the stage took, without the evaluation.
        seed: of the stage; None where it takes none.
    """

    name: str
    run: str
    key: str
    output: str
    num_parameters: int
    n_bytes: int
    before: dict[str, float] | None
    scores: dict[str, float] | None
    tokens: int | None
    seconds: float
    seed: int | None


def run_recipe(recipe: Recipe) -> list[StageResult]:
    """
    Run a recipe's stages and write its report.

    Args:
        recipe: from `load_recipe`.

    Returns:
        One result a stage, also of those skipped.

    Raises:
        RecipeError: a stage that fails for a reason of the recipe's.
        SquadliteError: what a stage raises.
    """
    recipe.output.mkdir(parents=True, exist_ok=True)
    results: list[StageResult] = []
    for stage in recipe.stages:
        result = _unchanged(recipe, stage)
        if result is None:
            click.echo(f"{stage.name}: {stage.run}")
            result = _run_stage(recipe, stage, results)
        else:
            click.echo(f"{stage.name}: unchanged, skipped")
        results.append(result)
        _write_report(recipe, results)
    return results


def _unchanged(recipe: Recipe, stage: Stage) -> StageResult | None:
    try:
        values = json.loads(_record_path(stage).read_bytes())
        result = StageResult(**values)
    except (OSError, ValueError, TypeError):
        return None  # no record, or one of another version
    if not stage.output.exists() or result.key != _key(recipe, stage):
        return None
    return result if result.output == _digest(stage.output) else None


def _run_stage(recipe: Recipe, stage: Stage, earlier: Sequence[StageResult]) -> StageResult:
    key, began = _key(recipe, stage), time.monotonic()
    if stage.processes > 1:
        _run_processes(recipe, stage)
    else:
        _run_here(recipe, stage)
    seconds = time.monotonic() - began
    num_parameters, n_bytes, scores = _measure(recipe, stage)
    result = StageResult(
        name=stage.name,
        run=stage.run,
        key=key,
        output=_digest(stage.output),
        num_parameters=num_parameters,
        n_bytes=n_bytes,
        before=_scores_before(recipe, stage, earlier),
        scores=scores,
        tokens=load_stages(stage.output)[-1].get("tokens") if stage.trains else None,
        seconds=round(seconds, 1),
        seed=stage.options.get("seed"),
    )
    with atomic_write(_record_path(stage)) as file:
        file.write(json.dumps(asdict(result), indent=2).encode() + b"\n")
    return result


def _run_here(recipe: Recipe, stage: Stage) -> None:
    try:
        stage.command.main(stage.arguments(), prog_name=stage.run, standalone_mode=False)
    except click.ClickException as error:
        message = error.format_message()
        raise RecipeError(f"{recipe.path}: stage {stage.name!r}: {message}") from error


def _run_processes(recipe: Recipe, stage: Stage) -> None:
    together = ("-m", "torch.distributed.run", "--nproc-per-node", str(stage.processes))
    words = (*together, "-m", f"tools.{stage.run}", *stage.arguments())
    status = subprocess.run((sys.executable, *words), check=False).returncode
    if status:
        raise RecipeError(
            f"{recipe.path}: stage {stage.name!r}: its processes ended with status {status}"
        )


def _measure(recipe: Recipe, stage: Stage) -> tuple[int, int, dict[str, float] | None]:
    path = stage.output
    if path.suffix == ".json":
        return 0, path.stat().st_size, None
    if not is_model(path) or not is_ours(path):
        return 0, sum(file.stat().st_size for file in path.iterdir()), None
    weights = path / "model.safetensors" if path.is_dir() else path
    examples = load_squad(recipe.evaluation) if recipe.evaluation is not None else None
    num_parameters, scores = score_path(
        path, examples, limit=recipe.evaluation_limit, compute=recipe.evaluation_compute
    )
    return num_parameters, weights.stat().st_size, scores


def _scores_before(
    recipe: Recipe, stage: Stage, earlier: Sequence[StageResult]
) -> dict[str, float] | None:
    names = {other.output: other.name for other in recipe.stages}
    scores = {result.name: result.scores for result in earlier}
    return scores[names[stage.source]] if stage.source in names else None


def _key(recipe: Recipe, stage: Stage) -> str:
    inputs = {name: _digest(path) for name, path in stage.inputs.items()}
    evaluation = recipe.evaluation and digest_of(recipe.evaluation)
    return digest_values(
        {
            "run": stage.run,
            "inputs": inputs,
            "options": dict(stage.options),
            "processes": stage.processes,
            "evaluation": [evaluation, recipe.evaluation_limit, recipe.evaluation_compute],
            "squadlite": __version__,
        }
    )


def _digest(path: Path) -> str:
    if not path.is_dir():
        return digest_of(path)
    if is_model(path):
        return digest_folder(path)
    return digest_values({file.name: digest_of(file) for file in path.iterdir()})


def _record_path(stage: Stage) -> Path:
    return stage.output.with_name(f"{stage.name}.result.json")


def _write_report(recipe: Recipe, results: list[StageResult]) -> None:
    content = {"recipe": recipe.path.name, "stages": [asdict(result) for result in results]}
    with atomic_write(recipe.output / "report.json") as file:
        file.write(json.dumps(content, indent=2).encode() + b"\n")
    with atomic_write(recipe.output / "report.md") as file:
        file.write(_markdown(recipe, results).encode())


def _markdown(recipe: Recipe, results: list[StageResult]) -> str:
    lines = [
        f"# {recipe.path.stem}",
        "",
        "| Stage | Command | Parameters | Bytes | F1 before | EM before | F1 | EM | Tokens "
        "| Seconds | Seed | Digest |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for result in results:
        scores = (
            f"{scores[name]:.2f}" if scores is not None else ""
            for scores in (result.before, result.scores)
            for name in ("f1", "exact")
        )
        tokens = "" if result.tokens is None else f"{result.tokens:,}"
        seed = "" if result.seed is None else str(result.seed)
        cells = (
            *(result.name, result.run, f"{result.num_parameters:,}", f"{result.n_bytes:,}"),
            *(*scores, tokens, f"{result.seconds:.1f}", seed, f"`{result.output[:12]}`"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("recipe", type=existing_file)
@click.option("--output", type=new_folder, help="In place of the recipe's own output folder.")
@click.option("--until", metavar="STAGE", help="End with this stage.")
def main(recipe: Path, output: Path | None, until: str | None) -> None:
    """
    Run the stages of the TOML file RECIPE.

    \b
    Example:
      python -m tools.recipe recipes/smoke.toml
    """
    loaded = load_recipe(recipe, output=output, on_cpu=not torch.cuda.is_available())
    if until is not None:
        loaded = loaded.until(until)
    run_recipe(loaded)
    click.echo((loaded.output / "report.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    run(main)
