"""The risk-coverage curve as a picture: how many answers are right when the surest are given."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from squadlite.bench.plot import require_matplotlib, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (7.5, 5.0)
# Shares of fewer answers jump with each of them and tell nothing.
LEAST_ANSWERS = 20
LEGEND_GREY = "0.4"


def draw(result: Mapping[str, Any]) -> bytes:
    """
    Draw what benchmarks/books.py has measured.

    A line for each folder of questions: to its right all questions are answered, to its left only
    those with the highest scores. A dot marks the threshold that the model's file has; a thin line
    is what a score would give that stood higher for every right answer than for any other.

    Args:
        result: from `benchmarks.books`, or read back from its JSON.

    Returns:
        A PNG file.

    Raises:
        BenchError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=INCHES, layout="constrained")
    panel = figure.subplots()
    panel.set(
        title=f"{result['model']}: right answers when only the surest are given",
        xlabel="coverage: questions answered, %",
        ylabel="right answers among those given, %",
        xlim=(0, 101),
        ylim=(0, 101),
    )
    for number, folder in enumerate(result["folders"]):
        _draw_folder(panel, folder, f"C{number}")
    panel.plot([], [], "o", label="at the file's threshold", color=LEGEND_GREY)
    panel.plot([], [], ":", label="with a perfect score", color=LEGEND_GREY)
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, loc="lower left")
    return to_png(figure)


def _draw_folder(panel: "Axes", folder: Mapping[str, Any], colour: str) -> None:
    *_, everything = folder["rows"]
    n_questions = everything["questions"]
    curve = folder["risk_coverage"]
    # The last point has all answers, and is drawn however few they are.
    points = [
        (100 * coverage, 100 * right)
        for coverage, right in zip(curve["coverage"], curve["right"], strict=True)
        if coverage * n_questions >= LEAST_ANSWERS or coverage == 1
    ]
    coverages, shares = zip(*points, strict=True)
    label = f"{folder['folder']} ({n_questions:,} questions)"
    if curve["threshold"] is not None:
        coverage, right = (100 * share for share in curve["threshold"])
        label += f": {coverage:.0f}% answered, {right:.0f}% of them right"
        panel.plot([coverage], [right], "o", color=colour, markersize=9, markeredgecolor="white")
    panel.plot(coverages, shares, color=colour, linewidth=2, zorder=1, label=label)
    best = [min(100, 100 * shares[-1] / coverage) for coverage in coverages]
    panel.plot(coverages, best, ":", color=colour, linewidth=1)
