"""
Fewer word pieces: count them over a corpus, keep the most frequent.

Source: Deng & Looi 2020, section 3.4.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.squad import load_squad
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.errors import DatasetError, TokenizerError

TEXTS_PER_BATCH = 1024


def read_corpus(path: str | Path) -> list[str]:
    """
    Read the texts that word pieces are to be counted over.

    Args:
        path: a SQuAD file (*.json), of which each context and each question is a text; or any
            other file in UTF-8, of which each line is one.

    Raises:
        DatasetError: a file without text, not in UTF-8, or a broken SQuAD file.
        OSError: the file can't be read.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        examples = load_squad(path)
        contexts = dict.fromkeys(example.context for example in examples)
        return [*contexts, *(example.question for example in examples)]
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: byte {error.start} is not UTF-8 ({error.reason})") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise DatasetError(f"{path}: found no text")
    return texts


def count_pieces(
    spec: TokenizerSpec,
    texts: Iterable[str],
    *,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.int64]:
    """
    Count how often each word piece is used.

    Args:
        spec: the vocabulary.
        texts: the corpus.
        progress: called with the number of texts done so far, now and then.

    Returns:
        (n_pieces,) int64, counts by id.
    """
    tokenizer = Tokenizer(spec)
    counts = np.zeros(len(spec.vocab), dtype=np.int64)
    n_done = 0
    for batch in _batched(texts):
        ids = np.concatenate(tokenizer.encode_ids(batch))
        counts += np.bincount(ids, minlength=len(counts))
        n_done += len(batch)
        if progress is not None:
            progress(n_done)
    return counts


def choose_pieces(spec: TokenizerSpec, counts: NDArray[np.int64], size: int) -> list[int]:
    """
    Choose the pieces of a smaller vocabulary.

    Kept whatever their counts: the special tokens, and every piece of a single character (of word
    pieces in the form that begins a word and in the form that continues one; of byte-level BPE the
    bytes). Any word that the full vocabulary can spell can so still be spelled, only with more
    pieces. The other places go to the pieces that were counted most, among equals to the lower id
    (BERT's ids fall with frequency); one that is made of others by merges takes them with it.

    Args:
        spec: the vocabulary.
        counts: (n_pieces,), from `count_pieces`.
        size: pieces to keep; where the last place is too little for a piece with all that it is
            made of, fewer are kept.

    Returns:
        The ids to keep, ascending: `spec.keep(ids)` is the smaller tokenizer, and the rows `ids`
        of the word embeddings are the smaller model's.

    Raises:
        TokenizerError: a size below the pieces that must stay or above the vocabulary's.
    """
    must_stay = spec.must_keep()
    n_must_stay = int(must_stay.sum())
    if not n_must_stay <= size <= len(spec.vocab):
        raise TokenizerError(
            f"vocabulary size {size}: expected {n_must_stay} (special tokens and single "
            f"characters) to {len(spec.vocab)} (all pieces)"
        )
    # lexsort's last key counts most: those that must stay, then the counts, then the ids.
    order = np.lexsort((np.arange(len(spec.vocab)), -counts, ~must_stay))
    kept: set[int] = set()
    for piece_id in order.tolist():
        if len(kept) == size:
            break
        # A piece takes a place with all that it needs, or none.
        wanted = _with_needs(spec, piece_id, kept)
        if len(kept) + len(wanted) <= size:
            kept |= wanted
    return sorted(kept)


def _with_needs(spec: TokenizerSpec, piece_id: int, kept: set[int]) -> set[int]:
    # A piece and what it needs, as far as they aren't kept anyway.
    wanted: set[int] = set()
    waiting = {piece_id} - kept
    while waiting:
        wanted |= waiting
        waiting = {part for wanting in waiting for part in spec.needs(wanting)} - wanted - kept
    return wanted


def _batched(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    iterator = iter(texts)
    while batch := list(islice(iterator, TEXTS_PER_BATCH)):
        yield batch
