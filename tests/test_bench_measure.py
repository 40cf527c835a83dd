"""Turns go round, and samples are summed up as statistics do."""

import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squadlite.bench.measure import Spread, interleave
from squadlite.errors import BenchError


def turns_into(order: list[str], *names: str) -> dict[str, Callable[[], list[float]]]:
    def turn(name: str) -> list[float]:
        order.append(name)
        return [float(len(order))]

    return {name: lambda name=name: turn(name) for name in names}


def test_everyone_has_a_turn_before_anyone_has_another() -> None:
    order: list[str] = []
    taken = interleave(turns_into(order, "a", "b", "c"), rounds=2)
    assert order == ["a", "b", "c", "a", "b", "c"]
    assert taken.samples == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}
    assert taken.failures == {}


def test_one_that_fails_gets_no_more_turns_and_the_others_go_on() -> None:
    order: list[str] = []

    def fail() -> list[float]:
        if order.count("a") == 2:
            raise BenchError("its process ended")
        return [0.0]

    taken = interleave({**turns_into(order, "a"), "broken": fail}, rounds=3)
    assert order == ["a"] * 3
    assert taken.samples == {"a": [1, 2, 3]}
    assert taken.failures == {"broken": "its process ended"}


def test_a_bug_in_a_turn_is_not_a_failure_to_report() -> None:
    with pytest.raises(ZeroDivisionError):
        interleave({"a": lambda: [1 / 0]}, rounds=1)


@given(st.lists(st.floats(0, 1e6), min_size=2))
def test_percentiles_are_those_of_the_standard_library(samples: list[float]) -> None:
    spread = Spread.of(samples)
    twentieths = statistics.quantiles(samples, n=20, method="inclusive")
    assert spread.count == len(samples)
    assert spread.median == pytest.approx(statistics.median(samples))
    assert spread.p5 == pytest.approx(twentieths[0])
    assert spread.p25 == pytest.approx(twentieths[4])
    assert spread.p75 == pytest.approx(twentieths[14])
    assert spread.p95 == pytest.approx(twentieths[18])


def test_one_sample_is_all_percentiles_and_none_is_a_mistake() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0, 3.0, 3.0, 1)
    with pytest.raises(ValueError, match="no samples"):
        Spread.of([])
