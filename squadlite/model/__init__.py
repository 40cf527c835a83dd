"""The question-answering encoder in torch, and the two places it loads from."""

from squadlite.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from squadlite.model.config import ModelConfig
from squadlite.model.encoder import QuestionAnsweringModel, tensor_shapes
from squadlite.model.load import load_model, model_from_checkpoint, model_from_sqz
from squadlite.model.sketched_linear import SketchedLinear

__all__ = [
    "Checkpoint",
    "ModelConfig",
    "QuestionAnsweringModel",
    "SketchedLinear",
    "load_checkpoint",
    "load_model",
    "model_from_checkpoint",
    "model_from_sqz",
    "save_checkpoint",
    "tensor_shapes",
]
