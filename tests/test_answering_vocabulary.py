import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_tokenizers import CHARACTERS, SPECIAL, WORDS, tiny_spec

from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.vocabulary import choose_pieces, count_pieces, read_corpus
from squadlite.errors import DatasetError, TokenizerError

SPEC = tiny_spec()
N_STAYING = len(SPECIAL) + 2 * len(CHARACTERS)
TEXTS = st.text(st.sampled_from(CHARACTERS + "  \nABÀ\u0301")) | st.lists(
    st.sampled_from([word.removeprefix("##") for word in WORDS])
).map("".join)


def pieces(spec: TokenizerSpec, text: str) -> list[str]:
    return [spec.vocab[i] for i in Tokenizer(spec).encode(text).ids]


def test_counts_every_piece_of_every_text() -> None:
    counts = count_pieces(SPEC, ["the time", "The machine, the?", ""])
    expected = {"the": 3, "time": 1, "machine": 1, ",": 1, "?": 1}
    assert {SPEC.vocab[i]: counts[i] for i in np.flatnonzero(counts)} == expected


def test_counting_many_texts_tells_of_its_progress() -> None:
    told: list[int] = []
    counts = count_pieces(SPEC, (f"time {i}" for i in range(2500)), progress=told.append)
    assert counts[SPEC.vocab.index("time")] == 2500
    assert told[-1] == 2500
    assert told == sorted(told)


def test_counting_nothing_is_nothing() -> None:
    assert count_pieces(SPEC, []).sum() == 0


@given(st.lists(st.integers(0, 5), min_size=len(SPEC.vocab), max_size=len(SPEC.vocab)), st.data())
def test_keeps_what_must_stay_then_the_most_frequent(
    counts_drawn: list[int], data: st.DataObject
) -> None:
    counts = np.array(counts_drawn)
    size = data.draw(st.integers(N_STAYING, len(SPEC.vocab)))
    kept = choose_pieces(SPEC, counts, size)
    assert kept == sorted(set(kept))
    assert len(kept) == size
    assert set(range(N_STAYING)) <= set(kept)
    # Slow and plain: one after the other, the highest count first, then the lowest id.
    rest = sorted(range(N_STAYING, len(SPEC.vocab)), key=lambda i: (-counts[i], i))
    assert set(kept) - set(range(N_STAYING)) == set(rest[: size - N_STAYING])


@given(st.lists(TEXTS), TEXTS, st.integers(N_STAYING, len(SPEC.vocab)))
def test_what_the_full_vocabulary_can_spell_the_pruned_one_can_too(
    corpus: list[str], text: str, size: int
) -> None:
    pruned = SPEC.keep(choose_pieces(SPEC, count_pieces(SPEC, corpus), size))
    full_pieces, pruned_pieces = pieces(SPEC, text), pieces(pruned, text)
    assert pruned_pieces.count("[UNK]") == full_pieces.count("[UNK]")
    assert spelled(pruned_pieces) == spelled(full_pieces)


def spelled(word_pieces: list[str]) -> str:
    return " ".join(word_pieces).replace(" ##", "")


def test_a_word_whose_piece_went_is_spelled_by_smaller_ones() -> None:
    pruned = SPEC.keep(choose_pieces(SPEC, count_pieces(SPEC, ["the"]), N_STAYING + 1))
    assert pieces(pruned, "the time") == ["the", "t", "##i", "##m", "##e"]


@pytest.mark.parametrize("size", [0, N_STAYING - 1, len(SPEC.vocab) + 1])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(TokenizerError, match=f"size {size}: expected {N_STAYING} "):
        choose_pieces(SPEC, count_pieces(SPEC, []), size)


@pytest.mark.parametrize("size", [15_261, 7_630, 4_928, 3_052])
def test_the_papers_sizes_add_no_unknown_word(shared: Path, size: int) -> None:
    spec = TokenizerSpec.from_folder(shared / "checkpoints" / "minilm-l6-squad2")
    texts = read_corpus(shared / "data" / "cs224n-dev-v2.0.json")[::20]
    pruned = spec.keep(choose_pieces(spec, count_pieces(spec, texts[:100]), size))
    texts = [*texts, " ".join(spec.vocab)]
    for full, fewer in zip(
        Tokenizer(spec).encode_batch(texts), Tokenizer(pruned).encode_batch(texts), strict=True
    ):
        unknown_full = full.offsets[full.ids == spec.vocab.index("[UNK]")]
        unknown_fewer = fewer.offsets[fewer.ids == pruned.vocab.index("[UNK]")]
        assert unknown_fewer.tolist() == unknown_full.tolist()


def test_a_squad_corpus_is_each_context_once_and_the_questions(tmp_path: Path) -> None:
    qas = [{"id": str(i), "question": f"Q{i}?", "answers": []} for i in range(2)]
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "C.", "qas": qas}]}]}))
    assert read_corpus(path) == ["C.", "Q0?", "Q1?"]


def test_a_text_corpus_is_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes("\ufeffune été\r\n\n  \nzwei".encode())
    assert read_corpus(path) == ["une été", "zwei"]


@pytest.mark.parametrize("content", [b"", b" \n", b"ab\xff"])
def test_a_corpus_without_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"corpus\.txt"):
        read_corpus(path)
