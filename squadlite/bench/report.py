"""A benchmark's result as tables for people. All comes from the JSON object alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
NOT_MEASURED = "-"


@dataclass(frozen=True)
class Table:
    """A heading, the columns' headings, and rows of text."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def make_tables(result: Json) -> list[Table]:
    """
    Lay a result out.

    Args:
        result: from `run_benchmark`, or read back from its JSON.

    Returns:
        The machine and its limits; then, for each model, its runtimes, their forward passes, and
        those that didn't run.
    """
    tables = [_machine(result), _limits(result)]
    for model in result["models"]:
        tables += [_runtimes(model), _forward(model), _not_run(model)]
    return [table for table in tables if table.rows]


def _machine(result: Json) -> Table:
    machine = result["machine"]
    memory = machine["memory"]
    shown = {
        "processor": machine["cpu"] or "unknown",
        "features": " ".join(machine["features"]),
        "cores": f"{machine['usable_cores']} usable, {machine['cores'] or 'unknown'} physical",
        "clock governor": machine["governor"] or "not exposed",
        "memory": f"{memory / 1e9:.1f} GB" if memory else "unknown",
        "load before": "unknown" if machine["load"] is None else f"{machine['load']:.2f}",
        "energy": result["energy"],
        "system": machine["system"],
        "python": machine["python"],
        **machine["versions"],
    }
    return Table("Machine", ["", ""], [[name, str(value)] for name, value in shown.items()])


def _limits(result: Json) -> Table:
    rows = []
    for limits in result["limits"]:
        threads = str(limits["threads"])
        for precision, peak in limits["peaks"].items():
            shape = " x ".join(map(str, peak["shape"]))
            rate = f"{peak['macs_per_s'] / 1e9:.1f}"
            rows.append([threads, precision, rate, "G multiply-adds/s", peak["kernel"], shape])
        for size, rate in limits["bandwidth"]:
            rows.append([threads, "read", f"{rate / 1e9:.1f}", "GB/s", "", f"{size >> 20} MiB"])
    return Table("Limits", ["threads", "limit", "best", "unit", "kernel", "size"], rows)


def _runtimes(model: Json) -> Table:
    score = "" if model["f1"] is None else f", F1 {model['f1']:.2f} ({model['scored_on']})"
    return Table(
        f"{model['model']}, {model['bytes'] / 1e6:.2f} MB{score}",
        [
            "runtime",
            "MB",
            "import ms",
            "load cold ms",
            "load ms",
            "load MB",
            "first answer ms",
            "peak MB",
            "question p50 ms",
            "p95 ms",
            "threads",
            "agreement %",
            "F1",
            "instructions",
        ],
        [line for row in model["runtimes"] for line in _runtime_lines(row)],
    )


def _runtime_lines(row: Json) -> Iterator[list[str]]:
    # A runtime has a line for each number of threads that a question was timed with.
    if "import_s" not in row:
        return
    answers = row.get("answers")
    for question in row.get("question") or [{"threads": row["threads"], "seconds": None}]:
        yield [
            row["runtime"],
            f"{row['bytes'] / 1e6:.1f}",
            _milliseconds(row["import_s"]),
            _milliseconds(row["load_cold_s"]),
            _milliseconds(row["load_warm_s"]),
            _megabytes(row["load_rss"]),
            _milliseconds(row["first_answer_s"]),
            _megabytes(row["peak_rss"]),
            _milliseconds(question["seconds"]),
            _milliseconds(question["seconds"], "p95"),
            str(question["threads"]),
            _percent(answers and answers["agreement"]),
            f"{answers['f1']:.2f}" if answers else NOT_MEASURED,
            row.get("instructions") or "unknown",
        ]


def _forward(model: Json) -> Table:
    measured = [
        (cell["threads"], cell["batch"], cell["length"], cell["seconds"]["median"], row, cell)
        for row in model["runtimes"]
        for cell in row.get("forward", ())
    ]
    # Cell by cell, the fastest first.
    measured.sort(key=lambda item: item[:4])
    return Table(
        f"{model['model']}, forward passes",
        [
            "threads",
            "batch",
            "length",
            "runtime",
            "p50 ms",
            "p95 ms",
            "IQR ms",
            "tokens/s",
            "x floor",
            "mJ",
        ],
        [
            [
                str(threads),
                str(batch),
                str(length),
                row["runtime"],
                _milliseconds(cell["seconds"]),
                _milliseconds(cell["seconds"], "p95"),
                f"{(cell['seconds']['p75'] - cell['seconds']['p25']) * 1000:.2f}",
                f"{cell['tokens_per_s']:.0f}",
                f"{cell['times_floor']:.2f}" if cell["times_floor"] else NOT_MEASURED,
                _milliseconds(cell["joules"]),
            ]
            for threads, batch, length, _, row, cell in measured
        ],
    )


def _not_run(model: Json) -> Table:
    return Table(
        f"{model['model']}, not run or not to the end",
        ["runtime", "why"],
        [[row["runtime"], row["why_not"]] for row in model["runtimes"] if row["why_not"]],
    )


def _milliseconds(spread: Json | None, percentile: str = "median") -> str:
    return NOT_MEASURED if spread is None else f"{spread[percentile] * 1000:.2f}"


def _megabytes(spread: Json | None) -> str:
    return NOT_MEASURED if spread is None else f"{spread['median'] / 1e6:.0f}"


def _percent(share: float | None) -> str:
    return NOT_MEASURED if share is None else f"{share:.1%}".removesuffix("%")
