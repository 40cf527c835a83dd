"""
What a model's .sqz file says of its answers, fitted to questions over books.

    python -m tools.fit_answering MODEL.sqz OUTPUT.sqz --books BOOKS --questions QUESTIONS

Every question is asked of its book; each span found is described in a dozen numbers
(squadlite/answering/candidates.py) and judged by the gold answers. The weights are those of a
conditional logit model over the spans of each question, of which any right one may be chosen, or
none where none is right. First answers of models fitted without the book that they come from give
the calibration, the threshold and the scores printed.

The threshold is the best for F1 over all questions, in which an unanswerable one is right when the
book doesn't say, and an answer withheld from an answerable one is wrong. As the top is flat, it is
the middle of those that are all but the best.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from squadlite import __version__
from squadlite.answering.candidates import FEATURES
from squadlite.answering.confidence import METADATA_MEMBER, ChoiceModel
from squadlite.answering.reader import Reader
from squadlite.cli.output import print_table, progress_bar, threads_option
from squadlite.container import copy_sqz, open_sqz
from squadlite.digests import digest_of
from squadlite.errors import DatasetError
from tools.book_questions import Findings, ask_all, load_findings, save_findings
from tools.command import books_option, existing_file, file_argument, questions_option, run
from tools.conditional_logit import Choices, fit_weights
from tools.folders import digest_values
from tools.measures import RIGHT_F1, area_under_curve, calibration_error
from tools.questions import find_book, load_questions

# Of standardized weights: small beside a thousand questions, enough for what they hardly tell.
RIDGE = 1.0
# Of F1 over all, 0..1: far less than chance moves it by over a thousand questions.
TOLERANCE = 0.005

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FirstAnswers:
    """
    The first answer to each of Q questions.

    Attributes:
        log_odds: (Q,) of its chance, before calibration.
        f1: (Q,) 0..1; 0 where the question has no answer.
        answerable: (Q,).
    """

    log_odds: Floats
    f1: Floats
    answerable: NDArray[np.bool_]

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """(Q,)."""
        return self.f1 >= RIGHT_F1


def fit_choice_model(findings: Findings) -> ChoiceModel:
    """Fit the weights; calibration and threshold say nothing yet."""
    choices = Choices(findings.features, findings.counts, findings.f1 >= RIGHT_F1)
    weights, bias = fit_weights(choices, ridge=RIDGE)
    by_name = dict(zip(FEATURES, weights.tolist(), strict=True))
    return ChoiceModel(by_name, bias, slope=1.0, intercept=0.0, threshold=0.5)


def first_answers(model: ChoiceModel, findings: Findings) -> FirstAnswers:
    """What a model gives first to each question, as `ask` does."""
    log_odds, f1 = [], []
    for rows in findings.questions():
        features, answers = findings.features[rows], findings.answers[rows]
        odds = model.log_odds(features, answers)
        first = int(odds.argmax())
        places = np.where(answers == first, model.place_scores(features), -np.inf)
        log_odds.append(float(odds[first]))
        f1.append(float(findings.f1[rows][places.argmax()]))
    return FirstAnswers(np.array(log_odds), np.array(f1), findings.answerable)


def cross_validate(findings: Findings) -> FirstAnswers:
    """First answers to each book's questions by a model fitted to the other books."""
    log_odds, f1 = np.zeros(len(findings.books)), np.zeros(len(findings.books))
    for book in np.unique(findings.books).tolist():
        held_out = findings.books == book
        model = fit_choice_model(findings.of(~held_out))
        found = first_answers(model, findings.of(held_out))
        log_odds[held_out], f1[held_out] = found.log_odds, found.f1
    return FirstAnswers(log_odds, f1, findings.answerable)


def calibrate(model: ChoiceModel, found: FirstAnswers) -> ChoiceModel:
    """
    Give a model the calibration and the threshold that suit first answers.

    Raises:
        DatasetError: answers of higher chance aren't right more often.
    """
    choices = Choices(
        found.log_odds[:, None], np.ones(len(found.f1), dtype=np.int64), found.is_right
    )
    (slope,), intercept = fit_weights(choices, ridge=RIDGE)
    if slope <= 0:
        raise DatasetError(
            f"answers of higher chance aren't right more often (slope {slope:.3f}, expected above "
            "0): this model or these questions can't be fitted"
        )
    calibrated = replace(model, slope=float(slope), intercept=intercept)
    return replace(calibrated, threshold=best_threshold(probabilities(calibrated, found), found))


