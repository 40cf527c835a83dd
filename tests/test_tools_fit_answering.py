import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_training import run_stage

from squadlite.answering.candidates import FEATURES
from squadlite.answering.confidence import ChoiceModel, load_confidence
from squadlite.answering.reader import Reader
from squadlite.asking import ask
from squadlite.container import open_sqz
from squadlite.errors import DatasetError
from squadlite.library.index import BookIndex
from squadlite.models import DEFAULT_MODEL
from tools.book_questions import (
    Findings,
    load_findings,
    save_findings,
)
from tools.fit_answering import (
    TOLERANCE,
    FirstAnswers,
    best_threshold,
    calibrate,
    cross_validate,
    f1_over_all,
    first_answers,
    fit_choice_model,
    main,
)
from tools.measures import calibration_error

BOOK = Path(__file__).with_name("books") / "the-salt-road.epub"


def drawn(seed: int, *, questions: int = 200) -> Findings:
    """Findings in four books whose margin tells right from wrong, now and then."""
    chance = np.random.default_rng(seed)
    counts = chance.integers(1, 12, questions)
    total = int(counts.sum())
    features = chance.normal(size=(total, len(FEATURES)))
    answerable = chance.random(questions) < 0.75
    f1 = np.where(features[:, 0] + chance.normal(size=total) > 1.5, chance.random(total), 0.0)
    return Findings(
        features=features,
        answers=np.concatenate([np.arange(count) // 2 for count in counts]),
        f1=f1 * np.repeat(answerable, counts),
        counts=counts,
        answerable=answerable,
        books=np.arange(questions) % 4,
    )


def found(*answers: tuple[float, float, bool]) -> tuple[np.ndarray, FirstAnswers]:
    scores, f1, answerable = (np.array(column) for column in zip(*answers, strict=True))
    return scores, FirstAnswers(scores, f1, answerable)


def test_an_unanswerable_question_is_right_where_no_answer_is_given() -> None:
    scores, first = found((0.9, 0.8, True), (0.2, 1.0, True), (0.8, 0.0, False), (0.1, 0.0, False))
    assert f1_over_all(scores, first, 0.5) == pytest.approx((0.8 + 0 + 0 + 1) / 4)
    assert f1_over_all(scores, first, 0.0) == pytest.approx((0.8 + 1.0) / 4)
    assert f1_over_all(scores, first, 1.0) == pytest.approx(2 / 4)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from([0.0, 0.6, 1.0]), st.booleans()
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_threshold_is_much_better_than_the_best(
    answers: list[tuple[float, float, bool]],
) -> None:
    scores, first = found(*((s, f1 * answerable, answerable) for s, f1, answerable in answers))
    best = f1_over_all(scores, first, best_threshold(scores, first))
    others = [f1_over_all(scores, first, t) for t in (0.0, 0.3, 0.7, 0.95)]
    assert best >= max(others) - TOLERANCE


def test_of_thresholds_as_good_the_middle_one_counts() -> None:
    # Between 0.1, which is wrong, and 0.9, which is right, any threshold is as good.
    scores, first = found((0.1, 0.0, False), (0.4, 0.0, True), (0.6, 0.0, True), (0.9, 1.0, True))
    assert best_threshold(scores, first) == pytest.approx(0.5)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_first_answers_are_those_of_the_highest_score(seed: int) -> None:
    findings = drawn(seed, questions=20)
    model = ChoiceModel({"margin": 1.0, "cosine": -0.5}, -1.0, 1.0, 0.0, 0.5)
    first = first_answers(model, findings)
    for number, rows in enumerate(findings.questions()):
        features, answers = findings.features[rows], findings.answers[rows]
        scores = model.answer_scores(features, answers)
        assert model.calibrated(first.log_odds)[number] == scores.max()
        assert first.f1[number] in findings.f1[rows][answers == scores.argmax()]


def test_what_tells_right_from_wrong_gets_the_weight() -> None:
    model = fit_choice_model(drawn(0, questions=2000))
    assert max(model.weights, key=lambda name: abs(model.weights[name])) == "margin"
    assert model.weights["margin"] > 0


def test_a_book_is_judged_by_a_model_that_has_not_seen_it() -> None:
    findings = drawn(0)
    changed = np.where(np.repeat(findings.books == 2, findings.counts), 0.0, findings.f1)
    before = cross_validate(findings)
    after = cross_validate(replace(findings, f1=changed))
    seen = findings.books == 2
    assert before.log_odds[seen].tolist() == after.log_odds[seen].tolist()
    assert before.log_odds[~seen].tolist() != after.log_odds[~seen].tolist()


def test_a_calibrated_model_says_as_often_as_it_is_right() -> None:
    findings = drawn(1, questions=3000)
    first = cross_validate(findings)
    model = calibrate(fit_choice_model(findings), first)
    scores = model.calibrated(first.log_odds)
    assert scores.mean() == pytest.approx(first.is_right.mean(), abs=0.01)
    assert calibration_error(scores, first.is_right) < 0.05
    assert 0 < model.threshold < 1


def test_answers_whose_chance_says_the_opposite_cant_be_fitted() -> None:
    _, first = found(*((-float(n), float(n > 10), True) for n in range(20)))
    model = ChoiceModel({}, 0.0, 1.0, 0.0, 0.5)
    with pytest.raises(DatasetError, match="right more often"):
        calibrate(model, first)


def test_findings_are_kept_for_what_they_depend_on(tmp_path: Path) -> None:
    path, findings = tmp_path / "found.npz", drawn(0, questions=5)
    assert load_findings(path, "key") is None
    save_findings(path, findings, "key")
    again = load_findings(path, "key")
    assert again is not None
    assert all(np.array_equal(value, vars(again)[name]) for name, value in vars(findings).items())
    assert load_findings(path, "other key") is None
    path.write_bytes(b"PK\x03\x04 no more")
    assert load_findings(path, "key") is None


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample book twice, with every third question."""
    folder = tmp_path_factory.mktemp("books")
    lines = BOOK.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for number, name in enumerate(("one", "other")):
        shutil.copyfile(BOOK, folder / f"{name}.epub")
        (folder / f"{name}.jsonl").write_text("".join(lines[number::3]), encoding="utf-8")
    return folder


def test_a_fitted_file_has_the_same_tensors_and_answers_by_its_numbers(
    books: Path, tmp_path: Path
) -> None:
    output, cache = tmp_path / "fitted.sqz", tmp_path / "found.npz"
    words = (DEFAULT_MODEL, output, "--books", books, "--questions", books, "--cache", cache)
    result = run_stage(main, *words)
    assert "log_share" in result.output
    measures = json.loads(result.output.splitlines()[-1])
    with open_sqz(DEFAULT_MODEL) as before, open_sqz(output) as after:
        after.verify()
        assert after.tensors == before.tensors
        assert all(after.read_stored(name) == before.read_stored(name) for name in before.tensors)
        said = after.metadata["answering"]
        assert after.metadata == {**before.metadata, "answering": said}
    assert said["threshold"] == pytest.approx(measures["threshold"], abs=1e-4)

    content, stamp = output.read_bytes(), cache.stat().st_mtime_ns
    assert run_stage(main, *words).output == result.output
    assert output.read_bytes() == content
    assert cache.stat().st_mtime_ns == stamp

    reader = Reader.load(output)
    assert reader.confidence == load_confidence(output) == ChoiceModel.from_metadata(said)
    with BookIndex.open(BOOK, cache_dir=tmp_path) as index:
        reply = ask("What did Rusk ask for instead of the toll?", index, reader)
    assert (reply.answer is not None) == (reply.score > said["threshold"])


def test_one_book_is_not_enough(books: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions"
    questions.mkdir()
    (questions / "one.jsonl").write_text('{"id": "a", "question": "Who is Rusk?", "answers": []}\n')
    with pytest.raises(DatasetError, match="one book, expected at least 2"):
        run_stage(
            main, DEFAULT_MODEL, tmp_path / "x.sqz", "--books", books, "--questions", questions
        )
