import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.schedule import Schedule


def schedule(**changes: float | None) -> Schedule:
    values = {"total_steps": 100, "max_seconds": None, "warmup": 0.1, "learning_rate": 1.0}
    return Schedule(**{**values, **changes})  # type: ignore[arg-type]


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    rates = [schedule().rate(step, 0) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[0] < 0.1
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert 0 < rates[-1] < 0.01


def test_without_warm_up_the_rate_only_falls() -> None:
    rates = [schedule(warmup=0).rate(step, 0) for step in range(100)]
    assert rates == sorted(rates, reverse=True)


@given(seconds_per_step=st.floats(0.01, 10), max_seconds=st.floats(1, 100))
def test_a_budget_too_short_shortens_the_whole_schedule(
    seconds_per_step: float, max_seconds: float
) -> None:
    plan = schedule(max_seconds=max_seconds, total_steps=1000)
    step, rates = 0, []
    while plan.progress(step, step * seconds_per_step) < 1:
        rates.append(plan.rate(step, step * seconds_per_step))
        step += 1
    assert (step - 1) * seconds_per_step <= max_seconds
    share_of_a_step = max(seconds_per_step / max_seconds, 1 / 1000)
    assert 0 <= rates[-1] <= share_of_a_step / 0.9 + 1e-9


@pytest.mark.parametrize(
    "changes", [{"total_steps": 0}, {"max_seconds": 0}, {"warmup": 1}, {"learning_rate": 0}]
)
def test_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        schedule(**changes)
