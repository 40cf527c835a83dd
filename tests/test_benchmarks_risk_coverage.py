"""The picture of the curves: every folder has its line, its threshold and its name."""

from typing import Any

import pytest

from benchmarks.risk_coverage import LEAST_ANSWERS, draw

FIGURE = pytest.importorskip("matplotlib.figure", reason="needs matplotlib, from the extra [bench]")


def folder(name: str, questions: int, threshold: list[float] | None) -> dict[str, Any]:
    """Half of the answers are right, every second one from the surest on."""
    given = range(1, questions + 1)
    return {
        "folder": name,
        "rows": [{"book": "all", "questions": questions}],
        "risk_coverage": {
            "coverage": [number / questions for number in given],
            "right": [(number + 1) // 2 / number for number in given],
            "threshold": threshold,
        },
    }


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    figures: list[Any] = []
    plain = FIGURE.Figure.savefig
    monkeypatch.setattr(
        FIGURE.Figure,
        "savefig",
        lambda self, *args, **settings: (figures.append(self), plain(self, *args, **settings)),
    )
    return figures


def test_every_folder_has_a_line_of_its_curve_with_the_threshold_in_its_name(
    drawn: list[Any],
) -> None:
    folders = [folder("first", 40, [0.5, 0.6]), folder("second", 1000, None)]
    assert draw({"model": "tiny.sqz", "folders": folders}).startswith(b"\x89PNG\r\n\x1a\n")
    (panel,) = drawn[0].axes
    named = {line.get_label(): line for line in panel.lines if line.get_label()[0] != "_"}
    first = named["first (40 questions): 50% answered, 60% of them right"]
    assert len(first.get_xdata()) == 40 - LEAST_ANSWERS + 1
    assert (first.get_xdata()[-1], first.get_ydata()[-1]) == (100, 50)
    assert "second (1,000 questions)" in named
    points = [(*line.get_xdata(), *line.get_ydata()) for line in panel.lines]
    assert (50, 60) in points


def test_the_perfect_score_has_all_right_answers_first(drawn: list[Any]) -> None:
    draw({"model": "tiny.sqz", "folders": [folder("only", 100, None)]})
    (panel,) = drawn[0].axes
    perfect = next(line for line in panel.lines if line.get_linestyle() == ":")
    for coverage, right in zip(perfect.get_xdata(), perfect.get_ydata(), strict=True):
        assert right == pytest.approx(min(100, 100 * 50 / coverage))


def test_fewer_questions_than_a_line_needs_are_still_drawn() -> None:
    assert draw({"model": "tiny.sqz", "folders": [folder("only", 2, None)]})
