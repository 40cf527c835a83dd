"""`squadlite diff` as its users meet it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from model_files import WORDS, model_config, random_arrays, write_model_file

from squadlite.cli import run
from squadlite.container import Linear

CONTEXT = "The traveller built a machine of white ivory."


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    return random_arrays(model_config())


@pytest.fixture
def plain(tmp_path: Path, values: dict[str, np.ndarray]) -> Path:
    return write_model_file(tmp_path / "plain.sqz", arrays=values, metadata={"name": "plain"})


@pytest.fixture
def small(tmp_path: Path, values: dict[str, np.ndarray]) -> Path:
    return write_model_file(tmp_path / "small.sqz", arrays=values, codec=Linear(6))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.json"
    questions = [
        {"id": str(i), "question": f"What is {i}?", "answers": [{"text": "The", "answer_start": 0}]}
        for i in range(3)
    ]
    paragraphs = [{"context": CONTEXT, "qas": questions}]
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    return path


def test_equal_models_exit_0(
    plain: Path, values: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(plain), str(plain)]) == 0
    output = capsys.readouterr().out
    assert output.endswith("The models are equal.\n")
    for part in ("model", "tokenizer", "vocabulary", "metadata", "tensors"):
        assert re.search(rf"^{part}: equal", output, re.MULTILINE)
    other = write_model_file(
        plain.with_name("other.sqz"), arrays=values, metadata={"name": "other"}
    )
    assert run(["diff", str(plain), str(other)]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^name +plain +other$", output, re.MULTILINE)
    assert output.endswith("The models are equal in all that matters to their use.\n")


def test_models_that_differ_exit_1_and_every_tensor_is_told(
    plain: Path, small: Path, values: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(plain), str(small)]) == 1
    output = capsys.readouterr().out
    assert all(re.search(rf"^{re.escape(name)} ", output, re.MULTILINE) for name in values)
    (words,) = re.findall(rf"^{WORDS} .*$", output, re.MULTILINE)
    n_values = values[WORDS].size
    shape, *cells = words.split()[1:]
    assert shape == "x".join(map(str, values[WORDS].shape))
    assert cells[:4] == ["raw", "→", "linear", "32.00"]
    assert cells[5:7] == [f"{4 * n_values:,}", f"{6 * n_values // 8 + 8:,}"]
    assert cells[7].endswith("%")
    assert re.search(r"^total +[\d,]+ +[\d,]+ +[\d.]+%$", output, re.MULTILINE)
    assert output.endswith("The models differ: tensors.\n")


def test_json_says_all_of_it(
    plain: Path, small: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(plain), str(small), "--data", str(data), "--json"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["a"] == {"file": str(plain), "n_bytes": plain.stat().st_size}
    assert found["differing"] == ["tensors"]
    assert found["metadata"] == {"name": {"a": "plain"}}
    words = found["tensors"][0]
    assert words["name"] == WORDS
    assert words["a"]["codec"] == {"name": "raw", "dtype": "f32"}
    assert words["b"]["codec"]["bits"] == 6
    assert 0 < words["relative_error"] < 0.1
    assert sum(part["b"] for part in found["parts"]) == small.stat().st_size
    predictions = found["predictions"]
    assert predictions["questions"] == 3
    assert 0 <= predictions["same_answers"] <= predictions["same_decisions"] <= 1
    assert predictions["divergence"] > 0
    assert predictions["a"].keys() == predictions["b"].keys() == {"exact", "f1"}


def test_predictions_are_told_to_people(
    plain: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(plain), str(plain), "--data", str(data), "--limit", "2"]) == 0
    output = capsys.readouterr().out
    assert "predictions: 2 questions" in output
    assert "equal answers: 100.0%" in output
    assert "0.0000 nats" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["{plain}", "{data}"],
        ["{data}", "{plain}"],
        ["{plain}", "{plain}", "--data", "{plain}"],
    ],
)
def test_errors_are_one_line_and_exit_2_as_differences_exit_1(
    arguments: list[str], plain: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"plain": plain, "data": data}
    assert run(["diff", *(argument.format(**places) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert captured.err.count("\n") == 1


def test_wrong_usage_exits_2(plain: Path) -> None:
    assert run(["diff", str(plain)]) == 2
    assert run(["diff", str(plain), str(plain.with_name("missing.sqz"))]) == 2
    assert run(["diff", str(plain), str(plain), "--limit", "3"]) == 2
