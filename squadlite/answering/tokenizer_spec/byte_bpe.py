"""Byte-level byte pair encoding, as GPT-2 and RoBERTa have it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from squadlite.answering.tokenizer_spec.base import (
    MERGES_TENSOR,
    TokenizerSpec,
    check_sizes,
    ids_dtype,
    read_tensor,
)
from squadlite.container import SqzFile
from squadlite.errors import TensorError, TokenizerError


def _byte_alphabet() -> str:
    # The bytes that Latin-1 prints stand for themselves, the others for what follows U+00FF.
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printed]
    return "".join(
        chr(byte if byte in printed else 256 + others.index(byte)) for byte in range(256)
    )


BYTE_ALPHABET = _byte_alphabet()  # byte -> its character in a piece, as GPT-2 has it


@dataclass(frozen=True, kw_only=True)
class ByteBPESpec(TokenizerSpec):
    """
    Byte-level byte pair encoding, as GPT-2 and RoBERTa have it.

    Args:
        merges: (left, right) ids of the pieces that become one, the first merge first.
        add_prefix_space: a text that doesn't begin with a space is taken to.

    Raises:
        TokenizerError: as for any type; a byte without a piece, or with a special token for one; a
            merge twice, of no pieces, into no piece, or with a special token.

    Source: Radford et al. 2019, section 2.2; Sennrich et al. 2016.
    """

    type_name = "byte_bpe"
    since = (2, 0)
    _tensor_fields = ("vocab", "kept_ids", "merges")

    merges: tuple[tuple[int, int], ...]
    add_prefix_space: bool = False
    unk_token: str = "<unk>"
    cls_token: str = "<s>"
    sep_token: str = "</s>"
    pad_token: str = "<pad>"
    mask_token: str = "<mask>"
    template: str = "roberta"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.vocab)
        ids = self.ids
        for byte, character in enumerate(BYTE_ALPHABET):
            if character not in ids:
                raise TokenizerError(f"byte {byte:#04x} has no piece, expected {character!r}")
        if len(set(self.merges)) != len(self.merges):
            raise TokenizerError("a merge stands among the merges twice")
        for token in self.special_tokens:
            if token in BYTE_ALPHABET:
                raise TokenizerError(f"special token {token!r} is a byte's piece, expected another")
        special = {ids[token] for token in self.special_tokens}
        for rank, (left, right) in enumerate(self.merges):
            if not (0 <= left < len(self.vocab) and 0 <= right < len(self.vocab)):
                raise TokenizerError(
                    f"merge {rank}: {left} and {right}, the vocabulary has {len(self.vocab)} pieces"
                )
            made = ids.get(self.vocab[left] + self.vocab[right])
            if made is None:
                raise TokenizerError(
                    f"merge {rank}: {self.vocab[left]!r} and {self.vocab[right]!r} make no piece"
                )
            if special & {left, right, made}:
                raise TokenizerError(f"merge {rank}: has a special token, expected none in merges")

    @cached_property
    def ids(self) -> dict[str, int]:
        """Piece -> its id."""
        return {piece: piece_id for piece_id, piece in enumerate(self.vocab)}

    @cached_property
    def _parts(self) -> dict[int, tuple[int, int]]:
        # A piece -> what it is made of, by its first merge.
        parts: dict[int, tuple[int, int]] = {}
        for left, right in self.merges:
            parts.setdefault(self.ids[self.vocab[left] + self.vocab[right]], (left, right))
        return parts

    def words(self) -> tuple[str, ...]:
        """What pieces with a space before them spell."""
        space = BYTE_ALPHABET[ord(" ")]
        return tuple(spelled(piece[1:]) if piece.startswith(space) else "" for piece in self.vocab)

    def must_keep(self) -> np.ndarray:
        """The special tokens and the bytes."""
        needed = {*self.special_tokens, *BYTE_ALPHABET}
        return np.array([piece in needed for piece in self.vocab])

    def needs(self, piece_id: int) -> tuple[int, ...]:
        """The two pieces that it is made of; none for a byte."""
        return self._parts.get(piece_id, ())

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Beside the pieces "tokenizer.merges": (n_merges, 2) u16, or u32 where ids need it."""
        dtype = ids_dtype(len(self.vocab) - 1)
        merges = np.array(self.merges, dtype=dtype).reshape(-1, 2)
        return super().to_tensors() | {MERGES_TENSOR: merges}

    def _kept(self, kept: tuple[int, ...]) -> dict[str, Any]:
        new_ids = {old: new for new, old in enumerate(kept)}
        return {
            "merges": tuple(
                (new_ids[left], new_ids[right])
                for left, right in self.merges
                if {left, right, self.ids[self.vocab[left] + self.vocab[right]]} <= new_ids.keys()
            )
        }

    @classmethod
    def _read_tensors(cls, file: SqzFile) -> dict[str, Any]:
        merges = read_tensor(file, MERGES_TENSOR, 2, "u16", "u32")
        if merges.shape[1] != 2:
            raise TensorError(
                f"tensor {MERGES_TENSOR!r}: shape {list(merges.shape)}, expected pairs"
            )
        pairs = tuple((left, right) for left, right in merges.tolist())
        return super()._read_tensors(file) | {"merges": pairs}


def spelled(piece: str) -> str:
    """What a piece of bytes spells; "" where that isn't whole characters, or no bytes at all."""
    try:
        return bytes(BYTE_ALPHABET.index(character) for character in piece).decode()
    except ValueError:  # also UnicodeDecodeError
        return ""
