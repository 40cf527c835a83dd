"""
An encoder with a span head, whose executed layers may share stored ones.

It is BERT's, with two switches for its relatives: narrow embeddings that a linear map takes to the
layers' width (ELECTRA, ALBERT), and a bias of attention scores by distance (MPNet).
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from squadlite.config import ModelConfig
from squadlite.distances import distance_buckets
from squadlite.model.sketched_linear import SketchedLinear

Linear = nn.Linear | SketchedLinear

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {
        "gelu": functional.gelu,
        "gelu_new": partial(functional.gelu, approximate="tanh"),
        "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
        "relu": functional.relu,
    }
)

# Shapes in comments: B questions in a batch, T tokens each, `heads` attention heads of width
# `width` = hidden / heads.

# (query, key, value) of all tokens, (..., hidden) each -> what each token gathers, of that shape.
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class QuestionAnsweringModel(nn.Module):
    """
    Post-norm BERT that scores every token as the start and as the end of the answer.

    The names in `state_dict()` are the names of the tensors in a .sqz file. A layer that
    `config.layer_map` names more than once exists once.

    Source: Devlin et al. 2018 (BERT); Deng & Looi 2020, section 3.2 (shared layers).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.relative_position_bias = (
            None if config.relative_position_buckets is None else RelativePositionBias(config)
        )
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layer_groups))
        self.span_head = nn.Linear(config.hidden_size, 2)

    @property
    def stored_layers(self) -> list["Layer"]:
        """Each layer that exists, once."""
        return [cast(Layer, layer) for layer in self.layers]

    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Score every token.

        Args:
            input_ids: (B, T) int64, each below `vocab_size`; T at most `max_position_embeddings`.
            token_type_ids: (B, T) int64: 0 for the question, 1 for the context. Not looked at
                by a model without token types.
            attention_mask: (B, T) bool, False for padding. A row needs one True at least.

        Returns:
            start_logits and end_logits, each (B, T) float32 whatever the weights' dtype is.
            Those of padding mean nothing.

        Raises:
            ValueError: more tokens than the model has positions for.
        """
        embedded = self.embeddings(input_ids, token_type_ids)  # (B, T, hidden)
        return self.score(self.encode(embedded, self.padded_attention(attention_mask)))

    def position_bias(self, length: int) -> torch.Tensor | None:
        """
        Give what is added to the scores of queries and keys in a window of T = `length` tokens.

        Returns:
            (heads, T, T): of each query, in each key; None for a model without such a bias.
        """
        return None if self.relative_position_bias is None else self.relative_position_bias(length)

    def padded_attention(self, attention_mask: torch.Tensor) -> "PaddedAttention":
        """Make this model's attention within rows of tokens, of which (B, T) are no padding."""
        bias = self.position_bias(attention_mask.shape[1])
        return PaddedAttention(attention_mask, self.config, bias)

    def encode(self, embedded: torch.Tensor, attend: Attend) -> torch.Tensor:
        """
        Take embedded tokens through all layers.

        Args:
            embedded: (..., hidden), laid out in any way that `attend` knows.
            attend: the attention between them.

        Returns:
            The last layer's outputs, of the same shape.
        """
        hidden = embedded
        for stored in self.config.layer_map:
            hidden = self.layers[stored](hidden, attend)
        return hidden

    def score(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map the last layer's outputs, (..., hidden), to start and end logits, (...) float32."""
        logits = self.span_head(hidden).float()  # (..., 2)
        start_logits, end_logits = logits.unbind(dim=-1)
        return start_logits, end_logits

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """
        Give the mean of the last layer's outputs over each window's tokens, padding left out.

        Args:
            input_ids, attention_mask: (B, T), as of `forward`; every token has type 0.

        Returns:
            (B, hidden) float32.
        """
        embedded = self.embeddings(input_ids, torch.zeros_like(input_ids))
        attend = self.padded_attention(attention_mask)
        hidden = self.encode(embedded, attend).float()  # (B, T, hidden)
        weights = attention_mask / attention_mask.sum(dim=1, keepdim=True)  # (B, T)
        return (weights[:, :, None] * hidden).sum(dim=1)


class PaddedAttention:
    """
    Attention within each of B rows of tokens, (B, T, hidden).

    Args:
        attention_mask: (B, T) bool, False for padding, from which nothing is gathered.
        config: of the model.
        bias: (heads, T, T), added to scores; None: nothing is.
    """

    def __init__(
        self, attention_mask: torch.Tensor, config: ModelConfig, bias: torch.Tensor | None
    ) -> None:
        # Attention without a mask has faster kernels.
        self._mask = None if bool(attention_mask.all()) else attention_mask[:, None, None, :]
        if bias is not None:
            bias = bias.unsqueeze(0)
            self._mask = bias if self._mask is None else bias.masked_fill(~self._mask, -torch.inf)
        self._num_heads = config.num_heads

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `Attend`."""
        mask = self._mask
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.to(query.dtype)
        gathered = functional.scaled_dot_product_attention(
            query=self._split_heads(query),
            key=self._split_heads(key),
            value=self._split_heads(value),
            attn_mask=mask,
        )  # (B, heads, T, width)
        return gathered.transpose(1, 2).flatten(start_dim=2)

    def _split_heads(self, x: torch.Tensor) -> torch.Tensor:
        # (B, T, hidden) -> (B, heads, T, width)
        questions, length, hidden = x.shape
        width = hidden // self._num_heads
        return x.view(questions, length, self._num_heads, width).transpose(1, 2)


def empty_model(config: ModelConfig) -> QuestionAnsweringModel:
    """Make a model whose tensors have shapes and no storage (device "meta"), to be assigned to."""
    with torch.device("meta"), _WithoutInitialisation():
        return QuestionAnsweringModel(config)


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves new weights as they are: drawing them, even on "meta", makes torch import sympy."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


class Embeddings(nn.Module):
    """
    The sum of a word piece's, a position's and a token type's vector, normalised.

    Narrow ones are then projected to the layers' width.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.embedding_width
        self.word = nn.Embedding(config.vocab_size, width)
        self.position = nn.Embedding(config.max_position_embeddings, width)
        self.token_type = (
            nn.Embedding(config.type_vocab_size, width) if config.type_vocab_size else None
        )
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.projection = (
            None if config.embedding_size is None else nn.Linear(width, config.hidden_size)
        )

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor) -> torch.Tensor:
        """Look up (B, T) ids; returns (B, T, hidden)."""
        length = input_ids.shape[1]
        if length > self.position.num_embeddings:
            raise ValueError(
                f"input_ids: found {length} tokens, "
                f"expected at most {self.position.num_embeddings} (max_position_embeddings)"
            )
        embedded = self.word(input_ids) + self.position.weight[:length]  # (B, T, embedding_width)
        if self.token_type is not None:
            embedded = embedded + self.token_type(token_type_ids)
        normed: torch.Tensor = self.norm(embedded)
        return normed if self.projection is None else cast(torch.Tensor, self.projection(normed))


