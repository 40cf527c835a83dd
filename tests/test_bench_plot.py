"""The picture of a result: a PNG with every runtime in it, or the extra to install."""

import sys

import pytest
from bench_results import benchmark_result, runtime

from squadlite.bench.plot import LEAST_F1_RANGE, draw, require_matplotlib
from squadlite.errors import BenchError

REASON = "needs matplotlib, from the extra [bench]"


def test_without_matplotlib_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BenchError, match=r"pip install 'squadlite\[bench\]'"):
        require_matplotlib()
    with pytest.raises(BenchError, match="matplotlib"):
        draw(benchmark_result())


def test_every_runtime_has_a_line_and_every_model_with_a_score_a_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figure_module = pytest.importorskip("matplotlib.figure", reason=REASON)
    drawn = []
    plain = figure_module.Figure.savefig
    monkeypatch.setattr(
        figure_module.Figure,
        "savefig",
        lambda self, *args, **settings: (drawn.append(self), plain(self, *args, **settings)),
    )
    assert draw(benchmark_result()).startswith(b"\x89PNG\r\n\x1a\n")
    (figure,) = drawn
    sizes, latencies = figure.axes
    assert [text.get_text() for text in sizes.texts] == ["tiny.sqz"]
    assert [list(line.get_ydata()) for line in sizes.lines] == [[65.5]]
    low, high = sizes.get_ylim()
    assert high - low >= LEAST_F1_RANGE
    assert low < 65.5 < high
    assert [line.get_label() for line in latencies.lines] == ["squadlite f32", "other f32"]
    assert list(latencies.lines[0].get_xdata()) == [64, 128]
    assert list(latencies.lines[0].get_ydata()) == [20.0, 50.0]


def test_a_result_with_nothing_in_it_is_still_drawn() -> None:
    pytest.importorskip("matplotlib", reason=REASON)
    result = benchmark_result()
    result["models"][0] |= {"f1": None, "runtimes": [runtime("absent f32", why_not="absent")]}
    assert draw(result).startswith(b"\x89PNG")
