"""
Writes the tables of README.md and docs/model-card.md from the measurements in benchmarks/results,
and from what the default model says of itself.

    python -m benchmarks.report

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`. A result is the last line that
a benchmark printed, or the report that a recipe wrote. Nothing between is written by hand.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from squadlite.atomic import atomic_write
from squadlite.container import open_sqz
from squadlite.models import DEFAULT_MODEL
from squadlite.tensors import TOKENIZER_PREFIX

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
MODEL_CARD = ROOT / "docs" / "model-card.md"
RESULTS = Path(__file__).with_name("results")
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_tables(text: str, results: Path = RESULTS) -> str:
    """
    Put every table into a text that has marks for it.

    Args:
        text: Markdown.
        results: the folder with the results that the tables named are made of.

    Raises:
        KeyError: a table that nothing here makes.
        OSError: a result that isn't there.
    """

    def fill(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        file, make_table = TABLES[name]
        result = _load(results / file)
        return f"{begin}\n{make_table(result)}\n\n{end}"

    return _TABLE.sub(fill, text)


def _load(path: Path) -> dict[str, Any]:
    if path.suffix != ".sqz":
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result
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


def _sizes(result: Mapping[str, Any]) -> str:
    return _markdown(
        ["Setting", "MB", "EM", "F1", "F1 with answer", "F1 without"],
        [
            [
                row["name"],
                f"{row['bytes'] / 1e6:.2f}",
                *(f"{row[key]:.2f}" for key in ("exact", "f1", "HasAns_f1", "NoAns_f1")),
            ]
            for row in result["rows"]
        ],
    )


def _books(result: Mapping[str, Any]) -> str:
    return "\n\n".join(
        f"`{folder['folder']}`:\n\n{_as_measured(folder['rows'])}" for folder in result["folders"]
    )


def _start_to_answer(result: Mapping[str, Any]) -> str:
    medians = result["median_ms"]
    peers = {name: peer["median_ms"] for name, peer in result.get("peers", {}).items()}
    # A peer has every step that we have, and may have more.
    steps = next(iter(peers.values()), medians)
    return _markdown(
        ["Step", "Median ms", "Share", *(f"{name}, median ms" for name in peers)],
        [
            [
                step,
                f"{medians[step]:.0f}" if step in medians else "",
                f"{medians[step] / medians['total']:.0%}" if step in medians else "",
                *(f"{peer[step]:.0f}" for peer in peers.values()),
            ]
            for step in steps
        ],
    )


def _runtimes(result: Mapping[str, Any]) -> str:
    (model,) = result["models"]
    return _markdown(
        [
            "Runtime",
            "MB",
            "Load ms",
            "First answer ms",
            "Peak MB",
            "Question ms",
            "Agreement %",
            "F1",
        ],
        [
            [
                row["runtime"],
                f"{row['bytes'] / 1e6:.1f}",
                *(
                    f"{row[key]['median'] * scale:.0f}"
                    for key, scale in (
                        ("load_warm_s", 1e3),
                        ("first_answer_s", 1e3),
                        ("peak_rss", 1e-6),
                    )
                ),
                f"{min(cell['seconds']['median'] for cell in row['question']) * 1e3:.0f}",
                f"{row['answers']['agreement']:.1%}".removesuffix("%"),
                f"{row['answers']['f1']:.2f}",
            ]
            for row in model["runtimes"]
            if row["why_not"] is None
        ],
    )


def _forward(result: Mapping[str, Any]) -> str:
    (model,) = result["models"]
    rows = [row for row in model["runtimes"] if row["why_not"] is None]
    cells = [(cell["threads"], cell["batch"], cell["length"]) for cell in rows[0]["forward"]]
    return _markdown(
        ["Runtime", *(f"{threads} thr., {batch} x {length}" for threads, batch, length in cells)],
        [
            [
                row["runtime"],
                *(
                    f"{cell['seconds']['median'] * 1e3:.1f} ({cell['times_floor']:.1f})"
                    for cell in row["forward"]
                ),
            ]
            for row in rows
        ],
    )


def _growth(result: Mapping[str, Any]) -> str:
    return _as_measured(result["rows"])


def _formats(result: Mapping[str, Any]) -> str:
    return _as_measured(result["rows"])


def _families(result: Mapping[str, Any]) -> str:
    return _as_measured(result["rows"])


def _finding(result: Mapping[str, Any]) -> str:
    return _as_measured([result["finding"]])


def _growing(result: Mapping[str, Any]) -> str:
    return _as_measured([result["growing"]])


def _training(result: Mapping[str, Any]) -> str:
    return _markdown(
        ["Trainer", "Tokens a second of the processor"],
        [[name, f"{speed:,.0f}"] for name, speed in result["tokens_per_processor_second"].items()],
    )


def _recipe(result: Mapping[str, Any]) -> str:
    return _markdown(
        ["Stage", "Command", "Values", "MB", "EM", "F1", "F1 with answer", "Seconds"],
        [
            [
                stage["name"],
                stage["run"],
                f"{stage['num_parameters']:,}",
                f"{stage['n_bytes'] / 1e6:.1f}",
                *(f"{stage['scores'][key]:.2f}" for key in ("exact", "f1", "HasAns_f1")),
                f"{stage['seconds']:.0f}",
            ]
            for stage in result["stages"]
        ],
    )


def _training_steps(result: Mapping[str, Any]) -> str:
    return _markdown(
        ["Stage", "MB", "F1 before", "EM before", "F1 after", "EM after", "Tokens read", "Seconds"],
        [
            [
                stage["name"],
                f"{stage['n_bytes'] / 1e6:.1f}",
                *(
                    f"{scores[key]:.1f}" if scores else "-"
                    for scores in (stage["before"], stage["scores"])
                    for key in ("f1", "exact")
                ),
                "-" if stage["tokens"] is None else f"{stage['tokens']:,}",
                f"{stage['seconds']:.0f}",
            ]
            for stage in result["stages"]
        ],
    )


def _paper_tables(result: Mapping[str, Any]) -> str:
    rows = result["rows"]
    asked = {row["scores"]["total"] for row in rows if row["scores"]}
    ours = f"F1/EM, {max(asked):.0f} questions" if asked else "F1/EM"
    return "\n\n".join(
        f"Table {table}:\n\n"
        + _markdown(
            ["Model", "Values", "MB", "Paper MB", "Off", ours, "Paper F1/EM"],
            [
                [
                    row["name"],
                    f"{(row['num_parameters'] + row['pooler_parameters']) / 1e6:.1f}M",
                    f"{row['with_pooler'] / 1e6:.1f}",
                    f"{row['paper']['megabytes']}",
                    f"{row['with_pooler'] / 1e6 / row['paper']['megabytes'] - 1:+.1%}",
                    _f1_and_exact(row["scores"]),
                    _f1_and_exact(row["paper"]),
                ]
                for row in rows
                if row["table"] == table
            ],
        )
        for table in sorted({row["table"] for row in rows})
    )


def _f1_and_exact(scores: Mapping[str, float] | None) -> str:
    return f"{scores['f1']:.1f}/{scores['exact']:.1f}" if scores else "-"


def _model(summary: Mapping[str, Any]) -> str:
    model, metadata = summary["model"], summary["metadata"]
    base = metadata["base"]
    return _markdown(
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


def _training_data(summary: Mapping[str, Any]) -> str:
    return _markdown(
        ["Data", "Licence"],
        [[data["name"], data["licence"]] for data in summary["metadata"]["data"]],
        align="---",
    )


def _stages(summary: Mapping[str, Any]) -> str:
    return _markdown(
        ["Stage", "What it did"],
        [
            [stage["stage"], _STAGES[stage["stage"]](stage)]
            for stage in summary["metadata"]["stages"]
        ],
        align="---",
    )


def _pruning(stage: Mapping[str, Any]) -> str:
    return f"kept the {stage['size']:,} most frequent word pieces"


def _finetuning(stage: Mapping[str, Any]) -> str:
    teachers = stage.get("teaching", {}).get("teachers", [])
    taught = (
        f", taught by {len(teachers)} larger model{'s'[: len(teachers) > 1]}" if teachers else ""
    )
    device = {"cpu": "CPU cores", "cuda": "a GPU"}[stage["device"]]
    quantization = stage.get("quantization")
    at = f", at the weights that {quantization['bits']} bits hold" if quantization else ""
    return (
        f"{stage['steps']:,} steps over {stage['num_groups']:,} questions{taught}{at}; "
        f"{stage['seconds']:,.0f} s on {device}"
    )


def _balancing(stage: Mapping[str, Any]) -> str:
    return (
        f"shifted the score of no answer by {stage['shift']:.2f}, "
        f"as {stage['questions']:,} questions asked for"
    )


# What each stage that a default model goes through says of itself.
_STAGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "prune_vocab": _pruning,
    "finetune": _finetuning,
    "balance_null": _balancing,
}


def _book_scores(result: Mapping[str, Any]) -> str:
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
    return _as_measured(rows)


def _squad_scores(result: Mapping[str, Any]) -> str:
    return _markdown(
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


# Name -> the result that it is made of, or the model itself, and how.
TABLES: Mapping[str, tuple[str | Path, Callable[[Mapping[str, Any]], str]]] = {
    "size_accuracy": ("size_accuracy.json", _sizes),
    "frontier": ("frontier.json", _sizes),
    "books": ("books.json", _books),
    "start_to_answer": ("start_to_answer.json", _start_to_answer),
    "runtimes": ("runtimes.json", _runtimes),
    "forward": ("runtimes.json", _forward),
    "growth": ("growth.json", _growth),
    "formats": ("formats.json", _formats),
    "families": ("families.json", _families),
    "finding": ("shelf.json", _finding),
    "growing": ("shelf.json", _growing),
    "training": ("training.json", _training),
    "minilm_l6": ("minilm_l6.json", _recipe),
    "paper_mpnet": ("paper_mpnet.json", _training_steps),
    "paper_tables": ("tables_mpnet.json", _paper_tables),
    "model": (DEFAULT_MODEL, _model),
    "model_data": (DEFAULT_MODEL, _training_data),
    "model_stages": (DEFAULT_MODEL, _stages),
    "model_books": ("books.json", _book_scores),
    "model_squad": ("squad.json", _squad_scores),
}


def _as_measured(rows: Sequence[Mapping[str, Any]]) -> str:
    # The benchmark's own table: its keys are headings.
    return _markdown(
        list(rows[0]),
        [["-" if value is None else str(value) for value in row.values()] for row in rows],
    )


def _markdown(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, align: str = "---:"
) -> str:
    # The first column is of names; `align` is for all others.
    rules = ["---", *[align] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))


def main() -> None:
    """Write README.md and docs/model-card.md anew."""
    for path in (README, MODEL_CARD):
        text = fill_tables(path.read_text(encoding="utf-8"))
        with atomic_write(path) as file:
            file.write(text.encode())


if __name__ == "__main__":
    main()
