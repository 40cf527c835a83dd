"""Questions over whole books, and every answer that a model finds to them, measured and judged."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.candidates import FEATURES, describe, number_answers
from squadlite.answering.reader import Reader
from squadlite.asking import DEFAULT_PASSAGES, find_candidates, read_passages, retrieve
from squadlite.atomic import atomic_write
from squadlite.errors import DatasetError
from squadlite.library.index import BookIndex
from squadlite.library.query import query_words
from squadlite.progress import Progress
from tools.measures import best_f1
from tools.questions import load_question_file


@dataclass(frozen=True)
class Findings:
    """
    The N candidates found for Q questions, those of a question side by side.

    Attributes:
        features: (N, F) of each candidate; see `describe`.
        answers: (N,) which distinct answer of its question each gives, from 0.
        f1: (N,) 0..1, of each against the gold answers; 0 where there are none.
        counts: (Q,) candidates a question.
        answerable: (Q,) whether the book answers it.
        books: (Q,) the number of its book.
    """

    features: NDArray[np.float64]
    answers: NDArray[np.int64]
    f1: NDArray[np.float64]
    counts: NDArray[np.int64]
    answerable: NDArray[np.bool_]
    books: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> Self:
        """Those of the (Q,) questions that are chosen."""
        rows = np.repeat(chosen, self.counts)
        return type(self)(
            self.features[rows],
            self.answers[rows],
            self.f1[rows],
            self.counts[chosen],
            self.answerable[chosen],
            self.books[chosen],
        )

    def questions(self) -> Iterator[slice]:
        """The candidates of each question."""
        ends = np.cumsum(self.counts)
        return map(slice, (ends - self.counts).tolist(), ends.tolist())


def ask_all(files: Sequence[tuple[Path, Path]], reader: Reader, progress: Progress) -> Findings:
    """
    Ask every question of its book.

    Args:
        files: (book, questions) each, at least one.
        reader: the model.
        progress: called with (questions done, questions in all).

    Returns:
        All that was found. Questions to which nothing was found are left out.

    Raises:
        DatasetError: questions that can't be read, or to none of which anything was found.
        BookError: a book that can't be read.
    """
    asked_of = [(path, load_question_file(file)) for path, file in files]
    total, done = sum(len(asked) for _, asked in asked_of), 0
    features, answers, f1 = [], [], []
    answerable, numbers = [], []
    for number, (path, asked) in enumerate(asked_of):
        with BookIndex.open(path) as index:
            for question in asked:
                found = retrieve(question.question, index, reader, DEFAULT_PASSAGES)
                readings = read_passages(question.question, found, reader)
                candidates = find_candidates(found, readings)
                done += 1
                progress(done, total)
                if not candidates:
                    continue
                features.append(
                    describe(question.question, query_words(question.question), candidates)
                )
                answers.append(number_answers(candidates))
                texts = [candidate.span.text for candidate in candidates]
                by_text = {text: best_f1([text], question.answers) for text in set(texts)}
                f1.append(np.array([by_text[text] for text in texts]))
                answerable.append(bool(question.answers))
                numbers.append(number)
    if not features:
        raise DatasetError("questions: to none of them a passage to read was found")
    return Findings(
        np.concatenate(features),
        np.concatenate(answers),
        np.concatenate(f1),
        np.array([len(rows) for rows in features]),
        np.array(answerable),
        np.array(numbers),
    )


def save_findings(path: Path, findings: Findings, key: str) -> None:
    """Keep findings in an .npz file, with the digest of all that they depend on."""
    with atomic_write(path) as file:
        np.savez_compressed(file, key=np.array(key), names=np.array(FEATURES), **vars(findings))


def load_findings(path: Path, key: str) -> Findings | None:
    """Read findings; None where the file isn't there, isn't ours, or has another digest."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if str(arrays["key"]) != key or arrays["names"].tolist() != list(FEATURES):
                return None
            return Findings(**{name: arrays[name] for name in Findings.__dataclass_fields__})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
