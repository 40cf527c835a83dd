"""Dropout for models in training: ours, made for answering, have none of their own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from squadlite.model import QuestionAnsweringModel


@contextmanager
def dropout(model: nn.Module, share: float) -> Iterator[None]:
    """
    Zero a share of the values after the embeddings and after every attention and feed-forward
    block's last linear map, while the model is in training mode and the block lasts; in a model
    that has layers for it, where these are.

    Source: Devlin et al. 2018, appendix A.2.
    """

    def drop(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if output.device.type == "cpu" and model.training:
            dropped: torch.Tensor = _Dropped.apply(output, share)  # type: ignore[no-untyped-call]
            return dropped
        return functional.dropout(output, share, training=model.training)

    with ExitStack() as undo:
        if share > 0 and isinstance(model, QuestionAnsweringModel):
            for module in _places(model):
                undo.callback(module.register_forward_hook(drop).remove)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                undo.callback(setattr, module, "p", module.p)
                module.p = share
        yield


def _places(model: QuestionAnsweringModel) -> Iterator[nn.Module]:
    yield model.embeddings
    for name, module in model.layers.named_modules():
        if name.endswith((".attention.output", ".feed_forward.output")):
            yield module


class _Dropped(torch.autograd.Function):
    """
    Dropout of a share of the values, to the nearest 1/32768.

    torch's own on a CPU draws each value's fate alone, in double precision, which takes a tenth of
    a training. Here a random integer decides about four, and values are zeroed by their bits.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, share: float) -> torch.Tensor:
        ctx.kept, ctx.scale = _kept(x.shape, share), 1 / (1 - share)
        return _keep(x, ctx.kept, ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return _keep(gradients[0], ctx.kept, ctx.scale), None


_STEPS = 1 << 15
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their size in bytes


def _kept(shape: torch.Size, share: float) -> torch.Tensor:
    # int16 of a shape: all bits set where a value is kept, none where it isn't.
    count = shape.numel()
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    chances = drawn.view(torch.int16)[:count].view(shape).bitwise_and_(_STEPS - 1)
    below = chances.sub_(round(share * _STEPS)).bitwise_right_shift_(15)  # the sign, in every bit
    return below.bitwise_not_()


def _keep(x: torch.Tensor, kept: torch.Tensor, scale: float) -> torch.Tensor:
    integer = _INTEGERS[x.element_size()]
    return (x.contiguous().view(integer) & kept.to(integer)).view(x.dtype).mul_(scale)
