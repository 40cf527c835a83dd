"""The question-answering encoder in torch, and the two places it loads from."""

from squadlite.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from squadlite.model.compute import COMPUTES, Compute, prepare
from squadlite.model.config import ModelConfig
from squadlite.model.encoder import QuestionAnsweringModel, tensor_shapes
from squadlite.model.load import load_model, model_from_checkpoint, model_from_sqz
from squadlite.model.packed import PackedModel
from squadlite.model.sketched_linear import SketchedLinear

__all__ = [
    "COMPUTES",
    "Checkpoint",
    "Compute",
    "ModelConfig",
    "PackedModel",
    "QuestionAnsweringModel",
    "SketchedLinear",
    "load_checkpoint",
    "load_model",
    "model_from_checkpoint",
    "model_from_sqz",
    "prepare",
    "save_checkpoint",
    "tensor_shapes",
]
