import json
from pathlib import Path

import pytest
from tiny_training import run_stage

from squadlite.container import copy_sqz, open_sqz
from squadlite.errors import DatasetError
from squadlite.models import DEFAULT_MODEL
from tools.fit_search import DEPTHS, best_weight, main, recall

BOOKS = Path(__file__).with_name("books")


def test_recall_is_the_share_found_within_a_depth() -> None:
    ranks = [1, 5, 6, None]
    assert [recall(ranks, depth) for depth in (1, 5, 6)] == [0.25, 0.5, 0.75]


def test_the_weight_counts_that_finds_most_and_of_equals_the_smallest() -> None:
    first, deep = 1, max(DEPTHS)
    assert best_weight({0.0: [deep, None], 2.0: [first, None], 1.0: [first, None]}) == 1.0
    assert best_weight({0.0: [deep, deep], 1.0: [first, None]}) == 1.0
    assert best_weight({0.0: [None], 3.0: [None]}) == 0.0


def test_a_file_gets_its_weight_and_keeps_all_else(tmp_path: Path) -> None:
    output = tmp_path / "fitted.sqz"
    result = run_stage(main, DEFAULT_MODEL, output, "--books", BOOKS, "--questions", BOOKS)
    assert result.exit_code == 0, result.output
    said = json.loads(result.output.splitlines()[-1])
    with open_sqz(DEFAULT_MODEL) as before, open_sqz(output) as after:
        assert after.metadata["embedding"] == {"pooling": "mean", "weight": said["weight"]}
        assert after.metadata["answering"] == before.metadata["answering"]
        assert after.tensors == before.tensors


def test_a_file_without_vectors_is_refused(tmp_path: Path) -> None:
    with open_sqz(DEFAULT_MODEL) as file:
        copy_sqz(file, tmp_path / "plain.sqz", metadata={})
    with pytest.raises(DatasetError, match="found no 'embedding'"):
        run_stage(main, tmp_path / "plain.sqz", tmp_path / "out.sqz", "--books", BOOKS,
                  "--questions", BOOKS)  # fmt: skip


def test_questions_without_an_answer_cannot_be_fitted_to(tmp_path: Path) -> None:
    book = BOOKS / "the-salt-road.epub"
    (tmp_path / book.name).write_bytes(book.read_bytes())
    line = {"id": "a", "question": "Who?", "answers": []}
    (tmp_path / "the-salt-road.jsonl").write_text(json.dumps(line))
    with pytest.raises(DatasetError, match="found no question with an answer"):
        run_stage(main, DEFAULT_MODEL, tmp_path / "out.sqz", "--books", tmp_path,
                  "--questions", tmp_path)  # fmt: skip
