import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_training import run_stage, write_checkpoint, write_squad

from squadlite.cli import run as squadlite
from squadlite.container import copy_sqz, open_sqz
from squadlite.models import DEFAULT_MODEL
from tools.errors import RecipeError
from tools.recipe import main as recipe_command
from tools.recipe_file import COMMANDS, load_recipe

ROOT = Path(__file__).resolve().parent.parent
SMOKE = ROOT / "recipes" / "smoke.toml"
BOOK = ROOT / "tests" / "books" / "the-salt-road.epub"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke recipe's output after one run."""
    output = tmp_path_factory.mktemp("smoke")
    result = run_stage(recipe_command, SMOKE, "--output", output)
    assert result.exit_code == 0, result.output
    return output


def read_stages(output: Path) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = json.loads((output / "report.json").read_text())["stages"]
    return stages


def test_the_smoke_recipe_runs_every_command_that_makes_a_model() -> None:
    about_books = {"assemble_books", "book_data", "fit_answering", "fit_search"}
    assert {stage.run for stage in load_recipe(SMOKE).stages} == set(COMMANDS) - about_books


def test_the_report_says_what_every_stage_made(smoke: Path) -> None:
    stages = read_stages(smoke)
    assert [stage["name"] for stage in stages][-1] == "model"
    for stage in stages:
        assert stage["num_parameters"] > 0
        assert stage["n_bytes"] > 0
        assert {"exact", "f1"} <= stage["scores"].keys()
        assert len(stage["output"]) == len(stage["key"]) == 64
    table = (smoke / "report.md").read_text()
    assert all(f"| {stage['name']} | {stage['run']} |" in table for stage in stages)
    by_name = {stage["name"]: stage for stage in stages}
    assert by_name["shared"]["num_parameters"] < by_name["tuned"]["num_parameters"]
    assert by_name["model"]["n_bytes"] < by_name["sketched-tuned"]["n_bytes"] / 2
    assert by_name["tuned"]["scores"]["f1"] > by_name["start"]["scores"]["f1"]
    for name, began_with in (("tuned", "narrow"), ("shared-tuned", "shared")):
        assert by_name[name]["before"] == by_name[began_with]["scores"]
        assert by_name[name]["tokens"] > 0
    assert by_name["encoder"]["before"] is None
    assert all((stage["tokens"] is None) == (stage["run"] != "finetune") for stage in stages)


