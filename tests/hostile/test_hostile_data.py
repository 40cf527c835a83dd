"""Recipes, questions, SQuAD files with anything anywhere: read, or refused by our errors."""

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from changed_json import SMALL_JSON, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from squadlite.answering.squad import load_squad, mismatched_answers
from squadlite.cli.questions import load_questions
from squadlite.errors import DatasetError
from tools.errors import RecipeError
from tools.folders import digest_values
from tools.questions import load_question_file
from tools.recipe_file import load_recipe

SQUAD: dict[str, Any] = {
    "version": "2.0",
    "data": [
        {
            "title": "Salt",
            "paragraphs": [
                {
                    "context": "Rusk sang.",
                    "qas": [
                        {
                            "id": "one",
                            "question": "Who sang?",
                            "answers": [{"text": "Rusk", "answer_start": 0}],
                            "is_impossible": False,
                        },
                        {"id": "two", "question": "Why?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}
QUESTION = {
    "id": "one",
    "question": "Who sang?",
    "answers": ["Rusk", "old Rusk"],
    "chapter": "one.xhtml",
    "evidence": "Rusk sang",
}
RECIPE: dict[str, Any] = {
    "output": "out",
    "seed": 1,
    "evaluation": {"data": "data.json", "limit": 5, "compute": "f32", "cpu": {"limit": 3}},
    "stages": [
        {"name": "one", "run": "share_layers", "from": "in", "groups": 2, "cpu": {"groups": 3}},
        {
            "name": "two",
            "run": "finetune",
            "data": ["data.json"],
            "epochs": 0.5,
            "take": ["Salt=0.5"],
            "teacher": "one",
            "teacher_cache": "kept",
            "freeze_embeddings": True,
            "processes": 2,
            "only": "cpu",
        },
        {"name": "three", "run": "export", "from": "one"},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a recipe reads."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "in").mkdir()
    (folder / "data.json").write_text(json.dumps(SQUAD))
    return folder


@settings(max_examples=200)
@given(changed(SQUAD))
def test_a_squad_file(folder: Path, content: Any) -> None:
    path = folder / "squad.json"
    path.write_text(json.dumps(content))
    with suppress(DatasetError):
        list(mismatched_answers(load_squad(path)))


@settings(max_examples=200)
@given(changed(QUESTION))
def test_a_line_of_questions(folder: Path, content: Any) -> None:
    path = folder / "questions.jsonl"
    path.write_text(json.dumps(content))
    with suppress(DatasetError):
        load_question_file(path)
    with suppress(DatasetError):
        load_questions(None, path)


def toml(value: Any) -> str:
    """A value of JSON as TOML has it; its null, which TOML lacks, as a date, which JSON lacks."""
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{json.dumps(key)} = {toml(item)}' for key, item in value.items())}}}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf"
    return "2001-02-03" if value is None else json.dumps(value)


@settings(max_examples=200)
@given(
    content=changed(RECIPE, SMALL_JSON | st.sampled_from(["two", "data.json", "cpu"])),
    on_cpu=st.booleans(),
)
def test_a_recipe(folder: Path, content: Any, on_cpu: bool) -> None:
    path = folder / "recipe.toml"
    lines = content.items() if isinstance(content, dict) else [("output", content)]
    text = "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in lines)
    path.write_bytes(text.encode(errors="surrogatepass"))
    with suppress(RecipeError):
        for stage in load_recipe(path, on_cpu=on_cpu).stages:
            stage.arguments()
            digest_values(dict(stage.options))
