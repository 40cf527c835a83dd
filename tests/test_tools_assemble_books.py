import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import run_stage

from squadlite.answering.squad import GoldAnswer, SquadExample
from squadlite.errors import DatasetError
from squadlite.library.book import open_book
from tools.assemble_books import MIN_OVERLAP, assemble, main, merge_cuts
from tools.folders import STAGES_FILE

# No forty characters of it stand in it twice.
TEXT = " ".join(f"The {number}th keeper wrote {number * 7919}." for number in range(200))


@given(st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.integers(1, 900)), max_size=30))
def test_stretches_are_what_the_cuts_cover_each_piece_of_the_text_once(
    places: list[tuple[int, int]],
) -> None:
    cuts = [TEXT[start : start + length] for start, length in places]
    stretches = merge_cuts(cuts)
    assert all(stretch in TEXT for stretch in stretches)
    assert all(any(cut in stretch for stretch in stretches) for cut in cuts)
    assert merge_cuts(stretches) == stretches
    long = sorted(
        (TEXT.index(stretch), TEXT.index(stretch) + len(stretch))
        for stretch in stretches
        if len(stretch) >= MIN_OVERLAP
    )
    assert all(end - start < MIN_OVERLAP for (_, end), (start, _) in pairwise(long))


def test_a_cut_that_bridges_two_joins_all_three() -> None:
    assert merge_cuts([TEXT[:300], TEXT[500:900], TEXT[200:600], TEXT[210:290]]) == [TEXT[:900]]


def test_stretches_keep_the_order_of_their_cuts() -> None:
    cuts = [TEXT[3000:3300], TEXT[:300], TEXT[3200:3500]]
    assert merge_cuts(cuts) == [TEXT[3000:3500], TEXT[:300]]


def test_a_text_that_goes_round_in_a_circle_is_cut_once() -> None:
    one, other = "a" * MIN_OVERLAP, "b" * MIN_OVERLAP
    assert len(merge_cuts([f"{one}, {other}", f"{other}, {one}"])) == 1


def example(name: str, question: str, context: str, *answers: str) -> SquadExample:
    gold = tuple(GoldAnswer(text, context.index(text)) for text in answers)
    return SquadExample(name, question, context, gold, "book/x")


def test_each_question_is_asked_once_with_the_answers_of_all_its_passages() -> None:
    _, questions = assemble(
        [
            example("n1", "Who?", TEXT[:100]),
            example("b1", "Who?", TEXT[100:300], "keeper"),
            example("a1", "Who?", TEXT[150:350], "keeper wrote", "keeper"),
            example("b2", "When?", TEXT[100:300]),
        ],
        "x",
    )
    said = [(asked["id"], asked["question"], asked["answers"]) for asked in questions]
    assert said == [("n1", "Who?", ["keeper", "keeper wrote"]), ("b2", "When?", [])]
    evidence, none = (asked["evidence"] for asked in questions)
    assert none == ""
    assert "keeper" in evidence
    assert evidence in TEXT[100:300]


def write_data(path: Path, title: str, *contexts: str) -> Path:
    paragraphs: list[dict[str, Any]] = [
        {"context": context, "qas": [{"id": f"{title}{n}", "question": f"{n}?", "answers": []}]}
        for n, context in enumerate(contexts)
    ]
    path.write_text(json.dumps({"data": [{"title": title, "paragraphs": paragraphs}]}))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_book_of_several_files_opens_with_its_text(tmp_path: Path) -> None:
    text = "He said <b> & *so* on.\n\n# No heading. " + TEXT
    one = write_data(tmp_path / "one.json", "book/salt", text[:400], text[300:700])
    other = write_data(tmp_path / "other.json", "plain/salt", text[650:1000], "Elsewhere.")
    output = tmp_path / "books"
    run_stage(main, output, "--data", one, "--data", other, "--book", "book/salt")
    chapters = open_book(output / "salt.html").chapters
    read = "\n\n".join(chapter.text for chapter in chapters)
    assert read == f"Stretch 1\n\n{text[:1000].rstrip()}\n\nStretch 2\n\nElsewhere."
    assert len((output / "salt.jsonl").read_text().splitlines()) == 2
    before = (output / "salt.html").read_bytes()
    run_stage(main, output, "--data", one, "--data", other)
    assert (output / "salt.html").read_bytes() == before


def test_books_are_left_out(tmp_path: Path) -> None:
    data = [write_data(tmp_path / f"{name}.json", f"book/{name}", TEXT) for name in "abc"]
    files = [word for path in data for word in ("--data", path)]
    run_stage(main, tmp_path / "books", *files, "--leave-out", "b", "--leave-out", "book/c")
    assert names(tmp_path / "books") == ["a.html", "a.jsonl", STAGES_FILE]


def test_a_book_that_is_left_out_now_is_no_longer_there(tmp_path: Path) -> None:
    data = [write_data(tmp_path / f"{name}.json", f"book/{name}", TEXT) for name in "ab"]
    files = [word for path in data for word in ("--data", path)]
    run_stage(main, tmp_path / "books", *files)
    run_stage(main, tmp_path / "books", *files, "--leave-out", "b")
    assert names(tmp_path / "books") == ["a.html", "a.jsonl", STAGES_FILE]


def test_an_unknown_book_is_named(tmp_path: Path) -> None:
    data = write_data(tmp_path / "one.json", "book/salt", TEXT)
    with pytest.raises(DatasetError, match="book 'pepper': expected one of salt"):
        run_stage(main, tmp_path / "books", "--data", data, "--book", "pepper")
