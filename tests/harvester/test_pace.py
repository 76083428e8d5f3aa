"""How fast a run is, from totals that are noted now and then."""

from hypothesis import given
from hypothesis import strategies as st

from harvester.pace import LEAST_S, SPAN_S, Pace, Totals


def test_the_pace_is_that_of_the_last_minute() -> None:
    pace = Pace()
    for second in range(301):
        slow = min(second, 200)  # one a second, then ten
        sent = slow + 10 * (second - slow)
        pace.note(float(second), Totals(sent=sent, ended=second, tokens=100 * second))
    assert pace.per_minute == {"sent": 600.0, "ended": 60.0, "tokens": 6000.0}


def test_the_first_moments_say_nothing() -> None:
    pace = Pace()
    assert pace.per_minute == {}
    pace.note(0.0, Totals())
    pace.note(LEAST_S / 2, Totals(sent=50))
    assert pace.per_minute == {}


@given(st.lists(st.floats(min_value=0.01, max_value=200), min_size=1, max_size=60), st.floats(1, 1000))
def test_a_steady_pace_is_seen_however_rarely_it_is_noted(gaps: list[float], per_minute: float) -> None:
    pace, now_s = Pace(), 0.0
    pace.note(now_s, Totals())
    for gap in gaps:
        now_s += gap
        pace.note(now_s, Totals(sent=now_s * per_minute / 60))  # type: ignore[arg-type]  # no rounding in the way
        if pace.per_minute:
            assert abs(pace.per_minute["sent"] - per_minute) < 0.1
    assert len(pace._noted) <= len([gap for gap in gaps if gap < SPAN_S]) + 2
