"""Results as tables: every figure is there, what wasn't measured says so."""

import json

from bench_results import benchmark_result, runtime

from squadlite.bench.report import make_tables


def table(title: str, result: dict | None = None) -> list[dict[str, str]]:
    tables = make_tables(result or benchmark_result())
    (found,) = [item for item in tables if item.title.startswith(title)]
    return [dict(zip(found.headings, row, strict=True)) for row in found.rows]


def test_tables_come_from_json_alone() -> None:
    result = benchmark_result()
    assert make_tables(json.loads(json.dumps(result))) == make_tables(result)


def test_a_runtime_has_its_figures_in_a_line() -> None:
    first, second = table("tiny.sqz, 9.60 MB, F1 66.76 (some data)")
    assert first == {
        "runtime": "squadlite f32",
        "MB": "9.6",
        "import ms": "1000.00",
        "load cold ms": "-",
        "load ms": "100.00",
        "load MB": "80",
        "first answer ms": "1500.00",
        "peak MB": "300",
        "question p50 ms": "1250.00",
        "p95 ms": "1875.00",
        "threads": "1",
        "agreement %": "100.0",
        "F1": "65.50",
        "instructions": "unknown",
    }
    assert second["question p50 ms"] == second["agreement %"] == second["F1"] == "-"
    assert second["threads"] == "2"


def test_the_instructions_that_were_told_stand_beside_the_figures() -> None:
    result = benchmark_result()
    result["models"][0]["runtimes"][0]["instructions"] = "amx, 512-bit vectors"
    first, second = table("tiny.sqz, 9.60 MB", result)
    assert first["instructions"] == "amx, 512-bit vectors"
    assert second["instructions"] == "unknown"


def test_forward_passes_stand_cell_by_cell_the_fastest_first() -> None:
    rows = table("tiny.sqz, forward passes")
    assert [(row["length"], row["runtime"]) for row in rows] == [
        ("64", "other f32"),
        ("64", "squadlite f32"),
        ("128", "squadlite f32"),
    ]
    assert rows[1] == {
        "threads": "1",
        "batch": "1",
        "length": "64",
        "runtime": "squadlite f32",
        "p50 ms": "20.00",
        "p95 ms": "30.00",
        "IQR ms": "6.00",
        "tokens/s": "3200",
        "x floor": "2.00",
        "mJ": "-",
    }


def test_what_could_not_run_says_why() -> None:
    assert table("tiny.sqz, not run") == [
        {"runtime": "absent f32", "why": "absent is not installed"}
    ]


def test_what_the_machine_does_not_tell_is_said_to_be_unknown() -> None:
    machine = {row[0]: row[1] for row in make_tables(benchmark_result())[0].rows}
    assert machine["processor"] == "unknown"
    assert machine["cores"] == "2 usable, unknown physical"
    assert machine["clock governor"] == machine["energy"] == "not exposed"
    assert machine["memory"] == "8.0 GB"


def test_a_model_that_nothing_ran_has_only_the_reasons() -> None:
    result = benchmark_result()
    result["models"][0]["runtimes"] = [runtime("absent f32", why_not="absent is not installed")]
    titles = [item.title for item in make_tables(result)]
    assert titles == ["Machine", "Limits", "tiny.sqz, not run or not to the end"]
