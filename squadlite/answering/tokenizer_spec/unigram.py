"""SentencePiece's unigram model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from squadlite.answering.charsmap import Charsmap, check_charsmap
from squadlite.answering.tokenizer_spec.base import (
    CHARSMAP_TENSOR,
    SCORES_TENSOR,
    SURROGATE,
    TokenizerSpec,
    check_sizes,
    read_tensor,
    read_text,
)
from squadlite.container import SqzFile
from squadlite.errors import HeaderError, TensorError, TokenizerError

MAX_SCORE = 2.0**127
METASPACE = "\u2581"  # ▁, what unigram pieces have for a space
MAX_STEPS = 32
# Name of a normalizer's step -> how many texts it goes with.
STEPS = {
    "charsmap": 0,
    "collapse_spaces": 1,
    "lowercase": 0,
    "nfc": 0,
    "nfd": 0,
    "nfkc": 0,
    "nfkd": 0,
    "nmt": 0,
    "replace": 2,
    "strip_accents": 0,
    "strip_left": 0,
    "strip_right": 0,
}


@dataclass(frozen=True, kw_only=True)
class UnigramSpec(TokenizerSpec):
    """
    SentencePiece's unigram model: of all ways to cut a text the likeliest.

    Args:
        scores: of each piece, the logarithm of how likely it is.
        normalizer: steps, each a name of STEPS and the texts that go with it.
        charsmap: of the step "charsmap"; empty without it.
        split_whitespace: white space ends a word and is dropped.
        add_prefix_space: a word that doesn't begin with ▁ gets one.
        split_metaspace: each ▁ begins a word.

    Raises:
        TokenizerError: as for any type; scores that aren't finite or not as many as pieces, an
            unknown step, or one that makes texts longer.

    Source: Kudo 2018; Kudo & Richardson 2018.
    """

    type_name = "unigram"
    since = (2, 0)
    _tensor_fields = ("vocab", "kept_ids", "scores", "charsmap")

    scores: tuple[float, ...]
    normalizer: tuple[tuple[str, ...], ...] = ()
    charsmap: Charsmap = ()
    split_whitespace: bool = True
    add_prefix_space: bool = True
    split_metaspace: bool = True
    unk_token: str = "<unk>"
    cls_token: str = "[CLS]"
    sep_token: str = "[SEP]"
    pad_token: str = "<pad>"
    mask_token: str = "[MASK]"
    template: str = "bert"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.vocab)
        if len(self.scores) != len(self.vocab):
            raise TokenizerError(
                f"found {len(self.scores)} scores, the vocabulary has {len(self.vocab)} pieces"
            )
        for piece, score in zip(self.vocab, self.scores, strict=True):
            # Sums of them stay finite too. NaN is refused by it as well.
            if not abs(score) <= MAX_SCORE:
                raise TokenizerError(f"piece {piece!r} has the score {score}, expected a number")
        _check_steps(self.normalizer)
        if (("charsmap",) in self.normalizer) != bool(self.charsmap):
            raise TokenizerError(
                "found a charsmap and no step for it, or the reverse, expected both"
            )
        if self.charsmap:
            try:
                check_charsmap(self.charsmap)
            except ValueError as error:
                raise TokenizerError(f"charsmap: {error}") from error

    def words(self) -> tuple[str, ...]:
        """What pieces that begin with ▁ spell."""
        return tuple(piece[1:] if piece.startswith(METASPACE) else "" for piece in self.vocab)

    def must_keep(self) -> np.ndarray:
        """The special tokens and the single characters."""
        special = set(self.special_tokens)
        return np.array([len(piece) == 1 or piece in special for piece in self.vocab])

    def to_header(self) -> dict[str, Any]:
        """The steps of the normalizer as lists."""
        return super().to_header() | {"normalizer": [list(step) for step in self.normalizer]}

    def to_tensors(self) -> dict[str, np.ndarray]:
        """
        Beside the pieces "tokenizer.scores", one per piece: f32, or where that doesn't hold them
        exactly u64, the bits of binary64; and for the step "charsmap" "tokenizer.charsmap", u8: all
        sources, then all targets, in UTF-8 joined by zeros.
        """
        scores = np.array(self.scores, dtype=np.float64)
        # Sums that are equal but for rounding decide between cuts: nothing is rounded here.
        exact = (scores.astype(np.float32) == scores).all()
        tensors = super().to_tensors()
        tensors[SCORES_TENSOR] = scores.astype(np.float32) if exact else scores.view(np.uint64)
        if self.charsmap:
            sources, targets = zip(*self.charsmap, strict=True)
            encoded = "\0".join((*sources, *targets)).encode()
            tensors[CHARSMAP_TENSOR] = np.frombuffer(encoded, dtype=np.uint8)
        return tensors

    def _kept(self, kept: tuple[int, ...]) -> dict[str, Any]:
        return {"scores": tuple(self.scores[i] for i in kept)}

    @classmethod
    def _read_header(cls, header: Mapping[str, Any]) -> dict[str, Any]:
        steps = header.get("normalizer")
        if not isinstance(steps, list) or not all(isinstance(step, list) for step in steps):
            raise HeaderError(f"tokenizer: normalizer is {steps!r:.80}, expected a list of steps")
        parts = super()._read_header({**header, "normalizer": tuple(map(tuple, steps))})
        try:
            _check_steps(parts["normalizer"])
        except TokenizerError as error:
            raise HeaderError(f"tokenizer: {error}") from error
        return parts

    @classmethod
    def _setting_types(cls) -> dict[str, Any]:
        return super()._setting_types() | {"normalizer": tuple}

    @classmethod
    def _read_tensors(cls, file: SqzFile) -> dict[str, Any]:
        stored = read_tensor(file, SCORES_TENSOR, 1, "f32", "u64")
        scores = tuple((stored.view(np.float64) if stored.dtype == np.uint64 else stored).tolist())
        return (
            super()._read_tensors(file)
            | {"scores": scores}
            | ({"charsmap": _read_charsmap(file)} if CHARSMAP_TENSOR in file.tensors else {})
        )


def _check_steps(steps: Sequence[tuple[Any, ...]]) -> None:
    if len(steps) > MAX_STEPS:
        raise TokenizerError(f"normalizer has {len(steps)} steps, expected at most {MAX_STEPS}")
    for step in steps:
        name, *texts = step or ("",)
        if not all(isinstance(part, str) for part in step) or STEPS.get(name) != len(texts):
            raise TokenizerError(
                f"normalizer has the step {step!r:.80}, expected one of {sorted(STEPS)} "
                "and the texts that go with it"
            )
        if SURROGATE.search("".join(texts)):
            raise TokenizerError(f"normalizer has half a surrogate pair in the step {step!r:.80}")
        # Steps that make texts longer could make a short one fill the memory.
        if name == "replace" and not 0 < len(texts[0]) >= len(texts[1]):
            raise TokenizerError(
                f"normalizer replaces {texts[0]!r:.80} by {texts[1]!r:.80}, expected no more "
                "characters than before"
            )
        if name == "collapse_spaces" and len(texts[0]) != 1:
            raise TokenizerError(
                f"normalizer makes {texts[0]!r:.80} of spaces, expected one character"
            )
    if len(set(steps)) != len(steps):
        raise TokenizerError("normalizer has a step twice")


def _read_charsmap(file: SqzFile) -> Charsmap:
    texts = read_text(read_tensor(file, CHARSMAP_TENSOR, 1, "u8"), CHARSMAP_TENSOR).split("\0")
    n_sources, odd = divmod(len(texts), 2)
    if odd:
        raise TensorError(
            f"tensor {CHARSMAP_TENSOR!r}: {len(texts)} texts, expected a target for each source"
        )
    return tuple(zip(texts[:n_sources], texts[n_sources:], strict=True))
