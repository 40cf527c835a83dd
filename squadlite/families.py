"""What Hugging Face calls the fields and tensors of BERT and DistilBERT."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from squadlite.config import ModelConfig

# What the first BERT checkpoints call a norm's weight and bias.
_OLD_ENDINGS = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}


@dataclass(frozen=True)
class Family:
    """How one model type names what we have."""

    architecture: str  # transformers' class of its question-answering models
    fields: Mapping[str, str]  # our config field -> the field in config.json
    defaults: Mapping[str, object]  # our config field -> what transformers takes when it is absent
    modules: Mapping[str, str]  # our module -> theirs; "layers.{}" is written once for all
    ignored: tuple[str, ...]  # beginnings of tensors that a question-answering model never uses

    def name_of(self, name: str) -> str:
        """Their name of our tensor `name`."""
        # "layers.3.attention.query.weight": "weight" of "layers.{}.attention.query", layer 3.
        module, _, leaf = name.rpartition(".")
        if not module.startswith("layers."):
            return f"{self.modules[module]}.{leaf}"
        _, stored_layer, rest = module.split(".", 2)
        return f"{self.modules[f'layers.{{}}.{rest}'].format(stored_layer)}.{leaf}"


BERT = Family(
    architecture="BertForQuestionAnswering",
    fields={
        "vocab_size": "vocab_size",
        "hidden_size": "hidden_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "intermediate_size": "intermediate_size",
        "max_position_embeddings": "max_position_embeddings",
        "type_vocab_size": "type_vocab_size",
        "layer_norm_eps": "layer_norm_eps",
        "hidden_act": "hidden_act",
    },
    defaults={"type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"},
    modules={
        "embeddings.word": "bert.embeddings.word_embeddings",
        "embeddings.position": "bert.embeddings.position_embeddings",
        "embeddings.token_type": "bert.embeddings.token_type_embeddings",
        "embeddings.norm": "bert.embeddings.LayerNorm",
        "layers.{}.attention.query": "bert.encoder.layer.{}.attention.self.query",
        "layers.{}.attention.key": "bert.encoder.layer.{}.attention.self.key",
        "layers.{}.attention.value": "bert.encoder.layer.{}.attention.self.value",
        "layers.{}.attention.output": "bert.encoder.layer.{}.attention.output.dense",
        "layers.{}.attention.norm": "bert.encoder.layer.{}.attention.output.LayerNorm",
        "layers.{}.feed_forward.intermediate": "bert.encoder.layer.{}.intermediate.dense",
        "layers.{}.feed_forward.output": "bert.encoder.layer.{}.output.dense",
        "layers.{}.feed_forward.norm": "bert.encoder.layer.{}.output.LayerNorm",
        "span_head": "qa_outputs",
    },
    ignored=("bert.embeddings.position_ids", "bert.embeddings.token_type_ids", "bert.pooler."),
)

DISTILBERT = Family(
    architecture="DistilBertForQuestionAnswering",
    fields={
        "vocab_size": "vocab_size",
        "hidden_size": "dim",
        "num_layers": "n_layers",
        "num_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "max_position_embeddings": "max_position_embeddings",
        "hidden_act": "activation",
    },
    defaults={"type_vocab_size": 0, "layer_norm_eps": 1e-12, "hidden_act": "gelu"},
    modules={
        "embeddings.word": "distilbert.embeddings.word_embeddings",
        "embeddings.position": "distilbert.embeddings.position_embeddings",
        "embeddings.norm": "distilbert.embeddings.LayerNorm",
        "layers.{}.attention.query": "distilbert.transformer.layer.{}.attention.q_lin",
        "layers.{}.attention.key": "distilbert.transformer.layer.{}.attention.k_lin",
        "layers.{}.attention.value": "distilbert.transformer.layer.{}.attention.v_lin",
        "layers.{}.attention.output": "distilbert.transformer.layer.{}.attention.out_lin",
        "layers.{}.attention.norm": "distilbert.transformer.layer.{}.sa_layer_norm",
        "layers.{}.feed_forward.intermediate": "distilbert.transformer.layer.{}.ffn.lin1",
        "layers.{}.feed_forward.output": "distilbert.transformer.layer.{}.ffn.lin2",
        "layers.{}.feed_forward.norm": "distilbert.transformer.layer.{}.output_layer_norm",
        "span_head": "qa_outputs",
    },
    ignored=("distilbert.embeddings.position_ids",),
)

FAMILIES = {"bert": BERT, "distilbert": DISTILBERT}


def family_fields(config: ModelConfig) -> dict[str, Any]:
    """
    What config.json says of a model's shape, shared layers and sketches apart.

    A model with token types is a BERT, one without a DistilBERT.
    """
    model_type = "bert" if config.type_vocab_size else "distilbert"
    family, values = FAMILIES[model_type], config.to_dict()
    return {
        "model_type": model_type,
        "architectures": [family.architecture],
        **{theirs: values[name] for name, theirs in family.fields.items()},
    }


def modern_name(name: str) -> str:
    """Their name of today for a tensor whose name may be an old one."""
    for old, new in _OLD_ENDINGS.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
