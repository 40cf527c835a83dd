"""A model that scores windows by our own kernels."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squadlite.config import ModelConfig
from squadlite.native.frame import SLOTS
from squadlite.native.layout import BLOCK_ROWS, MAX_TOKENS, NEVER, Layout
from squadlite.native.machine_code import load_library
from squadlite.native.weights import PackedWeights, aligned_zeros, load_weights

Ids = NDArray[np.int64]

_MOST_HELPERS = 63  # beside the calling thread


class NativeScorer:
    """
    Scores and embeds by our own kernels; see `squadlite.answering.scorer.Encoder`.

    A call computes window by window. Threads take a window's blocks of rows one after another, so
    that one which comes late, as on a busy machine, keeps no other waiting.

    Args:
        layout: of the model, on this processor.
        tensors: the model's.
        digest: of the tensors; with it they are kept in the cache as kernels read them.

    Raises:
        SquadliteError: weights that aren't numbers.
    """

    def __init__(
        self,
        layout: Layout,
        tensors: Mapping[str, NDArray[np.float32]],
        digest: str | None = None,
    ) -> None:
        self._layout = layout
        self._weights = load_weights(tensors, layout, digest)
        self._library = load_library(layout)
        self._idle: list[_Workspace] = []
        self._helpers = ThreadPoolExecutor(_MOST_HELPERS)

    @property
    def config(self) -> ModelConfig:
        """The model's."""
        return self._layout.config

    @property
    def instructions(self) -> str:
        """What they multiply matrices by."""
        cpu = self._layout.cpu
        return f"{cpu.instructions}, {32 * cpu.lanes}-bit vectors"

    @property
    def word_embeddings(self) -> NDArray[np.float32]:
        """(V, embedding_width)."""
        return self._weights.words

    def __call__(
        self,
        input_ids: Ids,
        token_type_ids: Ids,
        attention_mask: NDArray[np.bool_],
        *,
        threads: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """
        See `Scorer`.

        Raises:
            ValueError: ids that the model hasn't, more tokens than it has positions for, or
                padding before a token.
        """
        logits = np.zeros((2, *input_ids.shape), dtype=np.float32)
        for row, window in self._passes(input_ids, token_type_ids, attention_mask, threads):
            found = window.logits
            logits[:, row, : found.shape[1]] = found
        return logits[0], logits[1]

    def embed(
        self, input_ids: Ids, attention_mask: NDArray[np.bool_], *, threads: int
    ) -> NDArray[np.float32]:
        """See `Encoder`; raises as a call does."""
        means = np.zeros((len(input_ids), self._layout.hidden), dtype=np.float32)
        types = np.zeros_like(input_ids)
        for row, window in self._passes(input_ids, types, attention_mask, threads):
            means[row] = window.hidden.mean(axis=0)
        return means

    def _passes(
        self,
        input_ids: Ids,
        token_type_ids: Ids,
        attention_mask: NDArray[np.bool_],
        threads: int,
    ) -> Iterator[tuple[int, "_Workspace"]]:
        # Row -> what its window's pass has left in memory, until the next one; rows of padding
        # alone are passed over.
        lengths = self._checked_lengths(input_ids, token_type_ids, attention_mask)
        try:
            workspace = self._idle.pop()
        except IndexError:
            workspace = _Workspace(self._layout, self._weights)
        for row, length in enumerate(lengths):
            if length:
                workspace.fill(input_ids[row, :length], token_type_ids[row, :length])
                self._compute(workspace, threads)
                yield row, workspace
        self._idle.append(workspace)

    def _compute(self, workspace: "_Workspace", threads: int) -> None:
        own, *others = workspace.frames(threads)
        helpers = [self._helpers.submit(self._take_part, workspace, frame) for frame in others]
        try:
            self._take_part(workspace, own)
        finally:
            # None may be at work when the next window is filled in.
            for helper in helpers:
                if not helper.cancel():
                    helper.result()

    def _take_part(self, workspace: "_Workspace", frame: NDArray[np.uint64]) -> None:
        # Both stay in memory as long as a thread is in here, also when the call was interrupted.
        self._library.forward(frame.ctypes.data)

    def _checked_lengths(
        self, input_ids: Ids, token_type_ids: Ids, attention_mask: NDArray[np.bool_]
    ) -> list[int]:
        # Kernels go where ids point to.
        config, length = self.config, input_ids.shape[1]
        if length > config.max_position_embeddings:
            raise ValueError(
                f"input_ids: found {length} tokens, "
                f"expected at most {config.max_position_embeddings} (max_position_embeddings)"
            )
        for name, ids, size in (
            ("input_ids", input_ids, config.vocab_size),
            ("token_type_ids", token_type_ids, config.type_vocab_size or 2),
        ):
            if ids.size and not 0 <= ids.min() <= ids.max() < size:
                raise ValueError(
                    f"{name}: found {ids.min()} to {ids.max()}, expected 0 to {size - 1}"
                )
        lengths = attention_mask.sum(axis=1)
        if (attention_mask != (np.arange(length) < lengths[:, None])).any():
            raise ValueError("attention_mask: found padding before a token, expected it behind")
        counted: list[int] = lengths.tolist()
        return counted


class _Workspace:
    # Memory for one window at a time, and a frame for each thread that computes it.

    def __init__(self, layout: Layout, weights: PackedWeights) -> None:
        self._layout = layout
        tokens, of_tokens = MAX_TOKENS, MAX_TOKENS * layout.hidden
        of_heads = 2 * layout.heads * MAX_TOKENS  # in two places, see `SLOTS`
        self._parts = {
            "token_ids": aligned_zeros(4 * tokens),
            "token_types": aligned_zeros(4 * tokens),
            "hidden": aligned_zeros(4 * of_tokens),
            "codes": aligned_zeros(of_tokens),
            "code_scales": aligned_zeros(4 * tokens),
            "query_codes": aligned_zeros(of_tokens),
            "query_scales": aligned_zeros(4 * layout.heads * tokens),
            "key_codes": aligned_zeros(2 * of_tokens),
            "key_scales": aligned_zeros(4 * of_heads),
            "key_corrections": aligned_zeros(4 * of_heads),
            "value_codes": aligned_zeros(2 * 2 * of_tokens),
            "value_exponents": aligned_zeros(4 * of_heads),
            "value_units": aligned_zeros(4 * of_heads),
            "start_logits": aligned_zeros(4 * tokens),
            "end_logits": aligned_zeros(4 * tokens),
            "taken": aligned_zeros(8),
            "done": aligned_zeros(8),
        }
        self._length = 0
        self._scratches: list[NDArray[np.uint8]] = []
        self._frame = np.zeros(len(SLOTS), dtype=np.uint64)
        self._put(
            weights.addresses | {name: part.ctypes.data for name, part in self._parts.items()}
        )

    @property
    def logits(self) -> NDArray[np.float32]:
        """(2, tokens): of starts and of ends."""
        return np.stack([self._of(name)[: self._length] for name in ("start_logits", "end_logits")])

    @property
    def hidden(self) -> NDArray[np.float32]:
        """(tokens, hidden): what the last layer gives."""
        return self._of("hidden").reshape(MAX_TOKENS, -1)[: self._length]

    def fill(self, token_ids: Ids, token_types: Ids) -> None:
        """Take in a window."""
        layout, length = self._layout, len(token_ids)
        self._length = length
        n_rows = -(-length // layout.cpu.tile_rows) * layout.cpu.tile_rows
        n_keys = -(-length // layout.panel_keys) * layout.panel_keys
        self._put({"n_tokens": length, "n_rows": n_rows, "n_keys": n_keys})
        for name, ids in (("token_ids", token_ids), ("token_types", token_types)):
            rows = self._of(name, np.int32)
            rows[:length], rows[length:n_rows] = ids, 0
        # A longer window may have been here before.
        for name, nothing in (("value_exponents", NEVER), ("value_units", 0)):
            self._of(name).reshape(-1, MAX_TOKENS)[:, length:n_keys] = nothing

    def frames(self, n_threads: int) -> list[NDArray[np.uint64]]:
        """
        Begin a pass.

        Returns:
            A frame for each thread, as many as the window has work for.
        """
        tile_rows = self._layout.cpu.tile_rows
        tiles = -(-self._length // tile_rows)
        n_threads = min(n_threads, tiles)
        # As many blocks for each thread, and not more rows in them than scratches have room for.
        rounds = -(-tiles * tile_rows // (BLOCK_ROWS * n_threads))
        block_tiles = -(-tiles // (rounds * n_threads))
        n_blocks = -(-tiles // block_tiles)
        self._put({"n_blocks": n_blocks, "n_block_rows": block_tiles * tile_rows})
        for counter in ("taken", "done"):
            self._parts[counter][:] = 0
        while len(self._scratches) < n_threads:
            self._scratches.append(aligned_zeros(self._layout.scratch["end"]))
        frames = [self._frame.copy() for _ in range(n_threads)]
        for frame, scratch in zip(frames, self._scratches, strict=False):
            frame[SLOTS.index("scratch")] = scratch.ctypes.data
        return frames

    def _of(self, name: str, kind: type = np.float32) -> NDArray[Any]:
        return self._parts[name].view(kind)

    def _put(self, values: Mapping[str, int]) -> None:
        for name, value in values.items():
            self._frame[SLOTS.index(name)] = value
