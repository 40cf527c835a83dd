"""The tables of docs/model-card.md: what the default model says of itself, and its scores."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown_rows, markdown_table
from squadlite.container import open_sqz
from squadlite.tensors import TOKENIZER_PREFIX


def load_summary(path: Path) -> dict[str, Any]:
    """
    Read what a .sqz file says of its model.

    Returns:
        "model" and "metadata" as the header has them, "n_bytes" of the file, and "num_values" in
        the model's tensors.
    """
    with open_sqz(path) as file:
        return {
            "n_bytes": path.stat().st_size,
            "num_values": sum(
                math.prod(info.shape)
                for name, info in file.tensors.items()
                if not name.startswith(TOKENIZER_PREFIX)
            ),
            "model": file.model,
            "metadata": file.metadata,
        }


def model_facts(summary: Mapping[str, Any]) -> str:
    """What the model is, of its summary."""
    model, metadata = summary["model"], summary["metadata"]
    base = metadata["base"]
    return markdown_table(
        ["", "The default model"],
        [
            ["name", metadata["name"]],
            ["task", metadata["task"]],
            ["file", f"{summary['n_bytes'] / 1e6:.2f} MB"],
            [
                "encoder",
                f"{model['num_layers']} layers of {model['hidden_size']}, "
                f"{model['num_heads']} heads, {model['vocab_size']:,} word pieces, "
                f"windows of up to {model['max_position_embeddings']} tokens",
            ],
            ["values", f"{summary['num_values']:,}"],
            ["stored", _storage(metadata["recipe"], summary["n_bytes"] / summary["num_values"])],
            ["base", f"{base['name']}, itself from {base['from']} ({base['licence']})"],
            ["training", metadata["training"]],
        ],
        align="---",
    )


def _storage(recipe: Mapping[str, Any], bytes_per_value: float) -> str:
    if "target_size" in recipe:
        return (
            f"{8 * bytes_per_value:.2f} bits a value, all of the file counted; a step for each "
            f"matrix, chosen to fit {recipe['target_size'] / 1e6:g} MB"
        )
    group = f" of {recipe['group_size']}" if "group_size" in recipe else ""
    return f"{recipe['bits']} bits, a range per {recipe['per']}{group}"


def training_data(summary: Mapping[str, Any]) -> str:
    """What it was trained on, of its summary."""
    return markdown_table(
        ["Data", "Licence"],
        [[data["name"], data["licence"]] for data in summary["metadata"]["data"]],
        align="---",
    )


def training_stages(summary: Mapping[str, Any]) -> str:
    """The stages that it went through, of its summary."""
    return markdown_table(
        ["Stage", "What it did"],
        [
            [stage["stage"], _STAGES[stage["stage"]](stage)]
            for stage in summary["metadata"]["stages"]
        ],
        align="---",
    )


def _beginning(stage: Mapping[str, Any]) -> str:
    return "gave the encoder a span head of small random weights"


def _pruning(stage: Mapping[str, Any]) -> str:
    return f"kept the {stage['size']:,} most frequent word pieces"


def _finetuning(stage: Mapping[str, Any]) -> str:
    teachers = stage.get("teaching", {}).get("teachers", [])
    taught = (
        f", taught by {len(teachers)} larger model{'s'[: len(teachers) > 1]}" if teachers else ""
    )
    device = {"cpu": "CPU cores", "cuda": "a GPU"}[stage["device"]]
    quantization = stage.get("quantization")
    at = ""
    if quantization is not None:
        holder = (
            f"{quantization['bits']} bits" if "bits" in quantization else "codes of another file"
        )
        at = f", at the weights that {holder} hold"
    # Files that were exported lately don't say.
    took = f"{stage['seconds']:,.0f} s " if "seconds" in stage else ""
    return (
        f"{stage['steps']:,} steps over {stage['num_groups']:,} questions{taught}{at}; "
        f"{took}on {device}"
    )


def _averaging(stage: Mapping[str, Any]) -> str:
    own, *others = (f"{weight / sum(stage['weights']):.0%}" for weight in stage["weights"])
    return f"took the mean of its weights, {own}, and those of others, {', '.join(others)}"


def _balancing(stage: Mapping[str, Any]) -> str:
    return (
        f"shifted the score of no answer by {stage['shift']:.2f}, "
        f"as {stage['questions']:,} questions asked for"
    )


# What each stage that a default model goes through says of itself.
_STAGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "add_span_head": _beginning,
    "prune_vocab": _pruning,
    "finetune": _finetuning,
    "average": _averaging,
    "balance_null": _balancing,
}


def book_scores(result: Mapping[str, Any]) -> str:
    """Its scores over books, the plain questions and all, of what benchmarks/books.py measured."""
    columns = [
        "questions", "recall@5", "EM", "F1", "hit@5", "F1 all", "AUC", "ECE", "says so", "no-answer"
    ]  # fmt: skip
    rows = [
        {"Set": folder["folder"] + ("" if row["book"] == "all" else f", {row['book']}")}
        | {column: row[column] for column in columns}
        for folder in result["folders"]
        for row in folder["rows"]
        if row["book"] in ("all", "plain")
    ]
    return markdown_rows(rows)


def squad_scores(result: Mapping[str, Any]) -> str:
    """Its scores on SQuAD 2.0, at its threshold and the best one, of what `squadlite eval` says."""
    return markdown_table(
        ["Threshold", "EM", "F1", "F1 with answer", "F1 without"],
        [
            [
                f"{result['threshold']:.0f}",
                *(f"{result[key]:.2f}" for key in ("exact", "f1", "HasAns_f1", "NoAns_f1")),
            ],
            [
                f"the best one for F1, {result['best_f1_thresh']:.2f}",
                "-",
                f"{result['best_f1']:.2f}",
                "-",
                "-",
            ],
        ],
    )
