"""Where kernels find what they work on: packed weights, a layer's block, a thread's scratch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from squadlite.config import ModelConfig
from squadlite.native.cpu import LINE, Cpu

# Codes of activations are bytes from the CPU's `lowest_code` on. `zero_code` stands for 0 where
# numbers have either sign; where an activation has given them a least value, `lowest_code` stands
# for that, here a little less than it is.
TOP_CODE = 127  # of numbers of either sign
CODE_STEPS = 255  # from the lowest code to the highest
LEAST_ACTIVATION = MappingProxyType(
    {"gelu": -0.17, "gelu_new": -0.171, "gelu_pytorch_tanh": -0.171, "relu": 0.0}
)

NEVER = -1e30  # the exponent of what isn't a token
TINY = 1e-30  # the least that codes are scaled by, so that zeros have a scale

KEY_VECTORS = 2  # of keys in a tile of scores
MAX_TOKENS = 512  # in a window, so that sums of attention's products stay below 2^31
MAX_HEAD_WIDTH = 256  # a head's loops are unrolled: a wider one would take long to compile
BLOCK_ROWS = 64  # that go through a layer at a time, so that what is between stays in the cache


@dataclass(frozen=True)
class LinearLayout:
    """
    A linear map as kernels read it: panels of columns, one after another.

    A panel is steps of the CPU's `step_inputs` inputs, each the codes of a few vectors of columns,
    column by column; then, for each column, what sums begin with (int32), a scale and a bias
    (float32).
    """

    inputs: int
    outputs: int
    cpu: Cpu

    @property
    def vectors(self) -> int:
        """Vectors of columns in a panel."""
        return self.cpu.at_a_time(self.outputs // self.cpu.lanes)

    @property
    def columns(self) -> int:
        """Outputs in a panel."""
        return self.vectors * self.cpu.lanes

    @property
    def panels(self) -> int:
        """Panels in the map."""
        return self.outputs // self.columns

    @property
    def code_bytes(self) -> int:
        """Of one panel's codes."""
        return self.inputs * self.columns

    @property
    def panel_bytes(self) -> int:
        """Of one panel."""
        return self.code_bytes + 3 * 4 * self.columns

    @property
    def n_bytes(self) -> int:
        """Of the whole map."""
        return self.panels * self.panel_bytes


class Layout:
    """
    Every shape that kernels for one model on one processor agree about.

    Offsets and sizes count bytes.
    """

    def __init__(self, config: ModelConfig, cpu: Cpu) -> None:
        self.config, self.cpu = config, cpu
        self.hidden, self.wide = config.hidden_size, config.intermediate_size
        self.heads, self.width = config.num_heads, config.hidden_size // config.num_heads
        self.embedded = config.embedding_width
        self.projection = (
            None if config.embedding_size is None else LinearLayout(self.embedded, self.hidden, cpu)
        )
        self.query_key_value = LinearLayout(self.hidden, 3 * self.hidden, cpu)
        self.gather = LinearLayout(self.hidden, self.hidden, cpu)
        self.widen = LinearLayout(self.hidden, self.wide, cpu)
        self.narrow = LinearLayout(self.wide, self.hidden, cpu)
        norm = 2 * 4 * self.hidden  # weight, then bias
        # Where parts begin: in a layer's block, in what stands around, in all weights, in a
        # thread's scratch.
        self.layer = _offsets(
            query_key_value=self.query_key_value.n_bytes,
            gather=self.gather.n_bytes,
            attention_norm=norm,
            widen=self.widen.n_bytes,
            narrow=self.narrow.n_bytes,
            norm=norm,
        )
        projected = {} if self.projection is None else {"projection": self.projection.n_bytes}
        self.ends = _offsets(
            norm=2 * 4 * self.embedded,
            **projected,
            span_weight=2 * 4 * self.hidden,
            span_bias=2 * 4,
        )
        # The last tile of the longest window may go on behind its last token.
        self.n_positions = -(-config.max_position_embeddings // cpu.tile_rows) * cpu.tile_rows
        biases = {"biases": 4 * self.heads * 2 * MAX_TOKENS} if self.has_biases else {}
        self.weights = _offsets(
            words=4 * config.vocab_size * self.embedded,
            positions=4 * self.n_positions * self.embedded,
            types=4 * (config.type_vocab_size or 2) * self.embedded,
            **biases,
            ends=self.ends["end"],
            layers=config.num_layer_groups * self.layer["end"],
        )
        self.scratch = _offsets(
            products=4 * BLOCK_ROWS * max(3 * self.hidden, self.wide, self.embedded),
            wide_codes=BLOCK_ROWS * max(self.wide, self.embedded),
            wide_scales=4 * BLOCK_ROWS,
            scores=4 * cpu.tile_rows * MAX_TOKENS,
            weights=2 * cpu.tile_rows * MAX_TOKENS,
        )
        self.panel_keys = KEY_VECTORS * cpu.lanes
        # Inputs in a turn of attention's products; scores need no loop where vectors multiply.
        self.attention_turn = (
            math.gcd(self.width, self.panel_keys) if cpu.has_matrices else self.width
        )

    @property
    def shape(self) -> tuple[object, ...]:
        """All of the model that kernels depend on."""
        config = self.config
        return (
            self.hidden,
            self.heads,
            self.wide,
            config.num_layers,
            config.layer_norm_eps,
            config.hidden_act,
            config.embedding_size,
            self.has_biases,
        )

    @property
    def has_biases(self) -> bool:
        """Whether scores have a bias by distance."""
        return self.config.relative_position_buckets is not None

    @property
    def score_scale(self) -> float:
        """What makes a score of queries and keys an exponent of two."""
        return math.log2(math.e) / math.sqrt(self.width)


def supports(config: ModelConfig, cpu: Cpu) -> bool:
    """Whether a model's widths fill whole vectors and are none too wide, and no sum overflows."""
    width = config.hidden_size // config.num_heads
    inputs = max(config.hidden_size, config.embedding_width, config.intermediate_size)
    return (
        width % cpu.unit == 0
        and width <= MAX_HEAD_WIDTH
        and config.embedding_width % cpu.unit == 0
        and config.intermediate_size % cpu.unit == 0
        and config.max_position_embeddings <= MAX_TOKENS
        and inputs * CODE_STEPS * cpu.top_weight < 2**31
    )


def _offsets(**sizes: int) -> Mapping[str, int]:
    # Name -> where it begins, on a line of the cache; "end" -> the size of all.
    offsets, end = {}, 0
    for name, size in sizes.items():
        offsets[name] = end
        end += -(-size // LINE) * LINE
    return MappingProxyType({**offsets, "end": end})
