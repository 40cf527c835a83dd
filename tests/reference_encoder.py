"""
A second encoder, from format_spec.md alone: plain Python, no numpy, no torch, no squadlite.

Slow and simple on purpose, as reference_reader.py is.
"""

import math


def logits(model, tensors, ids, types=None):
    """
    Start and end logits of one input without padding.

    model: the `model` object of a header; tensors: {name: values in C order}, as from
    `reference_reader.read_file`; ids, types: of the input's tokens.
    """
    d, narrow = model["hidden_size"], model.get("embedding_size")
    embeddings = {name: rows(tensors, f"embeddings.{name}.weight", narrow or d) for name in TABLES}
    x = [
        [sum(parts) for parts in zip(*found, strict=True)]
        for found in (
            [
                embeddings["word"][token],
                embeddings["position"][place],
                *([embeddings["token_type"][types[place]]] if model["type_vocab_size"] else []),
            ]
            for place, token in enumerate(ids)
        )
    ]
    x = norm(model, tensors, "embeddings.norm", x)
    if narrow:
        x = linear(tensors, "embeddings.projection", x)
    for stored in model["layer_map"]:
        layer = f"layers.{stored}"
        attended = linear(tensors, f"{layer}.attention.output", attend(model, tensors, layer, x))
        x = norm(model, tensors, f"{layer}.attention.norm", add(x, attended))
        inner = linear(tensors, f"{layer}.feed_forward.intermediate", x)
        inner = [[ACTIVATIONS[model["hidden_act"]](value) for value in row] for row in inner]
        outer = linear(tensors, f"{layer}.feed_forward.output", inner)
        x = norm(model, tensors, f"{layer}.feed_forward.norm", add(x, outer))
    return [list(side) for side in zip(*linear(tensors, "span_head", x), strict=True)]


TABLES = ("word", "position", "token_type")


def attend(model, tensors, layer, x):
    heads, width = model["num_heads"], model["hidden_size"] // model["num_heads"]
    query, key, value = (
        linear(tensors, f"{layer}.attention.{name}", x) for name in ("query", "key", "value")
    )
    bias = rows(tensors, "relative_position_bias.weight", heads)
    mixed = [[] for _ in x]
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for i, row in enumerate(query):
            scores = [dot(row[part], other[part]) / math.sqrt(width) for other in key]
            if bias:
                scores = [score + bias[bucket(i, j)][head] for j, score in enumerate(scores)]
            weights = [math.exp(score - max(scores)) for score in scores]
            mixed[i] += [
                sum(w * other[place] for w, other in zip(weights, value, strict=True))
                / sum(weights)
                for place in range(part.start, part.stop)
            ]
    return mixed


def bucket(i, j):
    n = abs(j - i)
    b = n if n < 8 else 8 + sum(edge <= n for edge in (12, 16, 23, 32, 46, 64, 91))
    return b + 16 * (j > i)


def linear(tensors, name, x):
    """W x + bias, or B (S x) + bias."""
    bias = tensors[f"{name}.bias"]
    if f"{name}.sketch" in tensors:
        sketch = rows(tensors, f"{name}.sketch", len(x[0]))
        x = [[dot(signs, row) for signs in sketch] for row in x]
        weight = rows(tensors, f"{name}.sketched_weight", len(sketch))
    else:
        weight = rows(tensors, f"{name}.weight", len(x[0]))
    return [[dot(w, row) + b for w, b in zip(weight, bias, strict=True)] for row in x]


def norm(model, tensors, name, x):
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    normalized = []
    for row in x:
        mean = sum(row) / len(row)
        variance = sum((value - mean) ** 2 for value in row) / len(row)
        scale = 1 / math.sqrt(variance + model["layer_norm_eps"])
        normalized.append(
            [(v - mean) * scale * w + b for v, w, b in zip(row, weight, bias, strict=True)]
        )
    return normalized


def tanh_gelu(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "gelu_new": tanh_gelu,
    "gelu_pytorch_tanh": tanh_gelu,
    "relu": lambda x: max(x, 0.0),
}


def rows(tensors, name, width):
    values = tensors.get(name, [])
    return [values[at : at + width] for at in range(0, len(values), width)]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def add(x, y):
    return [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(x, y, strict=True)]