def test_the_file_answers_and_knows_its_stages(
    smoke: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = smoke / "model.sqz"
    assert squadlite(["eval", str(model), str(SMOKE.with_suffix(".json")), "--limit", "20"]) == 0
    assert squadlite(["ask", str(BOOK), "Who keeps the lighthouse?", "--model", str(model)]) == 0
    capsys.readouterr()
    with open_sqz(model) as file:
        runs = [stage["stage"] for stage in file.metadata["stages"]]
    assert runs == [stage["run"] for stage in read_stages(smoke)[:-1]]


def test_a_second_run_skips_everything(smoke: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in smoke.rglob("*") if path.is_file()}
    result = run_stage(recipe_command, SMOKE, "--output", smoke)
    assert result.output.count("unchanged, skipped") == len(load_recipe(SMOKE).stages)
    reports = {smoke / "report.json", smoke / "report.md"}
    after = {path: path.stat().st_mtime_ns for path in smoke.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} == reports


def small_recipe(folder: Path, *, groups: int = 2, **first: object) -> Path:
    """Two stages that take no time."""
    stages = [{"name": "one", "run": "share_layers", "from": "in", "groups": groups, **first}]
    stages.append({"name": "two", "run": "sketch"})
    lines = ['output = "out"', "seed = 3"]
    for stage in stages:
        lines.append("[[stages]]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in stage.items()]
    path = folder / "recipe.toml"
    path.write_text("\n".join(lines))
    return path


def skipped(path: Path) -> list[str]:
    result = run_stage(recipe_command, path)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    return [line.partition(":")[0] for line in lines if line.endswith("unchanged, skipped")]


def test_what_changes_is_run_again_and_so_is_what_follows(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", num_layers=4)
    assert skipped(small_recipe(tmp_path)) == []
    assert skipped(small_recipe(tmp_path)) == ["one", "two"]
    assert skipped(small_recipe(tmp_path, groups=1)) == []
    write_checkpoint(tmp_path / "in", num_layers=4, seed=1)
    assert skipped(small_recipe(tmp_path, groups=1)) == []
    # Made anew it is the same, so that what follows can stay.
    shutil.rmtree(tmp_path / "out" / "one")
    assert skipped(small_recipe(tmp_path, groups=1)) == ["two"]


def test_a_run_ends_with_the_stage_it_is_told_and_another_goes_on(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", num_layers=4)
    path = small_recipe(tmp_path)
    assert run_stage(recipe_command, path, "--until", "one").exit_code == 0
    assert [stage["name"] for stage in read_stages(tmp_path / "out")] == ["one"]
    assert not (tmp_path / "out" / "two").exists()
    assert skipped(path) == ["one"]
    with pytest.raises(RecipeError, match="found no stage 'three', expected one of one, two"):
        run_stage(recipe_command, path, "--until", "three")


def test_the_recipes_seed_is_that_of_stages_without_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", num_layers=4)
    one, two = load_recipe(small_recipe(tmp_path)).stages
    assert "seed" not in one.options
    assert two.options == {"seed": 3}


ON_TWO_DEVICES = """
output = "out"
evaluation = {data = "data.json", limit = 9, cpu = {limit = 3, compute = "int8"}}
[[stages]]
name = "one"
run = "finetune"
from = "in"
data = "data.json"
epochs = 2
batch_size = 32
cpu = {epochs = 0.5, dropout = 0.2}
[[stages]]
name = "two"
run = "share_layers"
groups = 2
only = "gpu"
[[stages]]
name = "two"
run = "share_layers"
groups = 1
only = "cpu"
"""


def test_one_recipe_says_what_differs_on_a_cpu(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    write_squad(tmp_path / "data.json", 2)
    (tmp_path / "recipe.toml").write_text(ON_TWO_DEVICES)
    gpu, cpu = (load_recipe(tmp_path / "recipe.toml", on_cpu=on_cpu) for on_cpu in (False, True))
    assert (gpu.evaluation_limit, gpu.evaluation_compute) == (9, "f32")
    assert (cpu.evaluation_limit, cpu.evaluation_compute) == (3, "int8")
    assert gpu.stages[0].options == {"epochs": 2, "batch_size": 32}
    assert cpu.stages[0].options == {"epochs": 0.5, "batch_size": 32, "dropout": 0.2}
    assert [(stage.name, stage.options) for stage in gpu.stages[1:]] == [("two", {"groups": 2})]
    assert [(stage.name, stage.options) for stage in cpu.stages[1:]] == [("two", {"groups": 1})]


def test_another_command_may_run_on_a_cpu(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", num_layers=4)
    path = small_recipe(tmp_path)
    text = path.read_text().replace('run = "sketch"', 'run = "sketch"\ncpu = {run = "average"}')
    path.write_text(text)
    runs = [load_recipe(path, on_cpu=on_cpu).stages[1].run for on_cpu in (False, True)]
    assert runs == ["sketch", "average"]


def test_a_training_in_a_recipe_resumes(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    write_squad(tmp_path / "data.json", 2)
    path = small_recipe(tmp_path)
    path.write_text(
        'output = "out"\n[[stages]]\nname = "a"\nrun = "finetune"\nfrom = "in"\n'
        'data = "data.json"\nfreeze_embeddings = true\nevaluate_limit = 3\nteacher_cache = "kept"\n'
    )
    (stage,) = load_recipe(path).stages
    words = stage.arguments()
    assert words[:2] == [str(tmp_path / "in"), str(tmp_path / "out" / "a")]
    assert words[2:] == [
        *("--freeze-embeddings", "--evaluate-limit", "3", "--data", str(tmp_path / "data.json")),
        *("--teacher-cache", str(tmp_path / "out" / "kept"), "--resume"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": "nothing"}, "found run 'nothing', expected one of"),
        ({"colour": 1}, "found option 'colour', expected one of groups, keep"),
        ({"from": "nowhere"}, "found no .*nowhere"),
        ({"from": 3}, "found 3, expected a path or a stage's name"),
        ({"name": "../up"}, "expected a new name"),
        ({"name": 3}, "name: found 3, expected a string"),
        ({"name": "two"}, "stage 'two': expected a new name"),
        ({"processes": 2}, "processes: found 2, expected 1"),
        ({"only": "tpu"}, "only: found 'tpu', expected cpu or gpu"),
        ({"cpu": 1}, "cpu: found 1, expected a table"),
        ({"groups": [[2]]}, r"groups: found \[2\], expected text, numbers"),
    ],
)
def test_a_recipe_that_cannot_run_is_refused_before_it_runs(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_checkpoint(tmp_path / "in", num_layers=4)
    with pytest.raises(RecipeError, match=message):
        run_stage(recipe_command, small_recipe(tmp_path, **changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output =", "found no TOML"),
        ('output = "x"', "stages is missing"),
        ('output = "x"\nstages = [1]', "found 1, expected a table"),
        ('output = "x"\nstages = 1', "stages: found 1, expected list"),
        ('output = "x"\nstages = []\ncolour = 1', "found 'colour', expected one of output"),
        ('output = "x"\n[[stages]]\nname = "a"\nrun = "sketch"', "'from' is missing"),
        (
            'output = "x"\n[[stages]]\nname = "a"\nrun = "random_model"\nfrom = "b"',
            "begins with nothing",
        ),
        ('output = "x"\nstages = []\nevaluation = {data = "none.json"}', "found no .*none.json"),
        ('output = "x"\nstages = []\nevaluation = {limit = 9}', "evaluation: data is missing"),
        ('output = "x"\nstages = []\n[evaluation]', "evaluation: data is missing"),
        (
            'output = "x"\nstages = []\nevaluation = {compute = "f8"}',
            "compute: found 'f8', expected one of auto",
        ),
        ('output = "x"\nstages = []\nevaluation = {limit = 0}', "limit: found 0, expected 1"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_training_of_several_processes_is_one_stage(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in")
    write_squad(tmp_path / "data.json", 4)
    recipe = tmp_path / "recipe.toml"
    stage = 'name = "a"\nrun = "finetune"\nfrom = "in"\ndata = "data.json"\nthreads = 1'
    recipe.write_text(f'output = "out"\n[[stages]]\n{stage}\nprocesses = 2\n')
    result = run_stage(recipe_command, recipe)
    assert result.exit_code == 0, result.output
    (made,) = json.loads((tmp_path / "out" / "a" / "stages.json").read_text())
    assert made["processes"] == 2
    recipe.write_text(f'output = "out"\n[[stages]]\n{stage}\nprocesses = 0\n')
    with pytest.raises(RecipeError, match="found 0, expected a number of 1 or more"):
        load_recipe(recipe)


def test_an_option_out_of_range_names_its_stage(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", num_layers=4)
    with pytest.raises(RecipeError, match=r"stage 'one': .*keep"):
        run_stage(recipe_command, small_recipe(tmp_path, keep="none"))


@pytest.mark.parametrize("on_cpu", [False, True], ids=["gpu", "cpu"])
@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda p: p.name)
def test_the_recipes_at_hand_are_well_formed(path: Path, on_cpu: bool, tmp_path: Path) -> None:
    # Real data and checkpoints are not in a plain clone: what is asked for is put there.
    copy = tmp_path / "a" / "b" / path.name
    copy.parent.mkdir(parents=True)
    shutil.copyfile(path, copy)
    for _ in range(20):
        try:
            recipe = load_recipe(copy, on_cpu=on_cpu)
        except RecipeError as error:
            missing = Path(str(error).partition("found no ")[2])
            missing.parent.mkdir(parents=True, exist_ok=True)
            missing.touch() if missing.suffix else missing.mkdir()
        else:
            break
    assert recipe.stages[-1].run in {"export", "fit_answering"}
    for stage in recipe.stages:
        # click reads the options; the checkpoints that earlier stages make are not there yet.
        for made in stage.inputs.values():
            if not made.exists():
                made.parent.mkdir(parents=True, exist_ok=True)
                made.touch() if made.suffix else made.mkdir()
        stage.command.make_context(stage.run, stage.arguments())


FITTING = """
output = "out"

[[stages]]
name = "books"
run = "assemble_books"
data = ["one.json", "two.json"]

[[stages]]
name = "retrieved"
run = "book_data"
books = "books"
questions = "books"
searcher = "model.sqz"

[[stages]]
name = "searching"
run = "fit_search"
from = "model.sqz"
books = "books"
questions = "books"

[[stages]]
name = "model"
run = "fit_answering"
books = "books"
questions = "books"
"""


def test_a_recipe_fits_a_file_to_books_that_it_puts_together(tmp_path: Path) -> None:
    for name, first in (("one", 0), ("two", 6)):
        write_book_data(tmp_path / f"{name}.json", name, first)
    with open_sqz(DEFAULT_MODEL) as file:
        embedding = {"pooling": "mean", "weight": 7.0}
        copy_sqz(file, tmp_path / "model.sqz", metadata={"embedding": embedding})
    (tmp_path / "fit.toml").write_text(FITTING, encoding="utf-8")
    result = run_stage(recipe_command, tmp_path / "fit.toml")
    assert result.exit_code == 0, result.output
    made = tmp_path / "out" / "model.sqz"
    with open_sqz(made) as file:
        assert file.metadata.keys() == {"embedding", "answering"}
        assert file.metadata["embedding"]["weight"] < 7
    assert [stage["num_parameters"] > 0 for stage in read_stages(made.parent)] == [
        False,
        False,
        True,
        True,
    ]
    retrieved = json.loads((made.parent / "retrieved.json").read_bytes())
    assert [article["title"] for article in retrieved["data"]] == ["book/one", "book/two"]
    before = made.read_bytes()
    again = run_stage(recipe_command, tmp_path / "fit.toml")
    assert again.output.count("unchanged, skipped") == 4
    shutil.rmtree(made.parent)
    run_stage(recipe_command, tmp_path / "fit.toml")
    assert made.read_bytes() == before


def write_book_data(path: Path, title: str, first: int) -> None:
    """Six lighthouses with a keeper each; each keeper is asked for, and one that isn't there."""
    keepers = ("Adelbert", "Beatrice", "Cornelius", "Dorothea", "Eugenia", "Ferdinand") * 2
    paragraphs = []
    for number in range(first, first + 6):
        place = f"the lighthouse on the cape of number {number}"
        text = f"In those years {place} was kept by {keepers[number]}. The sea was grey there."
        answer = {"text": keepers[number], "answer_start": text.index(keepers[number])}
        yes = {"id": f"{number}-yes", "question": f"Who kept {place}?", "answers": [answer]}
        no = {"id": f"{number}-no", "question": f"Who painted {place}?", "answers": []}
        paragraphs.append({"context": text, "qas": [yes, no]})
    content = {"version": "v2.0", "data": [{"title": title, "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content), encoding="utf-8")
