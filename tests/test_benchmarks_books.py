"""The benchmark over books: what each question came to, counted as its columns say."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.books import main
from benchmarks.outcomes import Outcome, summarize, summarize_curve
from squadlite.asking import Reply
from tools.questions import Question

BOOKS = Path(__file__).with_name("books")
ANSWERABLE = Question(
    "salt-001",
    "What did Rusk ask for instead of the marks?",
    ["a hatful of salt"],
    "EPUB/text/chapter-4.xhtml",
    "He asked instead for a hatful of salt, since he had eaten",
)
UNANSWERABLE = Question("salt-plain-01", "Which airport did Rusk fly from?", [], "", "")


@dataclass
class FakeAnswer:
    text: str


@dataclass
class FakeReply:
    """What the measures look at."""

    answer: str | None
    score: float
    answers: list[FakeAnswer]
    passages_read: int = 6


def outcome(
    question: Question,
    answers: Sequence[str],
    *,
    score: float = 0.8,
    given: bool = True,
    rank: int | None = 1,
    oracle_f1: float = 1.0,
) -> Outcome:
    reply = FakeReply(
        answers[0] if given and answers else None, score, [FakeAnswer(text) for text in answers]
    )
    return Outcome(question, cast(Reply, reply), 0.5, rank, oracle_f1)


def test_a_right_answer_that_is_given_counts_everywhere() -> None:
    row = summarize("book", [outcome(ANSWERABLE, ["hatful of salt"], rank=20)], 1.0)
    assert row["recall@5"] == 0
    assert row["recall@20"] == 100
    for heading in ("EM", "F1", "hit@5", "oracle F1", "F1 all", "says so"):
        assert row[heading] == 100, heading
    assert row["ECE"] == pytest.approx(0.2)
    assert (row["AUC"], row["no-answer"]) == (None, None)
    assert (row["questions"], row["read"], row["median s"], row["index s"]) == (1, 6, 0.5, 1.0)


def test_a_right_answer_that_is_withheld_is_wrong_over_all_questions_alone() -> None:
    row = summarize("book", [outcome(ANSWERABLE, ["hatful of salt"], given=False)], None)
    assert (row["EM"], row["F1"]) == (100, 100)
    assert (row["F1 all"], row["says so"]) == (0, 0)


def test_an_answer_to_an_unanswerable_question_is_wrong_and_none_is_right() -> None:
    answered = outcome(UNANSWERABLE, ["the moor"], score=0.9)
    silent = outcome(UNANSWERABLE, ["the moor"], score=0.2, given=False)
    row = summarize("book", [answered, silent], None)
    assert (row["F1 all"], row["no-answer"]) == (50, 50)
    assert row["ECE"] == pytest.approx(0.55)
    for heading in ("recall@5", "EM", "F1", "hit@5", "oracle F1", "AUC", "says so", "index s"):
        assert row[heading] is None, heading


def test_half_of_the_words_make_an_answer_right_and_one_of_five_makes_a_hit() -> None:
    half, fewer = "salt and then some", "salt and then some of it, at last"
    row = summarize(
        "book",
        [
            outcome(ANSWERABLE, [half], score=0.9),
            outcome(ANSWERABLE, [fewer], score=0.1),
            outcome(ANSWERABLE, [*"bcdef", "a hatful of salt"], score=0.1),
            outcome(ANSWERABLE, [*"bcde", "all of a hatful of salt"], score=0.1),
            outcome(ANSWERABLE, [], score=0.0),
        ],
        None,
    )
    assert outcome(ANSWERABLE, ["a hatful of sand"]).is_right
    assert row["hit@5"] == 20
    assert (row["EM"], row["says so"]) == (0, 80)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.4, 0.5, 0.6, 0.9])), min_size=1))
def test_the_threshold_is_a_point_of_the_curve(scored: list[tuple[bool, float]]) -> None:
    curve = summarize_curve(
        [
            outcome(
                ANSWERABLE if right else UNANSWERABLE,
                ["hatful of salt"],
                score=score,
                given=score > 0.5,
            )
            for right, score in scored
        ]
    )
    points = [list(point) for point in zip(curve["coverage"], curve["right"], strict=True)]
    if any(score > 0.5 for _, score in scored):
        assert curve["threshold"] in points
    else:
        assert curve["threshold"] is None


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    names = ["written", "plain"]
    for name, questions in zip(names, ([ANSWERABLE], [UNANSWERABLE, ANSWERABLE]), strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "the-salt-road.jsonl").write_text(
            "".join(json.dumps(asdict(question)) + "\n" for question in questions),
            encoding="utf-8",
        )
    return [str(tmp_path / name) for name in names]


def test_every_folder_gets_a_table_and_the_last_line_has_them_all(folders: list[str]) -> None:
    finished = CliRunner().invoke(main, [str(BOOKS), *folders, "--threads", "1"])
    assert finished.exit_code == 0, finished.output
    result = json.loads(finished.output.splitlines()[-1])
    assert [folder["folder"] for folder in result["folders"]] == ["written", "plain"]
    written, plain = ([row["book"] for row in folder["rows"]] for folder in result["folders"])
    assert written == ["the-salt-road", "all"]
    assert plain == ["the-salt-road", "plain", "all"]
    assert [folder["rows"][-1]["recall@5"] for folder in result["folders"]] == [100, 100]
    assert finished.output.count("oracle F1  ") == 2


def test_the_picture_has_a_line_and_a_threshold_for_each_folder(
    folders: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, from the extra [bench]")
    picture = tmp_path / "curve.png"
    finished = CliRunner().invoke(
        main, [str(BOOKS), *folders, "--threads", "1", "--plot", str(picture), "--details"]
    )
    assert finished.exit_code == 0, finished.output
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert f"{ANSWERABLE.id} {ANSWERABLE.question}" in finished.output


def test_a_picture_without_matplotlib_fails_before_anything_is_asked(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    picture = tmp_path / "curve.png"
    finished = CliRunner().invoke(main, [str(BOOKS), *folders, "--plot", str(picture)])
    assert finished.exit_code != 0
    assert "pip install" in str(finished.exception) + finished.output
    assert not picture.exists()
