"""What Hugging Face calls the fields and tensors of BERT and its relatives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from squadlite.config import MAX_LAYERS, NUM_BUCKETS, RELATIVE_POSITION_BIAS, ModelConfig

# What the first BERT checkpoints call a norm's weight and bias.
_OLD_ENDINGS = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}

# Fields that would ask any family for another kind of attention.
_PLAIN_ATTENTION: Mapping[str, object] = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


@dataclass(frozen=True)
class Family:
    """How one model type names what we have, and what of it is otherwise stored."""

    name: str  # as people write it
    architecture: str  # transformers' class of its question-answering models
    fields: Mapping[str, str]  # our config field -> the field in config.json
    defaults: Mapping[str, object]  # our config field -> what transformers takes when it is absent
    modules: Mapping[str, str]  # our module -> theirs; "layers.{}" is written once for all
    ignored: tuple[str, ...]  # beginnings of tensors that a question-answering model never uses
    expected: Mapping[str, object] = field(default_factory=dict)
    # field in config.json -> the one value of it that we compute, also taken when it is absent
    first_position: int = 0  # the row of position embeddings that a window's first token takes
    layer_groups: str | None = None  # the field in config.json that says how many layers are stored
    projects_equal_widths: bool = False  # embeddings as wide as the layers have a projection too

    @property
    def prefix(self) -> str:
        """What the names of an encoder's tensors begin with beside a head: "bert."."""
        return self.modules["embeddings.word"].partition(".")[0] + "."

    def name_of(self, name: str) -> str:
        """Their name of our tensor `name`."""
        # "layers.3.attention.query.weight": "weight" of "layers.{}.attention.query", layer 3.
        module, _, leaf = name.rpartition(".")
        if not module.startswith("layers."):
            return f"{self.modules[module]}.{leaf}"
        _, stored_layer, rest = module.split(".", 2)
        return f"{self.modules[f'layers.{{}}.{rest}'].format(stored_layer)}.{leaf}"

    def refused(self, values: Mapping[str, Any]) -> tuple[str, object, object] | None:
        """A field of config.json that asks for what we don't compute: (name, found, expected)."""
        for name, expected in {**_PLAIN_ATTENTION, **self.expected}.items():
            found = values.get(name, expected)
            if found != expected:
                return name, found, expected
        return None

    def config_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What `ModelConfig.from_dict` reads, made of config.json; nothing is validated yet."""
        ours = dict(self.defaults)
        ours |= {name: values[theirs] for name, theirs in self.fields.items() if theirs in values}
        positions = ours.get("max_position_embeddings")
        if type(positions) is int:
            ours["max_position_embeddings"] = positions - self.first_position
        if not self.projects_equal_widths and ours.get("embedding_size") == ours.get("hidden_size"):
            ours.pop("embedding_size", None)
        groups = values.get(self.layer_groups, 1) if self.layer_groups else None
        ours["layer_map"] = values.get("layer_map", layer_map_of(ours.get("num_layers"), groups))
        ours["sketch_dims"] = values.get("sketch_dims", {})
        return ours


def layer_map_of(num_layers: object, groups: object = None) -> list[int]:
    """
    Which stored layer each executed one uses where a checkpoint folder says nothing of its own.

    Args:
        num_layers: executed; not validated yet.
        groups: layers stored, each used by as many executed ones in a row, as in ALBERT; None: as
            many as are executed.
    """
    # A hostile count must not become a list as long.
    if type(num_layers) is not int or not 0 <= num_layers <= MAX_LAYERS:
        return []
    if groups is None:
        return list(range(num_layers))
    if type(groups) is not int or not 1 <= groups <= num_layers:
        return []
    return [int(layer / (num_layers / groups)) for layer in range(num_layers)]


_BERT_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_position_embeddings",
    "layer_norm_eps": "layer_norm_eps",
    "hidden_act": "hidden_act",
}
_BERT_DEFAULTS = {"type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}


def _embeddings_named(prefix: str) -> dict[str, str]:
    return {
        "embeddings.word": f"{prefix}.embeddings.word_embeddings",
        "embeddings.position": f"{prefix}.embeddings.position_embeddings",
        "embeddings.token_type": f"{prefix}.embeddings.token_type_embeddings",
        "embeddings.norm": f"{prefix}.embeddings.LayerNorm",
    }


def _bert_modules(prefix: str) -> dict[str, str]:
    layer = f"{prefix}.encoder.layer.{{}}"
    return {
        **_embeddings_named(prefix),
        "layers.{}.attention.query": f"{layer}.attention.self.query",
        "layers.{}.attention.key": f"{layer}.attention.self.key",
        "layers.{}.attention.value": f"{layer}.attention.self.value",
        "layers.{}.attention.output": f"{layer}.attention.output.dense",
        "layers.{}.attention.norm": f"{layer}.attention.output.LayerNorm",
        "layers.{}.feed_forward.intermediate": f"{layer}.intermediate.dense",
        "layers.{}.feed_forward.output": f"{layer}.output.dense",
        "layers.{}.feed_forward.norm": f"{layer}.output.LayerNorm",
        "span_head": "qa_outputs",
    }


def _ignored(prefix: str) -> tuple[str, ...]:
    embeddings = f"{prefix}.embeddings"
    return f"{embeddings}.position_ids", f"{embeddings}.token_type_ids", f"{prefix}.pooler"


BERT = Family(
    name="BERT",
    architecture="BertForQuestionAnswering",
    fields={**_BERT_FIELDS, "type_vocab_size": "type_vocab_size"},
    defaults=_BERT_DEFAULTS,
    modules=_bert_modules("bert"),
    ignored=_ignored("bert"),
)

DISTILBERT = Family(
    name="DistilBERT",
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

# RoBERTa and its distillations; every token has type 0.
ROBERTA = Family(
    name="RoBERTa",
    architecture="RobertaForQuestionAnswering",
    fields=BERT.fields,
    defaults=_BERT_DEFAULTS,
    modules=_bert_modules("roberta"),
    ignored=_ignored("roberta"),
    expected={"pad_token_id": 1},  # positions are counted from it
    first_position=2,
)

MPNET = Family(
    name="MPNet",
    architecture="MPNetForQuestionAnswering",
    # Narrow embeddings and their projection are ours: transformers has no such MPNet.
    fields={**_BERT_FIELDS, "embedding_size": "embedding_size"},
    defaults={
        **_BERT_DEFAULTS,
        "type_vocab_size": 0,
        "relative_position_buckets": NUM_BUCKETS,
    },
    modules={
        **_bert_modules("mpnet"),
        RELATIVE_POSITION_BIAS: "mpnet.encoder.relative_attention_bias",
        "embeddings.projection": "mpnet.embeddings_project",
        "layers.{}.attention.query": "mpnet.encoder.layer.{}.attention.attn.q",
        "layers.{}.attention.key": "mpnet.encoder.layer.{}.attention.attn.k",
        "layers.{}.attention.value": "mpnet.encoder.layer.{}.attention.attn.v",
        "layers.{}.attention.output": "mpnet.encoder.layer.{}.attention.attn.o",
        "layers.{}.attention.norm": "mpnet.encoder.layer.{}.attention.LayerNorm",
    },
    ignored=_ignored("mpnet"),
    # Whatever it says, transformers counts distances in 32 buckets.
    expected={"relative_attention_num_buckets": NUM_BUCKETS},
    first_position=2,
)

ELECTRA = Family(
    name="ELECTRA",
    architecture="ElectraForQuestionAnswering",
    fields={
        **_BERT_FIELDS,
        "type_vocab_size": "type_vocab_size",
        "embedding_size": "embedding_size",
    },
    defaults={**_BERT_DEFAULTS, "embedding_size": 128},
    modules={
        **_bert_modules("electra"),
        "embeddings.projection": "electra.embeddings_project",
    },
    ignored=_ignored("electra"),
)

_ALBERT_LAYER = "albert.encoder.albert_layer_groups.{}.albert_layers.0"
ALBERT = Family(
    name="ALBERT",
    architecture="AlbertForQuestionAnswering",
    fields=ELECTRA.fields,
    defaults={**_BERT_DEFAULTS, "hidden_act": "gelu_new", "embedding_size": 128},
    modules={
        **_embeddings_named("albert"),
        "embeddings.projection": "albert.encoder.embedding_hidden_mapping_in",
        "layers.{}.attention.query": f"{_ALBERT_LAYER}.attention.query",
        "layers.{}.attention.key": f"{_ALBERT_LAYER}.attention.key",
        "layers.{}.attention.value": f"{_ALBERT_LAYER}.attention.value",
        "layers.{}.attention.output": f"{_ALBERT_LAYER}.attention.dense",
        "layers.{}.attention.norm": f"{_ALBERT_LAYER}.attention.LayerNorm",
        "layers.{}.feed_forward.intermediate": f"{_ALBERT_LAYER}.ffn",
        "layers.{}.feed_forward.output": f"{_ALBERT_LAYER}.ffn_output",
        "layers.{}.feed_forward.norm": f"{_ALBERT_LAYER}.full_layer_layer_norm",
        "span_head": "qa_outputs",
    },
    ignored=_ignored("albert"),
    expected={"inner_group_num": 1},
    layer_groups="num_hidden_groups",
    projects_equal_widths=True,
)

FAMILIES = {
    "bert": BERT,
    "distilbert": DISTILBERT,
    "roberta": ROBERTA,
    "mpnet": MPNET,
    "electra": ELECTRA,
    "albert": ALBERT,
}


def model_type_of(config: ModelConfig) -> str:
    """The family that a model is written as: the plainest that can be all it is."""
    if config.relative_position_buckets is not None:
        return "mpnet"
    if config.embedding_size is not None:
        is_shared = config.num_layer_groups < config.num_layers
        return "albert" if is_shared or config.embedding_size == config.hidden_size else "electra"
    return {0: "distilbert", 1: "roberta"}.get(config.type_vocab_size, "bert")


def family_fields(config: ModelConfig) -> dict[str, Any]:
    """What config.json says of a model's shape, sketches and some ways to share layers apart."""
    model_type = model_type_of(config)
    family, values = FAMILIES[model_type], config.to_dict()
    if "embedding_size" in family.defaults:
        values.setdefault("embedding_size", config.hidden_size)
    values["max_position_embeddings"] += family.first_position
    shape = {theirs: values[name] for name, theirs in family.fields.items() if name in values}
    if family.layer_groups is not None:
        shape[family.layer_groups] = config.num_layer_groups
    return {
        "model_type": model_type,
        "architectures": [family.architecture],
        **shape,
        **family.expected,
    }


def modern_name(name: str) -> str:
    """Their name of today for a tensor whose name may be an old one."""
    for old, new in _OLD_ENDINGS.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
