"""Tests of means and intervals."""

import math

import pytest

from fltk.records import figure
from fltk.records._student import quantile


@pytest.mark.parametrize(
    ("confidence", "degrees", "expected"),
    # Tables of Student's t, two-sided.
    [
        (0.95, 1, 12.706),
        (0.95, 2, 4.303),
        (0.95, 4, 2.776),
        (0.95, 9, 2.262),
        (0.95, 30, 2.042),
        (0.95, 1000, 1.962),
        (0.99, 5, 4.032),
        (0.5, 1, 1.0),
        (0.8, 3, 1.638),
    ],
)
def test_quantiles_are_those_of_tables(confidence: float, degrees: int, expected: float) -> None:
    assert quantile(confidence, degrees) == pytest.approx(expected, abs=5.1e-4)


def test_quantiles_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for degrees in [*range(1, 40), 100, 12345, 10**6]:
        for confidence in (0.5, 0.9, 0.95, 0.999):
            assert quantile(confidence, degrees) == pytest.approx(stats.t.ppf((1 + confidence) / 2, degrees), rel=1e-8)


def test_two_values_are_exact() -> None:
    # With one degree of freedom the distribution is Cauchy's.
    assert quantile(0.95, 1) == pytest.approx(math.tan(math.pi * 0.95 / 2), rel=1e-12)


def test_impossible_intervals_are_refused() -> None:
    for confidence in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="not between 0 and 1"):
            quantile(confidence, 3)
    with pytest.raises(ValueError, match="one value has no interval"):
        quantile(0.95, 0)


def test_a_figure_is_a_mean_with_its_interval() -> None:
    assert figure([]) is None
    one = figure([0.5])
    assert one is not None and (one.count, one.mean, one.std, one.low, one.high) == (1, 0.5, None, None, None)
    several = figure([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert several is not None and several.std == pytest.approx(math.sqrt(32 / 7))
    # 5 ± 2.3646 · 2.1381 / √8.
    assert (several.low, several.high) == pytest.approx((3.2125, 6.7875), abs=1e-4)
    same = figure([0.25, 0.25])
    assert same is not None and (same.low, same.high) == (0.25, 0.25)
