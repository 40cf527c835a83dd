"""A benchmark's result as a picture: size against F1, latency against length."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from squadlite.errors import BenchError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Json = Mapping[str, Any]
INCHES = (6.5, 4.8)  # of one panel
LINE_STYLES = {"f32": "-", "bf16": "--", "int8": ":", "auto": "-."}
# Of the F1 axis: some hundred questions tell no smaller differences than about a point.
LEAST_F1_RANGE = 5.0
MARKERS = {"f32": "s", "bf16": "D", "int8": "^", "auto": "v"}


def require_matplotlib() -> None:
    """
    Find out before hours of measuring whether a plot can be drawn after them.

    Raises:
        BenchError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise BenchError(
            "a plot needs matplotlib, which is not installed: pip install 'squadlite[bench]'"
        ) from error


def to_png(figure: "Figure") -> bytes:
    """A figure as a PNG file."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    return picture.getvalue()


def draw(result: Json) -> bytes:
    """
    Draw a result.

    One panel has what each runtime loads and its F1 on the questions that it answered; where none
    were asked, the model's size and the F1 that its file states. Then one panel for each model has
    the latency of its runtimes against length, at the smallest batch and the most threads, with
    the 5th to 95th percentile around each line.

    Args:
        result: from `run_benchmark`, or read back from its JSON.

    Returns:
        A PNG file.

    Raises:
        BenchError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    models = result["models"]
    width, height = INCHES
    figure = Figure(figsize=(width * (1 + len(models)), height), layout="constrained")
    panels = figure.subplots(1, 1 + len(models))
    _draw_sizes(panels[0], models)
    for panel, model in zip(panels[1:], models, strict=True):
        _draw_latencies(panel, model)
    return to_png(figure)


def _draw_sizes(panel: "Axes", models: list[Json]) -> None:
    panel.set(title="Size against F1", xlabel="MB", ylabel="F1")
    for model in models:
        colours = _colours(model)
        points = [
            (
                row["bytes"] / 1e6,
                row["answers"]["f1"],
                MARKERS[row["precision"]],
                colours[row["runtime"]],
            )
            for row in model["runtimes"]
            if row.get("answers")
        ]
        # Scores on other questions don't compare.
        if not points and model["f1"] is not None:
            points = [(model["bytes"] / 1e6, model["f1"], "o", "C0")]
        for size, score, marker, colour in points:
            panel.plot([size], [score], marker, color=colour, alpha=0.6)
        if points:
            place = points[0][:2]
            panel.annotate(model["model"], place, textcoords="offset points", xytext=(6, 6))
    panel.margins(0.3)
    panel.set_xlim(left=0)
    low, high = panel.get_ylim()
    missing = max(0.0, LEAST_F1_RANGE - (high - low))
    panel.set_ylim(low - missing / 2, high + missing / 2)
    panel.grid(alpha=0.3)


def _draw_latencies(panel: "Axes", model: Json) -> None:
    cells = [cell for row in model["runtimes"] for cell in row.get("forward", ())]
    batch = min((cell["batch"] for cell in cells), default=1)
    threads = max((cell["threads"] for cell in cells), default=1)
    panel.set(
        title=f"{model['model']}: latency, batch {batch}, threads {threads}",
        xlabel="tokens",
        ylabel="ms",
    )
    colours = _colours(model)
    for row in model["runtimes"]:
        chosen = {
            cell["length"]: cell["seconds"]
            for cell in row.get("forward", ())
            if (cell["batch"], cell["threads"]) == (batch, threads)
        }
        if not chosen:
            continue
        lengths = sorted(chosen)
        low, median, high = (
            [chosen[length][name] * 1000 for length in lengths] for name in ("p5", "median", "p95")
        )
        colour = colours[row["runtime"]]
        panel.plot(
            lengths,
            median,
            LINE_STYLES[row["precision"]],
            color=colour,
            marker=".",
            linewidth=1.5 if row["is_peer"] else 3,
            label=row["runtime"],
        )
        panel.fill_between(lengths, low, high, color=colour, alpha=0.08)
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    if cells:
        panel.legend(fontsize="small", handlelength=4, loc="center left", bbox_to_anchor=(1, 0.5))


def _colours(model: Json) -> dict[str, str]:
    # A library has its colour, a precision its style: runtime -> colour.
    libraries: dict[str, str] = {}
    return {
        row["runtime"]: libraries.setdefault(row["runtime"].partition(" ")[0], f"C{len(libraries)}")
        for row in model["runtimes"]
    }
