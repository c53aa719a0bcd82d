"""Student's t distribution: how far a mean of few values may be from the true one."""

from __future__ import annotations

import math


def quantile(confidence: float, degrees: int) -> float:
    """Return the distance, in standard errors, within which the mean of ``degrees + 1`` normal values lies with probability ``confidence``."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1")
    if degrees < 1:
        raise ValueError("one value has no interval")
    # P(|t| <= x) = 1 - I(df / (df + x^2); df/2, 1/2) rises with x: double until it is enough, then halve the interval down to the last bit.
    low, high = 0.0, 1.0
    while _within(high, degrees) < confidence:
        low, high = high, 2.0 * high
    while (middle := (low + high) / 2.0) not in (low, high):
        low, high = (middle, high) if _within(middle, degrees) < confidence else (low, middle)
    return high


def _within(x: float, degrees: int) -> float:
    return 1.0 - _incomplete_beta(degrees / (degrees + x * x), degrees / 2.0, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(1.0 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _continued_fraction(x, a, b) / a


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the continued fraction of the incomplete beta function by Lentz's method (DLMF 8.17.22, 3.10(iii))."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0) or tiny)
    value = d
    # It converges in O(sqrt(max(a, b))) steps; this is enough for a million degrees of freedom.
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / (1.0 + term * d or tiny)
            c = 1.0 + term / c or tiny
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value
