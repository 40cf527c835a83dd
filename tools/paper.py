"""What the paper's tables have in their rows, and what it says of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from squadlite.config import NUM_BUCKETS, ModelConfig

PAPER_BASE = "bert-base"
# Of the same layers; the embeddings differ by little.
_LIKE_PAPER = (PAPER_BASE, "mpnet-base")


@dataclass(frozen=True)
class PaperFigures:
    """
    What the paper says of a model.

    Args:
        megabytes: its size, in millions of bytes.
        f1, exact: its scores on the CS224N dev set.
    """

    megabytes: int
    f1: float
    exact: float


@dataclass(frozen=True)
class Variant:
    """
    What is done to a base model.

    Args:
        distilbert: half its layers, no token types.
        groups: layers stored; None: all.
        vocab_size: word pieces kept; None: all.
        bits: of a stored value; None: float32.
        sketched: linear maps sketched at the paper's ratios.
    """

    distilbert: bool = False
    groups: int | None = None
    vocab_size: int | None = None
    bits: int | None = None
    sketched: bool = False


@dataclass(frozen=True)
class Row:
    """
    One model of one table (a column, in the paper).

    Args:
        table: 1 to 5.
        name: as the table shows it.
        variant: how the model is made.
        stage: of a recipe such as recipes/bert-base-paper.toml, whose scores are the row's.
        paper: what the paper says; None for another base model.
    """

    table: int
    name: str
    variant: Variant
    stage: str
    paper: PaperFigures | None


def _bert(hidden_size: int, num_layers: int, num_heads: int) -> ModelConfig:
    return ModelConfig(
        vocab_size=30522,
        hidden_size=hidden_size,
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_size=4 * hidden_size,
        max_position_embeddings=512,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        hidden_act="gelu",
        layer_map=tuple(range(num_layers)),
    )


BASES: Mapping[str, ModelConfig] = MappingProxyType(
    {
        PAPER_BASE: _bert(768, 12, 12),
        "mpnet-base": replace(
            _bert(768, 12, 12),
            vocab_size=30527,
            type_vocab_size=0,
            layer_norm_eps=1e-5,
            relative_position_buckets=NUM_BUCKETS,
        ),
        "bert-large": _bert(1024, 24, 16),
        "minilm-l6": _bert(384, 6, 12),
        "minilm-l12": _bert(384, 12, 12),
    }
)

# Sizes in MB and F1, EM, in the order in which `_all_rows` makes the rows.
_FIGURES = (
    *((440, 76.4, 73.3), (264, 69.3, 66.4)),
    *(
        (440, 76.4, 73.3),
        (268, 76.8, 72.6),
        (184, 72.7, 69.7),
        (156, 57.8, 54.4),
        (128, 50.3, 46.1),
    ),
    *(
        (184, 72.7, 69.7),
        (140, 71.7, 68.6),
        (112, 70.2, 67.0),
        (104, 66.8, 63.3),
        (100, 60.7, 57.9),
    ),
    *((112, 70.2, 67.0), (56, 70.2, 67.0), (35, 70.3, 67.1), (28, 69.4, 66.4), (21, 53.9, 50.0)),
    (14, 4.8, 2.6),
    *((58, 72.7, 69.7), (44, 72.3, 69.1), (35, 70.2, 67.0), (21, 70.3, 66.9)),
)
_VOCABULARY = 30522
VOCABULARIES = (30522, 16251, 7630, 4928, 3052)  # table 3, of BERT's 30522
_CHOSEN_GROUPS = 3  # the model that tables 3 to 5 go on with
_CHOSEN_VOCABULARY = 7630


def rows(base: str, config: ModelConfig) -> list[Row]:
    """
    The rows of the paper's tables, for any base model.

    Args:
        base: its name; the paper's own figures stand beside "bert-base" and "mpnet-base" alone.
        config: its shape. Vocabularies are cut in the paper's proportions.
    """
    made = list(_all_rows(config))
    if base not in _LIKE_PAPER:
        return [Row(*row, paper=None) for row in made]
    figures = [PaperFigures(*values) for values in _FIGURES]
    return [Row(*row, paper=paper) for row, paper in zip(made, figures, strict=True)]


def schedule(num_layers: int) -> list[int]:
    """Layers stored after each sharing: halved down to three, then two, then one."""
    groups = [num_layers]
    while groups[-1] > 1:
        groups.append(groups[-1] // 2 if groups[-1] > _CHOSEN_GROUPS else groups[-1] - 1)
    return groups


def _all_rows(config: ModelConfig) -> Iterator[tuple[int, str, Variant, str]]:
    layers = config.num_layers
    yield 1, "base", Variant(), f"tuned-{layers}"
    yield 1, "DistilBERT", Variant(distilbert=True), "distilbert"
    yield 2, f"{layers}-layer", Variant(), f"tuned-{layers}"
    for groups in schedule(layers)[1:]:
        yield 2, f"{groups}-layer", Variant(groups=groups), f"shared-{groups}-tuned"
    chosen = min(_CHOSEN_GROUPS, layers)
    for pieces in VOCABULARIES:
        size = _cut(config, pieces)
        full = size == config.vocab_size
        variant = Variant(groups=chosen, vocab_size=None if full else size)
        yield 3, f"{size} pieces", variant, f"shared-{chosen}-tuned" if full else f"vocab-{size}"
    reduced = _cut(config, _CHOSEN_VOCABULARY)
    yield 4, "32 bits", Variant(groups=chosen, vocab_size=reduced), f"vocab-{reduced}"
    for bits in (16, 10, 8, 6, 4):
        variant = Variant(groups=chosen, vocab_size=reduced, bits=bits)
        yield 4, f"{bits} bits", variant, f"vocab-{reduced}" if bits == 16 else f"bits-{bits}"
    for vocabulary, kept, stage, sketched_stage in (
        ("full", None, "original-10-bit", "sketched-10-bit"),
        ("reduced", reduced, "bits-10", f"sketched-10-bit-vocab-{reduced}"),
    ):
        plain = Variant(groups=chosen, vocab_size=kept, bits=10)
        yield 5, f"original, {vocabulary}", plain, stage
        yield 5, f"sketched, {vocabulary}", replace(plain, sketched=True), sketched_stage


def _cut(config: ModelConfig, pieces: int) -> int:
    return round(config.vocab_size * pieces / _VOCABULARY)
