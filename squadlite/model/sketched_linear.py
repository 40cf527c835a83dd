"""A linear map whose inputs are first projected to few dimensions by random signs."""

import math

import torch
from torch import nn
from torch.nn import functional

from squadlite.container import seeded_signs, sketch_matrix


class SketchedLinear(nn.Module):
    """
    y = (W S^T)(S x) + b, in place of y = W x + b.

    S has m = `sketch_dim` rows of random signs times 1/sqrt(m), so that E[S^T S] = I. S never
    trains: it is a buffer, stored at one bit an entry; W S^T and b are trained on. A new layer
    draws its signs by torch's default generator, as nn.Linear draws its weights.

    Tensors: `sketched_weight` W S^T (outputs, m), `sketch` S (m, inputs), `bias` (outputs,).

    Args:
        in_features: length of x.
        out_features: length of y.
        sketch_dim: the paper's m.

    Source: Deng & Looi 2020, section 3.6.
    """

    def __init__(self, in_features: int, out_features: int, sketch_dim: int) -> None:
        super().__init__()
        # As for nn.Linear; S keeps the length of x, so m doesn't enter.
        bound = 1 / math.sqrt(in_features)
        self.sketched_weight = nn.Parameter(torch.empty(out_features, sketch_dim))
        self.bias = nn.Parameter(torch.empty(out_features))
        nn.init.uniform_(self.sketched_weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
        self.sketch: torch.Tensor
        self.register_buffer("sketch", torch.empty(sketch_dim, in_features))
        if not self.sketch.is_meta:
            self.sketch.copy_(random_sketch(sketch_dim, in_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., inputs) to (..., outputs)."""
        projected = functional.linear(x, self.sketch)  # (..., m)
        return functional.linear(projected, self.sketched_weight, self.bias)


def random_sketch(rows: int, columns: int) -> torch.Tensor:
    """Draw a (rows, columns) float32 matrix of +1/sqrt(rows) and -1/sqrt(rows), evenly."""
    seed = int(torch.randint(2**53, ()))
    signs = seeded_signs(seed, rows * columns)
    return torch.from_numpy(sketch_matrix(signs, (rows, columns)))
