from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.evaluate import evaluate, spread
from squadlite.answering.reader import Reader, ReaderSettings
from squadlite.answering.spans import Reading
from squadlite.answering.squad import SquadExample, load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import Raw, write_sqz
from squadlite.errors import CheckpointError, ConfigError, SquadliteError, TokenizerError
from squadlite.model import QuestionAnsweringModel, TorchScorer

SPEC = tiny_spec()
TINY_SETTINGS = ReaderSettings(
    max_seq_length=20, max_question_length=6, doc_stride=5, max_answer_length=4, n_best=3
)
TEXTS = st.text(st.sampled_from("the time machine é日\u0301 \n.,"), max_size=80)


def tiny_reader(
    settings: ReaderSettings = TINY_SETTINGS, *, threads: int | None = 1, **config: Any
) -> Reader:
    model = random_model(tiny_config(**{"vocab_size": len(SPEC.vocab)} | config))
    return Reader(TorchScorer(model), Tokenizer(SPEC), settings, threads=threads)


def torch_model(reader: Reader) -> QuestionAnsweringModel:
    scorer = reader.scorer
    assert isinstance(scorer, TorchScorer)
    assert isinstance(scorer.model, QuestionAnsweringModel)
    return scorer.model


READER = tiny_reader()


def slow_reading(reader: Reader, question: str, context: str) -> tuple[str, float] | None:
    """The best answer and its margin: one window and one pair of tokens after the other."""
    limits = reader.settings
    question_ids = reader.tokenizer.encode(question).ids.tolist()[: limits.max_question_length]
    tokens = reader.tokenizer.encode(context)
    room = limits.max_seq_length - 3 - len(question_ids)
    prefix = [reader.tokenizer.cls_id, *question_ids, reader.tokenizer.sep_id]
    best, nulls, first = (-np.inf, 0, 0), [], 0
    while first < len(tokens):
        piece = tokens.ids.tolist()[first : first + room]
        ids = [*prefix, *piece, reader.tokenizer.sep_id]
        logits = reader.scorer(
            np.array([ids]),
            np.array([[0] * len(prefix) + [1] * (len(piece) + 1)]),
            np.ones((1, len(ids)), dtype=np.bool_),
            threads=1,
        )
        starts, ends = (part[0].tolist() for part in logits)
        nulls.append(starts[0] + ends[0])
        for i in range(len(piece)):
            for j in range(i, min(i + limits.max_answer_length, len(piece))):
                total = starts[len(prefix) + i] + ends[len(prefix) + j]
                best = max(best, (total, first + i, first + j))
        if first + room >= len(tokens):
            break
        first += limits.doc_stride
    if not nulls:
        return None
    start, end = tokens.offsets[best[1], 0], tokens.offsets[best[2], 1]
    return context[start:end], best[0] - min(nulls)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_reads_what_a_slow_reader_reads(pairs: list[tuple[str, str]]) -> None:
    readings = READER.read_pairs(pairs)
    assert len(readings) == len(pairs)
    for (question, context), reading in zip(pairs, readings, strict=True):
        expected = slow_reading(READER, question, context)
        if expected is None:
            assert reading == Reading((), 0.0)
            continue
        assert len(reading.spans) <= TINY_SETTINGS.n_best
        assert reading.spans[0].margin == pytest.approx(expected[1], abs=1e-4)
        assert expected[0] in reading.spans[0].text  # the rest of a word may follow
        for span in reading.spans:
            assert context[span.start : span.end] == span.text


def test_readings_come_in_the_contexts_order_whatever_their_length() -> None:
    contexts = ["the machine " * n for n in (1, 30, 0, 4, 2)]
    together = READER.read("the time?", contexts, n_best=2)
    for context, reading in zip(contexts, together, strict=True):
        (alone,) = READER.read("the time?", [context], n_best=2)
        assert [span.text for span in reading.spans] == [span.text for span in alone.spans]
        assert reading.null_score == pytest.approx(alone.null_score, abs=1e-4)
        assert len(reading.spans) <= 2


@pytest.mark.parametrize("context", ["", "  \n\t", "\x00", "\u200b"])
def test_a_context_without_words_gives_no_spans(context: str) -> None:
    assert READER.read("the time?", [context]) == [Reading((), 0.0)]


def test_an_empty_question_and_no_contexts_are_no_errors() -> None:
    assert READER.read("", ["the time"])[0].spans
    assert READER.read("the time?", []) == []


def test_one_text_in_place_of_several_is_refused() -> None:
    with pytest.raises(TypeError, match="found one text, expected a list"):
        READER.read("the time?", "the time machine")


def test_threads_change_nothing() -> None:
    contexts = [("the time machine " * n).strip() for n in range(1, 12)]
    alone = READER.read("the traveller?", contexts)
    side_by_side = tiny_reader(threads=3).read("the traveller?", contexts)
    assert [[span.text for span in reading.spans] for reading in alone] == [
        [span.text for span in reading.spans] for reading in side_by_side
    ]


def test_reading_leaves_torchs_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    tiny_reader(threads=2).read("the time?", ["the time machine " * 20])
    assert torch.get_num_threads() == before


