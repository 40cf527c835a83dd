import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.answering.related import (
    _MULTIPLY_ADDS,
    MIN_SIMILARITY,
    NEIGHBOURS,
    WEIGHT,
    RelatedWords,
)

# Two families of words, and pieces that are no words.
VOCAB = ("[PAD]", "##ing", "dog", "hound", "puppy", "car", "lorry", "wagon", "a", "12", "é")
DIRECTIONS = {"dog": 0, "hound": 0, "puppy": 0, "##ing": 0, "car": 1, "lorry": 1, "wagon": 1}


@pytest.fixture
def related() -> RelatedWords:
    generator = np.random.default_rng(0)
    embeddings = 0.2 * generator.standard_normal((len(VOCAB), 8), dtype=np.float32)
    for row, piece in enumerate(VOCAB):
        if piece in DIRECTIONS:
            embeddings[row, DIRECTIONS[piece]] += 3
    return RelatedWords(VOCAB, embeddings + 5)


def test_words_of_the_same_family_are_found(related: RelatedWords) -> None:
    assert related.of(["dog"]).keys() == {"hound", "puppy"}
    assert related.of(["dog", "wagon"]).keys() == {"hound", "puppy", "car", "lorry"}


def test_the_words_themselves_are_not_their_relations(related: RelatedWords) -> None:
    assert related.of(["dog", "hound"]).keys() == {"puppy"}


@pytest.mark.parametrize("words", [[], ["zebra"], ["##ing"], ["[PAD]"], ["a"], ["12"]])
def test_what_is_no_word_of_the_vocabulary_has_no_relations(
    words: list[str], related: RelatedWords
) -> None:
    assert related.of(words) == {}


@given(st.lists(st.sampled_from([*VOCAB, "zebra"])), st.integers(0, 2**32 - 1))
def test_weights_are_those_of_a_search(words: list[str], seed: int) -> None:
    embeddings = np.random.default_rng(seed).standard_normal((len(VOCAB), 4), dtype=np.float32)
    weights = RelatedWords(VOCAB, embeddings).of(words)
    assert not weights.keys() & set(words)
    assert all(WEIGHT * MIN_SIMILARITY <= weight <= WEIGHT for weight in weights.values())


def test_words_of_all_blocks_are_found() -> None:
    hidden = 300
    block = _MULTIPLY_ADDS // (2 * hidden)  # of products with one word and the mean
    letters = str.maketrans("0123456789", "abcdefghij")
    vocab = [f"{n:05d}".translate(letters) for n in range(2 * block + 7)]
    generator = np.random.default_rng(0)
    few = generator.standard_normal((len(vocab), 6), dtype=np.float32)
    embeddings = few @ generator.standard_normal((6, hidden), dtype=np.float32)
    centred = (embeddings - embeddings.mean(axis=0)).astype(np.float64)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    related = RelatedWords(vocab, embeddings)
    for place in (0, block - 1, block, len(vocab) - 1):
        similar = directions @ directions[place]
        nearest = [int(each) for each in np.argsort(-similar) if each != place][:NEIGHBOURS]
        weights = related.of([vocab[place]])
        assert weights.keys() == {vocab[each] for each in nearest}
        for each in nearest:
            assert weights[vocab[each]] == pytest.approx(WEIGHT * similar[each], rel=1e-4)


@pytest.mark.parametrize("value", [0, 1, 0.1, 1e-12, 1e6 / 3])
def test_a_vocabulary_of_equal_embeddings_relates_nothing(value: float) -> None:
    # Their mean may differ from them by a rounding, which says nothing.
    embeddings = np.full((len(VOCAB), 7), value, dtype=np.float32)
    assert RelatedWords(VOCAB, embeddings).of(["dog", "car"]) == {}


def test_a_vocabulary_without_words_relates_nothing() -> None:
    assert RelatedWords(["[PAD]", "##s"], np.ones((2, 4), dtype=np.float32)).of(["dog"]) == {}
