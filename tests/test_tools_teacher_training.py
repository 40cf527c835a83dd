import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_teachers import write_teacher
from tiny_training import PIECES, run_stage, write_checkpoint, write_squad

from squadlite.answering.reader import ReaderSettings
from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import WordPieceSpec
from squadlite.answering.windows import Template, Window
from tools import teacher_training
from tools.alignment import NOWHERE, Aligner, TeacherWindow
from tools.data import Feature, make_features
from tools.finetune import main as finetune
from tools.teacher_training import gold_positions
from tools.transformers_teacher import load_transformers_teacher

pytest.importorskip("transformers", reason="comes with squadlite[train]")
pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own

WINDOWS = ReaderSettings(max_seq_length=48, max_question_length=16)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_squad(tmp_path / "train.json", 6)


def train(tmp_path: Path, data: Path, teacher: Path, *options: object) -> Path:
    student = tmp_path / "student"
    if not student.is_dir():
        write_checkpoint(student)
    output = tmp_path / "out"
    words = ("--windows-of", student, "--data", data, "--group-passages", "--device", "cpu")
    run_stage(finetune, teacher, output, *words, *options)
    return output


def window_of(feature: Feature, starts: list[int], ends: list[int]) -> TeacherWindow:
    ids = np.zeros(len(starts), dtype=np.int64)
    return TeacherWindow(feature, ids, ids, np.array(starts), np.array(ends))


def feature_at(start: int, end: int) -> Feature:
    template = Template.named("bert", cls_id=1, sep_id=2, pad_id=0)
    window = Window(0, np.zeros(1, np.int64), np.zeros(6, np.int64), 0, template)
    return Feature(0, window, start, end)


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ((4, 5), (4, 5)),
        ((0, 0), (0, 0)),
        # The student's 3 is cut in two by the teacher, and its 6 and 7 are one.
        ((3, 3), (2, 3)),
        ((7, 7), (6, 6)),
        ((6, 6), (6, 6)),
    ],
)
def test_gold_tokens_are_those_that_show_the_students(
    gold: tuple[int, int], expected: tuple[int, int]
) -> None:
    starts, ends = [0, 1, 3, 3, 4, 5, 6, NOWHERE], [0, 1, 3, 3, 4, 5, 7, NOWHERE]
    found = gold_positions([window_of(feature_at(*gold), starts, ends)], 8)
    assert tuple(found[:, 0].tolist()) == expected


def test_an_answer_that_the_teacher_cannot_read_is_none() -> None:
    places = [0, 1, 3, 4, 5, 6]
    found = gold_positions([window_of(feature_at(5, 6), places, places)], 5)
    assert found.tolist() == [[0], [0]]


@pytest.mark.parametrize("kind", ["mpnet", "roberta"])
def test_gold_positions_spell_the_answers(tmp_path: Path, data: Path, kind: str) -> None:
    examples = load_squad(data)
    folder = write_teacher(tmp_path / kind, kind, [example.context for example in examples])
    teacher = load_transformers_teacher(folder).tokenizer
    student = Tokenizer(WordPieceSpec(vocab=PIECES))
    features = make_features(examples, student, WINDOWS)
    windows = Aligner(examples, student, teacher)(features)
    gold = gold_positions(windows, 200)
    for feature, window, (first, last) in zip(features, windows, gold.T.tolist(), strict=True):
        example = examples[feature.window.pair]
        if not example.has_answer:
            assert (first, last) == (0, 0)
            continue
        answer = example.answers[0].text
        (encoded,) = teacher.encode_batch([example.context])
        begins = len(window) - len(teacher.template.after) - len(encoded.ids)
        start = encoded.offsets[first - begins, 0]
        end = encoded.offsets[last - begins, 1]
        assert example.context[start:end].strip() == answer


def test_a_teacher_learns_and_is_loaded_again(tmp_path: Path, data: Path) -> None:
    teacher = write_teacher(tmp_path / "teacher", "mpnet", [])
    options = ("--epochs", 40, "--batch-size", 4, "--learning-rate", 3e-3, "--dropout", 0)
    output = train(tmp_path, data, teacher, *options, "--log-steps", 1)
    stage = json.loads((output / "stages.json").read_text())[-1]
    assert stage["stage"] == "finetune_teacher"
    assert stage["num_groups"] == len({example.question for example in load_squad(data)})
    before, after = (load_transformers_teacher(folder) for folder in (teacher, output))
    assert before.tokenizer.template == after.tokenizer.template
    assert loss_of(data, output) < 0.7 * loss_of(data, teacher)


def loss_of(data: Path, folder: Path) -> float:
    """Of the gold starts, the mean over all windows."""
    examples = load_squad(data)
    loaded = load_transformers_teacher(folder)
    student = Tokenizer(WordPieceSpec(vocab=PIECES))
    windows = Aligner(examples, student, loaded.tokenizer)(
        make_features(examples, student, WINDOWS)
    )
    losses = []
    for window in windows:
        ids = torch.from_numpy(window.ids)[None]
        with torch.no_grad():
            starts, _ = loaded.model.eval()(ids, ids * 0, torch.ones_like(ids, dtype=torch.bool))
        gold = gold_positions([window], len(window))[0]
        losses.append(float(torch.nn.functional.cross_entropy(starts, gold)))
    return float(np.mean(losses))


def test_frozen_embeddings_stay(tmp_path: Path, data: Path) -> None:
    teacher = write_teacher(tmp_path / "teacher", "mpnet", [])
    output = train(tmp_path, data, teacher, "--epochs", 1, "--freeze-embeddings")
    before, after = (
        load_transformers_teacher(folder).model.state_dict() for folder in (teacher, output)
    )
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed
    assert not any("word" in name or "position" in name or "relative" in name for name in changed)


def test_a_teacher_is_trained_by_so_many_threads(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    load = teacher_training.load_training_data

    def counted(*arguments: Any) -> Any:
        counts.append(torch.get_num_threads())
        return load(*arguments)

    monkeypatch.setattr(teacher_training, "load_training_data", counted)
    before = torch.get_num_threads()
    teacher = write_teacher(tmp_path / "teacher", "mpnet", [])
    train(tmp_path, data, teacher, "--epochs", 0.1, "--threads", before + 1)
    assert counts == [before + 1]
    assert torch.get_num_threads() == before


def test_what_a_teacher_is_not_trained_with_is_a_usage_error(tmp_path: Path, data: Path) -> None:
    teacher = write_teacher(tmp_path / "teacher", "mpnet", [])
    student = write_checkpoint(tmp_path / "student")
    words = ("--windows-of", student, "--data", data, "--contrast-weight", 0.5)
    result = run_stage(finetune, teacher, tmp_path / "out", *words)
    assert result.exit_code == 2
    assert "without --teacher, --contrast-weight" in result.output
