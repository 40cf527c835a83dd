"""A linear map whose inputs are first projected to few dimensions by random signs."""

import math

import torch
from torch import nn
from torch.nn import functional


class SketchedLinear(nn.Module):
    """
    y = (W S^T)(S x) + b, in place of y = W x + b.

    S has m = `sketch_dim` rows of random signs times 1/sqrt(m), so that E[S^T S] = I. S never
    trains: it is a buffer, stored at one bit an entry; W S^T and b are trained on.

    Tensors: `sketched_weight` W S^T (outputs, m), `sketch` S (m, inputs), `bias` (outputs,).

    Args:
        in_features: length of x.
        out_features: length of y.
        sketch_dim: the paper's m.

    Source: Deng & Looi 2020, section 3.6.
    """

    def __init__(self, in_features: int, out_features: int, sketch_dim: int) -> None:
        super().__init__()
        # The weights of a linear map from the m sketched inputs are initialised as W S^T would be:
        # an entry of W S^T is a sum of n entries of variance 1/(3n), each times +-1/sqrt(m).
        plain = nn.Linear(sketch_dim, out_features)
        self.sketched_weight = plain.weight
        self.bias = plain.bias
        self.register_buffer("sketch", rademacher_signs(sketch_dim, in_features))
        self.sketch: torch.Tensor

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, sketch_dim: int, *, generator: torch.Generator | None = None
    ) -> "SketchedLinear":
        """
        Sketch a trained layer.

        Args:
            linear: the layer, with a bias; left as it is.
            sketch_dim: the paper's m.
            generator: where the signs come from; torch's default one if None.
        """
        sketched = cls(linear.in_features, linear.out_features, sketch_dim)
        sketched = sketched.to(linear.weight.device, linear.weight.dtype)
        with torch.no_grad():
            signs = rademacher_signs(sketch_dim, linear.in_features, generator=generator)
            sketched.sketch.copy_(signs)
            sketched.sketched_weight.copy_(linear.weight @ sketched.sketch.T)
            sketched.bias.copy_(linear.bias)
        return sketched

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., inputs) to (..., outputs)."""
        projected = functional.linear(x, self.sketch)  # (..., m)
        return functional.linear(projected, self.sketched_weight, self.bias)


def rademacher_signs(
    rows: int, columns: int, *, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw a (rows, columns) float32 matrix of +1/sqrt(rows) and -1/sqrt(rows), evenly."""
    bits = torch.randint(0, 2, (rows, columns), generator=generator)
    return (2 * bits - 1) / math.sqrt(rows)
