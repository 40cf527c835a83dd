"""A benchmark's result as the tests of what is made of it need it."""

from typing import Any


def spread(median: float) -> dict[str, float]:
    names = {"p5": 0.8, "p25": 0.9, "median": 1.0, "p75": 1.2, "p95": 1.5}
    return {**{name: median * factor for name, factor in names.items()}, "count": 21}


def cell(threads: int, length: int, median: float, **changes: Any) -> dict[str, Any]:
    return {
        "threads": threads,
        "batch": 1,
        "length": length,
        "seconds": spread(median),
        "tokens_per_s": length / median,
        "floor_s": median / 2,
        "times_floor": 2.0,
        "joules": None,
    } | changes


def runtime(name: str, **results: Any) -> dict[str, Any]:
    measured = {
        "bytes": 9_600_000,
        "instructions": None,
        "threads": 2,
        "import_s": spread(1.0),
        "load_cold_s": None,
        "load_warm_s": spread(0.1),
        "load_rss": spread(80e6),
        "first_answer_s": spread(1.5),
        "peak_rss": spread(300e6),
    }
    frame = {"runtime": name, "precision": "f32", "is_peer": False, "why_not": None}
    return frame | (measured | results if results.get("why_not") is None else results)


def benchmark_result() -> dict[str, Any]:
    return {
        "benchmark": "runtimes",
        "machine": {
            "cpu": None,
            "architecture": "x86_64",
            "features": ["avx2"],
            "cores": None,
            "usable_cores": 2,
            "governor": None,
            "memory": 8_000_000_000,
            "load": 0.25,
            "system": "Linux",
            "python": "3.11",
            "versions": {"torch": "2.4"},
        },
        "energy": "not exposed",
        "settings": {
            "rounds": 7,
            "repeats": 3,
            "starts": 3,
            "question": None,
            "passages": 0,
        },
        "limits": [
            {
                "threads": 1,
                "peaks": {"f32": {"macs_per_s": 5e10, "kernel": "k", "shape": [1, 2, 3]}},
                "bandwidth": [[1 << 20, 8e10]],
            }
        ],
        "models": [
            {
                "model": "tiny.sqz",
                "bytes": 9_600_000,
                "f1": 66.76,
                "scored_on": "some data",
                "runtimes": [
                    runtime(
                        "squadlite f32",
                        forward=[cell(1, 64, 0.02), cell(1, 128, 0.05)],
                        question=[{"threads": 1, "seconds": spread(1.25)}],
                        answers={"questions": 500, "agreement": 1.0, "exact": 60.0, "f1": 65.5},
                    ),
                    runtime("other f32", is_peer=True, forward=[cell(1, 64, 0.01)]),
                    runtime("absent f32", is_peer=True, why_not="absent is not installed"),
                ],
            }
        ],
    }
