"""What a teacher says of windows, as far as it matters: its best tokens, and the rest's weight."""

from dataclasses import dataclass
from typing import Self

import torch

# Tokens kept beside [CLS]. So kept, a window takes 72 bytes on disk; two float16 logits for each of
# its tokens, about 185, would take ten times as much.
N_BEST = 8


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """
    A teacher's distributions over the tokens of B windows: first of the starts, then of the ends.

    A window that its teacher can't read has probability 0 throughout, and so teaches nothing.

    Args:
        positions: (2, B, 1 + N_BEST) int64: 0, which is [CLS], then the most likely others, best
            first; 0 again where a window has fewer.
        log_probs: (2, B, 2 + N_BEST) float32: of these, and last of all other tokens together;
            -inf where there are none.
    """

    positions: torch.Tensor
    log_probs: torch.Tensor

    @classmethod
    def of(cls, probabilities: torch.Tensor) -> Self:
        """
        Keep what matters of whole distributions.

        Args:
            probabilities: (2, B, T) float32, 0 on padding.
        """
        null, others = probabilities[..., :1], probabilities[..., 1:]
        # Stable: the first among equals, wherever it is computed.
        values, order = others.sort(dim=-1, descending=True, stable=True)
        best, rest = values[..., :N_BEST], values[..., N_BEST:].sum(dim=-1, keepdim=True)
        missing = N_BEST - best.shape[-1]
        best = torch.nn.functional.pad(best, (0, missing))
        places = torch.nn.functional.pad(order[..., :N_BEST] + 1, (0, missing))
        positions = torch.cat([torch.zeros_like(places[..., :1]), places * (best > 0)], dim=-1)
        # Sums of rounded probabilities may be just above 1.
        return cls(positions, torch.cat([null, best, rest], dim=-1).log().clamp(max=0))

    def to(self, device: torch.device) -> "SoftTargets":
        """The same on another device."""
        return SoftTargets(self.positions.to(device), self.log_probs.to(device))