def test_progress_counts_all_windows() -> None:
    told: list[tuple[int, int]] = []
    READER.read_pairs(
        [("the", "time " * 40)] * 3, progress=lambda done, total: told.append((done, total))
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 3


def test_an_error_in_a_batch_ends_the_reading() -> None:
    reader = tiny_reader(threads=2)
    with torch.no_grad():
        torch_model(reader).span_head.weight.fill_(float("nan"))
    with pytest.raises(SquadliteError, match="not all finite"):
        reader.read("the time?", ["the time machine " * 20])


def test_a_model_of_few_positions_reads_in_shorter_windows() -> None:
    reader = tiny_reader(ReaderSettings(), max_position_embeddings=16)
    assert reader.settings.max_seq_length == 16
    assert reader.read("the time " * 20, ["the time machine " * 20])[0].spans


@pytest.mark.parametrize("type_vocab_size", [0, 2])
def test_reads_with_or_without_token_types(type_vocab_size: int) -> None:
    assert tiny_reader(type_vocab_size=type_vocab_size).read("the time?", ["the time"])[0].spans


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"vocab_size": 40}, TokenizerError, "the model embeddings for 40"),
        ({"max_position_embeddings": 15}, ConfigError, "15 positions"),
        ({"type_vocab_size": 1}, ConfigError, "1 token type"),
    ],
)
def test_models_that_cannot_read_are_refused(
    config: dict[str, int], error: type[SquadliteError], message: str
) -> None:
    with pytest.raises(error, match=message):
        tiny_reader(**config)


@pytest.mark.parametrize(
    "changes", [{"n_best": 0}, {"doc_stride": -1}, {"max_seq_length": 20}, {"max_batch_tokens": 0}]
)
def test_settings_out_of_range_are_mistakes(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        ReaderSettings(**changes)


def test_calls_out_of_range_are_mistakes() -> None:
    with pytest.raises(ValueError, match="threads is 0"):
        tiny_reader(threads=0)
    with pytest.raises(ValueError, match="n_best is 0"):
        READER.read("the time?", ["the time"], n_best=0)


def test_loads_from_a_sqz_file(tmp_path: Path) -> None:
    tensors: list[tuple[str, np.ndarray, Raw]] = [
        *((name, array, Raw("u8")) for name, array in SPEC.to_tensors().items()),
        *(
            (name, array.numpy(), Raw("f32"))
            for name, array in torch_model(READER).state_dict().items()
        ),
    ]
    write_sqz(
        tmp_path / "tiny.sqz",
        model=READER.scorer.config.to_dict(),
        tokenizer=SPEC.to_header(),
        metadata={},
        tensors=tensors,
    )
    loaded = Reader.load(tmp_path / "tiny.sqz", settings=TINY_SETTINGS, threads=1)
    contexts = ["the time machine", "the ivory lever of the white machine"]
    assert loaded.read("the lever?", contexts) == READER.read("the lever?", contexts)


def test_loading_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        Reader.load(tmp_path)
    with pytest.raises(OSError, match=r"nothing\.sqz"):
        Reader.load(tmp_path / "nothing.sqz")


@pytest.fixture(scope="module")
def checkpoint(shared: Path) -> Path:
    return shared / "checkpoints" / "minilm-l6-squad2"


@pytest.fixture(scope="module")
def some_examples(shared: Path) -> Iterator[list[SquadExample]]:
    return list(spread(load_squad(shared / "data" / "cs224n-dev-v2.0.json"), 24))


def test_the_real_checkpoint_reads_as_in_transformers(
    checkpoint: Path, some_examples: list[SquadExample]
) -> None:
    import transformers

    theirs = transformers.BertForQuestionAnswering.from_pretrained(checkpoint, dtype=torch.float32)
    reader = Reader.load(checkpoint)

    def score(*inputs: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray]:
        names = ("input_ids", "token_type_ids", "attention_mask")
        with torch.inference_mode():
            output = theirs.eval()(**dict(zip(names, map(torch.from_numpy, inputs), strict=True)))
        return output.start_logits.numpy(), output.end_logits.numpy()

    plain = Reader(reader.scorer, Tokenizer(TokenizerSpec.from_folder(checkpoint)))
    plain.scorer = score  # type: ignore[assignment]
    result = evaluate(reader, some_examples)
    for example in some_examples:
        expected = slow_reading(plain, example.question, example.context)
        assert expected is not None
        assert result.best_spans[example.id] == expected[0]
        assert result.null_score_diffs[example.id] == pytest.approx(-expected[1], abs=1e-3)
    assert result.scores["f1"] > 50


def test_bfloat16_reads_nearly_the_same(
    checkpoint: Path, some_examples: list[SquadExample]
) -> None:
    exact = evaluate(Reader.load(checkpoint), some_examples)
    rounded = evaluate(Reader.load(checkpoint, compute="bf16"), some_examples)
    for question_id, diff in exact.null_score_diffs.items():
        assert rounded.null_score_diffs[question_id] == pytest.approx(diff, abs=0.75)
