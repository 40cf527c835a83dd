"""What a question-answering encoder looks like, and what it may compute in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from squadlite.errors import ConfigError

MAX_SIZE = 1 << 20  # of any one dimension
MAX_LAYERS = 256  # executed
MAX_PARAMETERS = 1 << 31  # 8 GiB in float32; BERT-large has 335 million

# The numbers that a model computes in; "auto" is what is fastest on the machine.
Compute = Literal["auto", "f32", "bf16", "int8"]
COMPUTES: tuple[Compute, ...] = get_args(Compute)

# The names are Hugging Face's: checkpoints and .sqz files both carry them.
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")

NUM_BUCKETS = 32  # of distances, half of them for keys behind their query
RELATIVE_POSITION_BIAS = "relative_position_bias"  # begins the name of its tensor


@dataclass(frozen=True)
class ModelConfig:
    """
    The shape of one model. An instance is valid: every rule is checked when it is made.

    Raises:
        ConfigError: a field of the wrong type or out of range, or fields that contradict another.
    """

    vocab_size: int  # word pieces kept
    hidden_size: int  # width of the vectors between layers
    num_layers: int  # layers executed
    num_heads: int  # attention heads, each hidden_size / num_heads wide
    intermediate_size: int  # width inside the feed-forward block
    max_position_embeddings: int  # longest input, in tokens
    type_vocab_size: int  # kinds of token, question and context; 0: none, as in DistilBERT
    layer_norm_eps: float  # added to the variance in every norm
    hidden_act: str  # a name in ACTIVATIONS, applied inside the feed-forward block
    layer_map: tuple[int, ...]  # the stored layer that each executed layer uses
    sketch_dims: Mapping[str, int] = field(default_factory=dict)
    # the sketch's m for each sketched linear of a layer ("attention.query": 256); others are plain
    embedding_size: int | None = None
    # width of the embeddings where a linear map takes them to `hidden_size`; None: none does
    relative_position_buckets: int | None = None
    # buckets of distances, by which each head's scores have a bias; None: they have none

    def __post_init__(self) -> None:
        for name, smallest in _SMALLEST.items():
            largest = MAX_LAYERS if name == "num_layers" else MAX_SIZE
            _check_integer(name, getattr(self, name), smallest, largest)
        if self.hidden_size % self.num_heads:
            raise _error(
                "hidden_size", self.hidden_size, f"a multiple of num_heads {self.num_heads}"
            )
        if self.embedding_size is not None:
            _check_integer("embedding_size", self.embedding_size, 1, MAX_SIZE)
        self._check_choices()
        self._check_layer_map()
        self._check_sketch_dims()
        if self.num_parameters > MAX_PARAMETERS:
            raise ConfigError(
                f"model config: found {self.num_parameters} parameters, "
                f"expected at most {MAX_PARAMETERS}"
            )

    @property
    def num_layer_groups(self) -> int:
        """Layers stored: executed layers with the same entry in `layer_map` share one."""
        return max(self.layer_map) + 1

    @property
    def linear_shapes(self) -> dict[str, tuple[int, int]]:
        """Name in a layer -> (inputs, outputs), for the six linear maps of every layer."""
        return {
            "attention.query": (self.hidden_size, self.hidden_size),
            "attention.key": (self.hidden_size, self.hidden_size),
            "attention.value": (self.hidden_size, self.hidden_size),
            "attention.output": (self.hidden_size, self.hidden_size),
            "feed_forward.intermediate": (self.hidden_size, self.intermediate_size),
            "feed_forward.output": (self.intermediate_size, self.hidden_size),
        }

    def linear_values(self, name: str) -> int:
        """Values in the matrices of one of these maps: W, or W S^T and S; its bias left out."""
        inputs, outputs = self.linear_shapes[name]
        sketch_dim = self.sketch_dims.get(name)
        return sketch_dim * (inputs + outputs) if sketch_dim else inputs * outputs

    @property
    def version(self) -> tuple[int, int]:
        """The lowest version of the .sqz format that has all of it."""
        return (1, 0) if all(getattr(self, name) is None for name in _OPTIONAL) else (2, 0)

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings."""
        return self.hidden_size if self.embedding_size is None else self.embedding_size

    @property
    def num_parameters(self) -> int:
        """Values stored, the signs of sketches included."""
        rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size + 2
        around = rows * self.embedding_width + 2 * self.hidden_size + 2
        if self.embedding_size is not None:
            around += (self.embedding_size + 1) * self.hidden_size
        around += (self.relative_position_buckets or 0) * self.num_heads
        norm = 2 * self.hidden_size
        layer = 2 * norm
        for name, (_, outputs) in self.linear_shapes.items():
            layer += self.linear_values(name) + outputs
        return around + self.num_layer_groups * layer

    def to_dict(self) -> dict[str, Any]:
        """The configuration as a JSON object, the `model` part of a .sqz header."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {"layer_map": list(self.layer_map), "sketch_dims": dict(self.sketch_dims)}
        for name in _OPTIONAL:
            if values[name] is None:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: object) -> "ModelConfig":
        """
        Read the JSON object that `to_dict` writes.

        Raises:
            ConfigError: not an object, a field missing or unknown, or a value that breaks a rule.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"model config: found {_shown(values)}, expected an object")
        names = [item.name for item in fields(cls)]
        missing = [name for name in names if name not in values and name not in _OPTIONAL]
        if missing:
            raise ConfigError(f"model config field '{missing[0]}': found nothing, expected a value")
        unknown = [name for name in values if name not in names]
        if unknown:
            expected = f"one of {', '.join(names)}"
            raise ConfigError(
                f"model config: found field {_shown(unknown[0])}, expected {expected}"
            )
        for name in _OPTIONAL:
            if name in values and values[name] is None:
                raise _error(name, None, "a whole number, or no such field")
        layer_map = values["layer_map"]
        if not isinstance(layer_map, list):
            raise _error("layer_map", layer_map, "a list")
        return cls(**{**values, "layer_map": tuple(layer_map)})

    def _check_choices(self) -> None:
        eps = self.layer_norm_eps
        if not isinstance(eps, float) or not 0 < eps <= 1:
            raise _error("layer_norm_eps", eps, "a number above 0, at most 1")
        if not isinstance(self.hidden_act, str) or self.hidden_act not in ACTIVATIONS:
            raise _error("hidden_act", self.hidden_act, f"one of {', '.join(ACTIVATIONS)}")
        buckets = self.relative_position_buckets
        if buckets is not None and (type(buckets) is not int or buckets != NUM_BUCKETS):
            raise _error("relative_position_buckets", buckets, str(NUM_BUCKETS))

    def _check_layer_map(self) -> None:
        if len(self.layer_map) != self.num_layers:
            expected = f"one entry for each of the {self.num_layers} layers"
            raise _error("layer_map", list(self.layer_map), expected)
        for entry in self.layer_map:
            _check_integer("layer_map", entry, 0, self.num_layers - 1)
        unused = set(range(self.num_layer_groups)) - set(self.layer_map)
        if unused:
            expected = f"every stored layer used; {min(unused)} is not"
            raise _error("layer_map", list(self.layer_map), expected)

    def _check_sketch_dims(self) -> None:
        if not isinstance(self.sketch_dims, Mapping):
            raise _error("sketch_dims", self.sketch_dims, "an object")
        shapes = self.linear_shapes
        for name, sketch_dim in self.sketch_dims.items():
            if name not in shapes:
                raise _error("sketch_dims", name, f"one of {', '.join(shapes)}")
            inputs, _ = shapes[name]
            _check_integer(f"sketch_dims.{name}", sketch_dim, 1, inputs)


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a model, in the order in which a file holds them."""
    hidden, embedded = (config.hidden_size,), (config.embedding_width,)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word.weight": (config.vocab_size, *embedded),
        "embeddings.position.weight": (config.max_position_embeddings, *embedded),
    }
    if config.type_vocab_size:
        shapes["embeddings.token_type.weight"] = (config.type_vocab_size, *embedded)
    shapes |= _norm_shapes("embeddings", embedded)
    if config.embedding_size is not None:
        shapes |= _linear_shapes(
            "embeddings.projection", config.embedding_size, config.hidden_size, None
        )
    if config.relative_position_buckets is not None:
        shapes[f"{RELATIVE_POSITION_BIAS}.weight"] = (
            config.relative_position_buckets,
            config.num_heads,
        )
    for layer in range(config.num_layer_groups):
        prefix = f"layers.{layer}"
        for name, (inputs, outputs) in config.linear_shapes.items():
            shapes |= _linear_shapes(
                f"{prefix}.{name}", inputs, outputs, config.sketch_dims.get(name)
            )
            if name.endswith(".output"):
                shapes |= _norm_shapes(f"{prefix}.{name.removesuffix('.output')}", hidden)
    return shapes | _linear_shapes("span_head", config.hidden_size, 2, None)


def _norm_shapes(prefix: str, hidden: tuple[int]) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.norm.weight": hidden, f"{prefix}.norm.bias": hidden}


def _linear_shapes(
    prefix: str, inputs: int, outputs: int, sketch_dim: int | None
) -> dict[str, tuple[int, ...]]:
    if sketch_dim is None:
        return {f"{prefix}.weight": (outputs, inputs), f"{prefix}.bias": (outputs,)}
    return {
        f"{prefix}.sketched_weight": (outputs, sketch_dim),
        f"{prefix}.bias": (outputs,),
        f"{prefix}.sketch": (sketch_dim, inputs),
    }


# Absent from files whose models don't have what they describe.
_OPTIONAL = ("embedding_size", "relative_position_buckets")

_SMALLEST = {
    "vocab_size": 1,
    "hidden_size": 1,
    "num_layers": 1,
    "num_heads": 1,
    "intermediate_size": 1,
    "max_position_embeddings": 1,
    "type_vocab_size": 0,
}


def _check_integer(name: str, value: object, smallest: int, largest: int) -> None:
    # True and False are integers to Python, but never sizes.
    if type(value) is not int or not smallest <= value <= largest:
        raise _error(name, value, f"a whole number from {smallest} to {largest}")


def _error(name: str, found: object, expected: str) -> ConfigError:
    return ConfigError(f"model config field '{name}': found {_shown(found)}, expected {expected}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