class RelativePositionBias(nn.Module):
    """
    A bias of each head's scores by how far, and on which side, a key is from its query.

    Every layer has the same. Tensors: `weight` (buckets, heads).

    Source: Song et al. 2020 (MPNet).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.relative_position_buckets is not None
        self.weight = nn.Parameter(torch.zeros(config.relative_position_buckets, config.num_heads))

    def forward(self, length: int) -> torch.Tensor:
        """Give (heads, T, T), of each query in each key, for a window of T = `length` tokens."""
        buckets = torch.from_numpy(distance_buckets(length)).to(self.weight.device)
        by_distance = self.weight[buckets].T  # (heads, 2 T - 1)
        # The last query's distances come first.
        return by_distance.unfold(1, length, 1).flip(1)


class Layer(nn.Module):
    """One stored layer: self-attention, then feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, hidden: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Map (..., hidden) to the same shape."""
        mixed: torch.Tensor = self.feed_forward(self.attention(hidden, attend))
        return mixed


class SelfAttention(nn.Module):
    """Every token gathers from every token that isn't padding; added to its input, normalised."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.query = _linear(config, "attention.query")
        self.key = _linear(config, "attention.key")
        self.value = _linear(config, "attention.value")
        self.output = _linear(config, "attention.output")
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Map (..., hidden) to the same shape."""
        gathered = attend(self.query(hidden), self.key(hidden), self.value(hidden))
        normed: torch.Tensor = self.norm(hidden + self.output(gathered))
        return normed


class FeedForward(nn.Module):
    """Two linear maps of each token alone; added to its input, normalised."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.intermediate = _linear(config, "feed_forward.intermediate")
        self.activation = ACTIVATIONS[config.hidden_act]
        self.output = _linear(config, "feed_forward.output")
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map (..., hidden) to the same shape."""
        widened = self.activation(self.intermediate(hidden))  # (B, T, intermediate)
        normed: torch.Tensor = self.norm(hidden + self.output(widened))
        return normed


def _linear(config: ModelConfig, name: str) -> Linear:
    inputs, outputs = config.linear_shapes[name]
    sketch_dim = config.sketch_dims.get(name)
    if sketch_dim is None:
        return nn.Linear(inputs, outputs)
    return SketchedLinear(inputs, outputs, sketch_dim)
