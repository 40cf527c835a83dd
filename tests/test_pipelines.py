"""transformers' pipeline: the same arguments, the same answers, the same scores."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.reader import Reader
from squadlite.bench.peers.weights import save_for_transformers
from squadlite.model import Checkpoint, save_checkpoint
from squadlite.models import DEFAULT_MODEL
from squadlite.pipelines import QuestionAnsweringPipeline, pipeline

pytest.importorskip("transformers", reason="comes with squadlite[dev]")

from reference_pipeline import ReferencePipeline

QUESTION = "the lever?"
CONTEXT = "The traveller's lever, the white ivory LEVER; 7 machines. Lévers!"
PAIR = {"question": QUESTION, "context": CONTEXT}

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline") / "model"
    config = tiny_config(vocab_size=len(tiny_spec().vocab), max_position_embeddings=96)
    save_checkpoint(folder, Checkpoint(config, random_model(config, seed=3).state_dict()))
    vocab = "\n".join(tiny_spec().vocab) + "\n"
    (folder / "vocab.txt").write_text(vocab, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def answer(folder: Path) -> QuestionAnsweringPipeline:
    return pipeline("question-answering", model=folder, threads=1)


@pytest.fixture(scope="module")
def reference(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ReferencePipeline:
    written = save_for_transformers(folder, tmp_path_factory.mktemp("written") / "model")
    return ReferencePipeline(written)


def check_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        found, expected = [found], [expected]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert list(one) == ["score", "start", "end", "answer"]
        assert {**one, "score": 0} == {**other, "score": 0}
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)


def random_text(random: np.random.Generator) -> str:
    words = ["the", "Time", "machines,", "traveller's", "lever", "LEVER.", "xq-9", "é日", "\n\n"]
    return " ".join(random.choice(words, random.integers(1, 60)))


SETTINGS: list[dict[str, Any]] = [
    {},
    {"top_k": 3},
    {"top_k": 4, "handle_impossible_answer": True},
    {"top_k": 5, "align_to_words": False},
    {"top_k": 2, "max_answer_len": 2},
    {"max_seq_len": 40, "doc_stride": 11, "top_k": 3},
    {"max_seq_len": 30, "doc_stride": 0, "handle_impossible_answer": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_answers_are_those_of_the_old_pipeline(
    answer: QuestionAnsweringPipeline, reference: ReferencePipeline, settings: dict[str, Any]
) -> None:
    random = np.random.default_rng(0)
    full = {"max_seq_len": 96, "doc_stride": 32} | settings
    for _ in range(8):
        context = random_text(random)
        expected = reference(QUESTION, context, **full)
        check_same(answer(question=QUESTION, context=context, **full), expected)


def test_windows_are_as_long_as_the_model_reads(
    answer: QuestionAnsweringPipeline, reference: ReferencePipeline
) -> None:
    context = random_text(np.random.default_rng(1)) * 4
    expected = reference(QUESTION, context, max_seq_len=96, doc_stride=48)
    check_same(answer(QUESTION, context), expected)


def test_every_way_of_giving_one_question_is_the_same(answer: QuestionAnsweringPipeline) -> None:
    expected = answer(question=QUESTION, context=CONTEXT)
    assert isinstance(expected, dict)
    assert answer(QUESTION, CONTEXT) == expected
    assert answer(PAIR) == answer([PAIR]) == answer(data=PAIR) == answer(data=[PAIR]) == expected
    assert answer(question=[QUESTION], context=[CONTEXT]) == expected
    assert answer(PAIR, padding="max_length", batch_size=8, num_workers=0) == expected


def test_several_questions_give_a_list(answer: QuestionAnsweringPipeline) -> None:
    other = {"question": "the time?", "context": "The machine of the time traveller."}
    expected = [answer(PAIR), answer(other)]
    assert answer([PAIR, other]) == answer(PAIR, other) == answer(data=(PAIR, other)) == expected
    assert answer(pair for pair in (PAIR, other)) == expected
    questions, contexts = [QUESTION, "the time?"], [CONTEXT, other["context"]]
    assert answer(question=questions, context=contexts) == expected
    assert answer({"question": questions, "context": contexts}) == expected
    assert answer(question=questions, context=CONTEXT) == [
        answer(QUESTION, CONTEXT),
        answer("the time?", CONTEXT),
    ]
    best = answer([PAIR, other], top_k=2)
    assert [len(answers) for answers in best] == [2, 2]
    assert answer([]) == []


def test_more_answers_than_there_are_spans(answer: QuestionAnsweringPipeline) -> None:
    found = answer(QUESTION, "time the", top_k=60)
    assert {one["answer"] for one in found} == {"time", "the", "time the"}
    assert answer(QUESTION, "time", top_k=60)["answer"] == "time"


def test_a_context_without_a_word_has_no_answer(answer: QuestionAnsweringPipeline) -> None:
    assert answer(QUESTION, " \n") == {"score": 0.0, "start": 0, "end": 0, "answer": ""}
    surely = answer(QUESTION, " \n", handle_impossible_answer=True)
    assert surely == {"score": 1.0, "start": 0, "end": 0, "answer": ""}


def test_a_long_question_is_cut(answer: QuestionAnsweringPipeline) -> None:
    short = answer("the the the", CONTEXT, max_seq_len=40)
    assert answer("the " * 99, CONTEXT, max_question_len=3, max_seq_len=40) == short
    with pytest.raises(ValueError, match=r"max_seq_len 40 leaves no room .* 64 tokens"):
        answer("the " * 99, CONTEXT, max_seq_len=40)


def test_a_stride_that_leaves_no_room_is_halved(answer: QuestionAnsweringPipeline) -> None:
    room = 40 - 3 - 4
    context = random_text(np.random.default_rng(2)) * 3
    found = answer("the the the the", context, max_seq_len=40, doc_stride=room)
    halved = answer("the the the the", context, max_seq_len=40, doc_stride=room // 2)
    assert found == halved


def test_settings_of_the_pipeline_serve_every_call(folder: Path) -> None:
    reader = Reader.load(folder, threads=1)
    both = pipeline(model=reader, top_k=2, handle_impossible_answer=True)
    assert both.reader is reader
    assert len(both(PAIR)) == 2
    assert both(PAIR) == pipeline(model=reader)(PAIR, top_k=2, handle_impossible_answer=True)
    assert isinstance(both(PAIR, top_k=1), dict)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((), {}, "expected a question and its context"),
        (("Who?",), {}, "found 1 texts"),
        ((PAIR,), {"data": PAIR}, "in one way"),
        ((), {"question": "Who?"}, "context a NoneType"),
        ((), {"question": "Who?", "context": ["a", "b"]}, "context a list"),
        ((), {"question": ["Who?", "What?"], "context": ["a"]}, "found 1 contexts.*questions, 2"),
        ((), {"question": ["Who?", None], "context": "a"}, "question is a NoneType"),
        ((), {"question": "", "context": "a"}, "question is empty"),
        ((), {"question": "Who?", "context": ""}, "context is empty"),
        (({"question": "Who?"},), {}, "context a NoneType"),
        ((["Who?", "What?"], ["a", "b"]), {}, "found a list, expected a dict"),
        ((7,), {}, "found a int, expected dicts"),
        ((PAIR,), {"top_k": 0}, "top_k is 0"),
        ((PAIR,), {"max_answer_len": 0}, "max_answer_len is 0"),
        ((PAIR,), {"max_seq_len": -1}, "max_seq_len is -1"),
        ((PAIR,), {"doc_stride": 500}, "doc_stride is 500, expected 0 to max_seq_len, 384"),
    ],
)
def test_mistakes_are_value_errors(
    answer: QuestionAnsweringPipeline,
    arguments: tuple[Any, ...],
    settings: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        answer(*arguments, **settings)


def test_unknown_arguments_and_tasks_are_refused(answer: QuestionAnsweringPipeline) -> None:
    with pytest.raises(TypeError, match=r"found topk, expected settings out of align_to_words"):
        answer(PAIR, topk=2)
    with pytest.raises(TypeError, match="found device"):
        pipeline(model=DEFAULT_MODEL, device=0)
    with pytest.raises(ValueError, match="task is 'translation'"):
        pipeline("translation")


def dev_questions(shared: Path, number: int) -> Iterator[tuple[str, str]]:
    """Spread over the development set."""
    data = json.loads((shared / "data" / "cs224n-dev-v2.0.json").read_text(encoding="utf-8"))
    pairs = [
        (question["question"], paragraph["context"])
        for article in data["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    for place in np.linspace(0, len(pairs) - 1, number).astype(int).tolist():
        yield pairs[place]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"top_k": 3, "handle_impossible_answer": True},
        {"max_seq_len": 96, "doc_stride": 24, "top_k": 2, "max_answer_len": 30},
    ],
    ids=str,
)
def test_two_hundred_dev_questions_are_answered_as_by_the_old_pipeline(
    shared: Path, settings: dict[str, Any]
) -> None:
    checkpoint = shared / "checkpoints" / "minilm-l6-squad2"
    reference, answer = ReferencePipeline(checkpoint), pipeline(model=checkpoint)
    pairs = list(dev_questions(shared, 200))
    found = answer(
        [{"question": question, "context": text} for question, text in pairs], **settings
    )
    for (question, context), one in zip(pairs, found, strict=True):
        check_same(one, reference(question, context, **settings))
