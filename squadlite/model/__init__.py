"""The question-answering encoder in torch, and the two places it loads from."""

from squadlite.config import COMPUTES, Compute, ModelConfig, tensor_shapes
from squadlite.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from squadlite.model.compute import prepare
from squadlite.model.encoder import Attend, QuestionAnsweringModel
from squadlite.model.load import (
    checkpoint_from_sqz,
    load_model,
    model_from_arrays,
    model_from_checkpoint,
    model_from_sqz,
)
from squadlite.model.packed import PackedModel
from squadlite.model.scorer import TorchScorer
from squadlite.model.sketched_linear import SketchedLinear

__all__ = [
    "COMPUTES",
    "Attend",
    "Checkpoint",
    "Compute",
    "ModelConfig",
    "PackedModel",
    "QuestionAnsweringModel",
    "SketchedLinear",
    "TorchScorer",
    "checkpoint_from_sqz",
    "load_checkpoint",
    "load_model",
    "model_from_arrays",
    "model_from_checkpoint",
    "model_from_sqz",
    "prepare",
    "save_checkpoint",
    "tensor_shapes",
]