def probabilities(model: ChoiceModel, found: FirstAnswers) -> Floats:
    """(Q,) of each first answer, calibrated."""
    return model.calibrated(found.log_odds)


def f1_over_all(scores: Floats, found: FirstAnswers, threshold: float) -> float:
    """0..1: the mean over all questions, where an answer is given above the threshold."""
    given = scores > threshold
    return float(np.where(found.answerable, np.where(given, found.f1, 0.0), ~given).mean())


def best_threshold(scores: Floats, found: FirstAnswers) -> float:
    """
    The middle one of the thresholds whose F1 over all is at most TOLERANCE below the highest: that
    of them which is nearest to the mean of the lowest and the highest.
    """
    values = np.unique(np.concatenate([[0.0], scores, [1.0]]))
    between = (values[:-1] + values[1:]) / 2
    gains = np.array([f1_over_all(scores, found, threshold) for threshold in between.tolist()])
    good = between[gains >= gains.max() - TOLERANCE]
    return float(good[np.abs(good - (good[0] + good[-1]) / 2).argmin()])


def log_loss(scores: Floats, is_right: NDArray[np.bool_]) -> float:
    """Mean surprise at whether answers are right, in nats."""
    return float(-np.log(np.where(is_right, scores, 1.0 - scores)).mean())


def _print_fit(model: ChoiceModel, scale: Floats, found: FirstAnswers) -> None:
    rows = [
        [name, f"{weight:.4f}", f"{weight * spread:.3f}"]
        for (name, weight), spread in zip(model.weights.items(), scale.tolist(), strict=True)
    ]
    print_table(["Feature", "Weight", "Times its deviation"], rows)
    click.echo(f"bias {model.bias:.4f}, slope {model.slope:.4f}, intercept {model.intercept:.4f}")
    scores = probabilities(model, found)
    given = scores > model.threshold
    measures: dict[str, float | None] = {
        "questions": len(scores),
        "first_answer_f1": 100 * _mean(found.f1[found.answerable]),
        "log_loss": log_loss(scores, found.is_right),
        "auc": area_under_curve(scores, found.is_right),
        "calibration_error": calibration_error(scores, found.is_right),
        "threshold": model.threshold,
        "f1_over_all": 100 * f1_over_all(scores, found, model.threshold),
        "answered": 100 * _mean(given[found.answerable]),
        "not_answered": 100 * _mean(~given[~found.answerable]),
    }
    rounded = {
        name: None if value is None else round(float(value), 4) for name, value in measures.items()
    }
    click.echo(json.dumps(rounded))


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _findings(
    model: Path, books: Path, questions: Path, cache: Path | None, threads: int | None
) -> Findings:
    names = load_questions(questions)
    files = [(find_book(books, name), questions / f"{name}.jsonl") for name in names]
    # The code that finds passages and spans is told by its version alone.
    key = digest_values(
        {
            "model": digest_of(model),
            "files": [[digest_of(path) for path in pair] for pair in files],
            "squadlite": __version__,
        }
    )
    known = load_findings(cache, key) if cache is not None else None
    if known is not None:
        return known
    # The precision that `ask` uses.
    reader = Reader.load(model, threads=threads, compute="auto")
    with progress_bar("Asking") as progress:
        findings = ask_all(files, reader, progress)
    if cache is not None:
        save_findings(cache, findings, key)
    return findings


@click.command()
@click.argument("model", type=existing_file)
@file_argument
@books_option
@questions_option
@click.option(
    "--cache",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep what was found here (.npz), so that fitting again needs no reading; delete it when "
    "the code that finds has changed.",
)
@threads_option
def main(
    model: Path, output: Path, books: Path, questions: Path, cache: Path | None, threads: int | None
) -> None:
    """
    Fit what MODEL says of its answers and write it with the model to OUTPUT, both .sqz files.

    \b
    Example:
      python -m tools.fit_answering model.sqz fitted.sqz --books books --questions books
    """
    findings = _findings(model, books, questions, cache, threads)
    if len(np.unique(findings.books)) < 2:
        raise DatasetError(f"{questions}: found questions to one book, expected at least 2 books")
    found = cross_validate(findings)
    fitted = calibrate(fit_choice_model(findings), found)
    with open_sqz(model) as file:
        copy_sqz(file, output, metadata={**file.metadata, METADATA_MEMBER: fitted.to_metadata()})
    _print_fit(fitted, findings.features.std(axis=0), found)


if __name__ == "__main__":
    run(main)
