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
