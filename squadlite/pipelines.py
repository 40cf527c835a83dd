"""The "question-answering" pipeline that transformers had until 5.3, with squadlite's reader."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from squadlite.answering.reader import Reader
from squadlite.answering.spans import whole_words, without_space
from squadlite.answering.tokenizer import TokenizedText
from squadlite.answering.windows import (
    Window,
    batches_by_length,
    pad_batch,
    split_into_windows,
)
from squadlite.config import Compute
from squadlite.models import DEFAULT_MODEL

TASK = "question-answering"

_MAX_SEQ_LEN = 384
_DOC_STRIDE = 128
# Arguments of transformers that change nothing in its answers.
_WITHOUT_MEANING = frozenset(("batch_size", "num_workers", "padding"))

Floats = NDArray[np.float32]


class PipelineAnswer(TypedDict):
    """One answer: context[start:end] is `answer`; "" is that the context doesn't say."""

    score: float
    start: int
    end: int
    answer: str


PipelineAnswers = PipelineAnswer | list[PipelineAnswer]


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """
    What a call may set. Lengths count tokens.

    Args:
        top_k: how many answers to give at most.
        doc_stride: how much neighbouring windows of a context overlap (what the word means in
            transformers); None: 128, or half a window. Where it leaves no room for anything else,
            half of the context's room is taken.
        max_answer_len: of an answer.
        max_seq_len: in a window with its special tokens; None: 384. At most the model's positions.
        max_question_len: of a question; the rest is cut off, which transformers did with its slow
            tokenizers alone.
        handle_impossible_answer: whether "" may be an answer.
        align_to_words: whether an answer that begins or ends inside a word takes all of it.

    Raises:
        ValueError: a number below 1, or a stride longer than a window.
    """

    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_seq_len: int | None = None
    max_question_len: int = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True

    def __post_init__(self) -> None:
        for name in ("top_k", "max_answer_len", "max_seq_len", "max_question_len"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if self.doc_stride is not None and not 0 <= self.doc_stride <= self.window:
            raise ValueError(
                f"doc_stride is {self.doc_stride}, expected 0 to max_seq_len, {self.window}"
            )

    @property
    def window(self) -> int:
        """Tokens in a window at most."""
        return self.max_seq_len or _MAX_SEQ_LEN


def pipeline(
    task: str = TASK,
    model: str | Path | Reader | None = None,
    *,
    threads: int | None = None,
    compute: Compute = "f32",
    **settings: Any,
) -> "QuestionAnsweringPipeline":
    """
    Make a pipeline as `transformers.pipeline("question-answering")` did.

    Args:
        task: "question-answering"; there is no other.
        model: a .sqz file, a checkpoint folder, or a reader; None: the default model.
        threads, compute: as for `Reader.load`; "auto" is faster, and its scores differ a little.
        settings: for every call, unless it says otherwise; see `PipelineSettings`.

    Raises:
        ValueError: another task, or a setting out of range.
        TypeError: an argument that there isn't.
        SquadliteError: a model that can't be loaded; see `Reader.load`.
    """
    if task != TASK:
        raise ValueError(f"task is {task!r}, expected {TASK!r}")
    chosen = _changed(PipelineSettings(), settings)
    if not isinstance(model, Reader):
        model = Reader.load(model or DEFAULT_MODEL, threads=threads, compute=compute)
    return QuestionAnsweringPipeline(model, chosen)


class QuestionAnsweringPipeline:
    """
    Answers questions about contexts, with the scores that transformers' pipeline gave.

    In each window the start and end logits of the context's tokens and of [CLS] become chances by
    softmax, and a span's score is the product of its own. Of a context with several windows each
    gives its best spans, and the scores of equal answers (but for case) add up, so that a score may
    be above 1; the place is the first window's. With `handle_impossible_answer` "" has the lowest
    score of [CLS] over the windows.

    One thing is left out: where a context has fewer spans than were asked for, transformers filled
    up with spans that end before they begin, of score 0.

    Args:
        reader: the model.
        settings: for every call, unless it says otherwise.

    Source: the documentation of transformers 4.57, and what it computes.
    """

    def __init__(self, reader: Reader, settings: PipelineSettings | None = None) -> None:
        self.reader = reader
        self.settings = settings or PipelineSettings()

    def __call__(
        self,
        *examples: Any,
        question: str | Sequence[str] | None = None,
        context: str | Sequence[str] | None = None,
        data: Any = None,
        **settings: Any,
    ) -> PipelineAnswers | list[PipelineAnswers]:
        """
        Answer one question or many.

        Args:
            examples: a question and its context, or dicts of both, or one iterable of such dicts.
            question, context: a text each, or lists of as many; one context serves all questions.
            data: what `examples` may be.
            settings: see `PipelineSettings`; `padding`, `batch_size` and `num_workers` are taken
                and change nothing.

        Returns:
            For one question its answer; a list of answers, best first, where more than one was
            asked for and found. For several questions a list of that.

        Raises:
            ValueError: no question or context, an empty one, lists of different lengths, or a
                setting out of range.
            TypeError: an argument that there isn't.
            SquadliteError: a model whose logits aren't numbers.
        """
        chosen = _changed(self.settings, settings)
        pairs = _pairs(examples, question, context, data)
        answers = self._answer(pairs, chosen)
        return answers[0] if len(answers) == 1 else answers

    def _answer(
        self, pairs: Sequence[tuple[str, str]], settings: PipelineSettings
    ) -> list[PipelineAnswers]:
        questions = self.reader.tokenizer.encode_batch([question for question, _ in pairs])
        contexts = self.reader.tokenizer.encode_batch([context for _, context in pairs])
        windows = [
            window
            for number, (question, context) in enumerate(zip(questions, contexts, strict=True))
            for window in self._windows(number, question, context, settings)
        ]
        found: list[list[_WindowAnswers]] = [[] for _ in pairs]
        for answers in self._read(windows, settings):
            found[answers.window.pair].append(answers)
        return [
            _merged(text, tokens, of_pair, settings)
            for (_, text), tokens, of_pair in zip(pairs, contexts, found, strict=True)
        ]

    def _windows(
        self,
        number: int,
        question: TokenizedText,
        context: TokenizedText,
        settings: PipelineSettings,
    ) -> Iterator[Window]:
        length = min(settings.window, self.reader.scorer.config.max_position_embeddings)
        n_question = min(len(question), settings.max_question_len)
        template = self.reader.tokenizer.template
        room = length - template.n_special - n_question
        if room < 1:
            raise ValueError(
                f"max_seq_len {length} leaves no room for a context beside a question of "
                f"{n_question} tokens and {template.n_special} special ones"
            )
        overlap = settings.doc_stride
        if overlap is None:
            overlap = min(length // 2, _DOC_STRIDE)
        if overlap >= room:
            overlap = room // 2
        return split_into_windows(
            number,
            question.ids,
            context.ids,
            template,
            max_seq_length=length,
            max_question_length=settings.max_question_len,
            doc_stride=room - overlap,
        )

    def _read(
        self, windows: Sequence[Window], settings: PipelineSettings
    ) -> Iterator["_WindowAnswers"]:
        reader = self.reader
        # Aligned to words several spans become one, so that more of them are looked at.
        n_best = 2 * settings.top_k + 10 if settings.align_to_words else settings.top_k
        for windows_of_batch in batches_by_length(
            windows, reader.settings.max_batch_tokens * reader.threads
        ):
            batch = pad_batch(windows_of_batch)
            logits = reader.logits(batch.input_ids, batch.token_type_ids, batch.attention_mask)
            for row, window in enumerate(batch.windows):
                first, end = window.context_start, window.context_end
                starts, ends = (_chances(part[row, 0], part[row, first:end]) for part in logits)
                spans = _best_spans(starts[1:], ends[1:], n_best, settings.max_answer_len)
                yield _WindowAnswers(window, spans, null_score=float(starts[0] * ends[0]))


@dataclass(frozen=True, slots=True)
class _Span:
    # First and last token in its window's piece of the context.
    first: int
    last: int
    score: float


@dataclass(frozen=True, slots=True)
class _WindowAnswers:
    # What a window gives: the best spans, best first, and the score of [CLS].
    window: Window
    spans: list[_Span]
    null_score: float


def _chances(null_logit: np.float32, logits: Floats) -> Floats:
    """The softmax over [CLS] and the context's tokens."""
    together = np.concatenate([[null_logit], logits])
    exponentials = np.exp(together - together.max())
    chances: Floats = exponentials / exponentials.sum()
    return chances


def _best_spans(starts: Floats, ends: Floats, n_best: int, max_answer_len: int) -> list[_Span]:
    """The best spans, best first; they may overlap."""
    n_lengths = min(max_answer_len, len(starts))
    following = np.pad(ends, (0, n_lengths - 1), constant_values=-1)
    ends_of_spans = sliding_window_view(following, n_lengths)
    scores = (starts[:, None] * ends_of_spans).ravel()
    spans = np.flatnonzero(ends_of_spans.ravel() >= 0)
    best = spans[np.argsort(-scores[spans], kind="stable")[:n_best]]
    firsts, lengths = np.divmod(best, n_lengths)
    return [
        _Span(first, first + length, score)
        for first, length, score in zip(
            firsts.tolist(), lengths.tolist(), scores[best].tolist(), strict=True
        )
    ]


def _merged(
    context: str,
    tokens: TokenizedText,
    windows: Sequence[_WindowAnswers],
    settings: PipelineSettings,
) -> PipelineAnswers:
    """The best answers of all windows, the best first; one alone where there is no other."""
    best = _summed(context, tokens, windows, settings)
    if settings.handle_impossible_answer or not best:
        # A context without a token has no window, and surely no answer.
        null_score = min((answers.null_score for answers in windows), default=1.0)
        score = null_score if settings.handle_impossible_answer else 0.0
        best.append(PipelineAnswer(score=score, start=0, end=0, answer=""))
    best.sort(key=lambda answer: -answer["score"])
    del best[settings.top_k :]
    return best[0] if len(best) == 1 else best


def _summed(
    context: str,
    tokens: TokenizedText,
    windows: Sequence[_WindowAnswers],
    settings: PipelineSettings,
) -> list[PipelineAnswer]:
    """The answers of all windows, equal ones as one whose score is the sum of theirs."""
    summed: dict[str, PipelineAnswer] = {}
    for answers in sorted(windows, key=lambda answers: answers.window.first_token):
        # Of a word that the window cuts, what is in it counts as the word.
        first_token = answers.window.first_token
        piece = tokens[first_token : first_token + len(answers.window.context_ids)]
        for span in answers.spans:
            first, last = span.first, span.last
            if settings.align_to_words:
                first, last = whole_words(piece, first, last)
            start, end = without_space(
                context, int(piece.offsets[first, 0]), int(piece.offsets[last, 1])
            )
            if start == end:
                continue
            text = context[start:end]
            answer = summed.setdefault(
                text.lower(), PipelineAnswer(score=0.0, start=start, end=end, answer=text)
            )
            answer["score"] += span.score
    return list(summed.values())


def _changed(settings: PipelineSettings, changes: Mapping[str, Any]) -> PipelineSettings:
    known = {field.name for field in fields(PipelineSettings)}
    changes = {name: value for name, value in changes.items() if name not in _WITHOUT_MEANING}
    if unknown := changes.keys() - known:
        raise TypeError(
            f"found {', '.join(sorted(unknown))}, expected settings out of "
            f"{', '.join(sorted(known | _WITHOUT_MEANING))}"
        )
    return replace(settings, **changes)


def _pairs(
    examples: tuple[Any, ...],
    question: str | Sequence[str] | None,
    context: str | Sequence[str] | None,
    data: Any,
) -> list[tuple[str, str]]:
    """(question, context) of each example, in any of the ways that a call may give them."""
    ways = [bool(examples), question is not None or context is not None, data is not None]
    if sum(ways) != 1:
        raise ValueError(
            "expected a question and its context, or dicts of both, in one way of giving them"
        )
    if examples and all(isinstance(example, str) for example in examples):
        if len(examples) != 2:
            raise ValueError(f"found {len(examples)} texts, expected a question and its context")
        question, context = examples
    elif examples:
        data = examples[0] if len(examples) == 1 else examples
    if data is None:
        return _paired(question, context)
    if isinstance(data, Mapping):
        return _from_mapping(data)
    if not isinstance(data, Iterable) or isinstance(data, str):
        raise ValueError(f"found a {type(data).__name__}, expected dicts of question and context")
    return [pair for example in data for pair in _from_mapping(example)]


def _from_mapping(example: Any) -> list[tuple[str, str]]:
    if not isinstance(example, Mapping):
        raise ValueError(
            f"found a {type(example).__name__}, expected a dict of question and context"
        )
    return _paired(example.get("question"), example.get("context"))


def _paired(
    question: str | Sequence[str] | None, context: str | Sequence[str] | None
) -> list[tuple[str, str]]:
    if isinstance(question, str) and isinstance(context, str):
        questions, contexts = [question], [context]
    elif isinstance(question, Sequence) and not isinstance(question, str):
        questions = list(question)
        contexts = [context] * len(questions) if isinstance(context, str) else list(context or ())
    else:
        raise ValueError(
            f"question is a {type(question).__name__} and context a {type(context).__name__}, "
            "expected two texts, or a list of questions"
        )
    if len(questions) != len(contexts):
        raise ValueError(
            f"found {len(contexts)} contexts, expected as many as questions, {len(questions)}"
        )
    for name, texts in (("question", questions), ("context", contexts)):
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"{name} is a {type(text).__name__}, expected a text")
            if not text:
                raise ValueError(f"{name} is empty, expected a text")
    return list(zip(questions, contexts, strict=True))
