"""A figure with its standard error, from texts of which some belong together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95
NORMAL_95 = 1.96  # the value within which a normal variable lies with that probability


@dataclass(frozen=True)
class Estimate:
    """value is None where nothing could be measured, standard_error where there is only one unit to measure by."""

    value: float | None
    standard_error: float | None = None
    n: int = 0  # texts, or blocks of text, that it was measured on
    units: int = 0  # of these, how many are independent

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "standard_error": self.standard_error,
            "half_width": self.half_width(),
            "n": self.n,
            "units": self.units,
        }

    def half_width(self) -> float | None:
        """Half of the 95 % confidence interval, by Student's t for so many units."""
        return None if self.standard_error is None else self.standard_error * quantile(self.units - 1)


def quantile(freedom: int) -> float:
    """The value within which Student's t with so many degrees of freedom lies with a probability of 95 %."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def ratio(
    numerators: Sequence[float] | np.ndarray,
    denominators: Sequence[float] | np.ndarray,
    clusters: Sequence[int] | np.ndarray,
) -> Estimate:
    """Sum of the numerators over sum of the denominators, one of each for a text; texts without denominator count not.

    Texts of one cluster (a prompt's, a document's) are not independent, so their residuals are added up before they
    are squared: the linearised variance of a ratio (Cochran 1977, Sampling Techniques, 6.4), with clusters as units.
    """
    top, below = np.asarray(numerators, float), np.asarray(denominators, float)
    used = below > 0
    if not used.any():
        return Estimate(None)
    top, below, names = top[used], below[used], np.asarray(clusters)[used]
    value = top.sum() / below.sum()
    _, index = np.unique(names, return_inverse=True)
    residuals = np.bincount(index, top - value * below)
    count = len(residuals)
    if count < 2:
        return Estimate(float(value), None, len(top), count)
    if not residuals.any():
        return Estimate(float(value), _unseen(value, count), len(top), count)
    variance = count / (count - 1) * float(residuals @ residuals) / float(below.sum()) ** 2
    return Estimate(float(value), math.sqrt(variance), len(top), count)


def _unseen(share: float, count: int) -> float | None:
    """The error where all units agree, whose spread says nothing. For none or all of them 1.96 times it is 3 / count,
    since so rare may be what they do not show (the rule of three, Hanley and Lippman-Hand 1983); else it is unknown."""
    return min(1.0, 3 / count) / NORMAL_95 if share in (0.0, 1.0) else None


def mean(values: Sequence[float | None] | np.ndarray, clusters: Sequence[int] | np.ndarray) -> Estimate:
    """The mean of the texts that have a value."""
    given = [(value, cluster) for value, cluster in zip(values, clusters, strict=True) if value is not None]
    return ratio([value for value, _ in given], [1.0] * len(given), [cluster for _, cluster in given])


def compare(one: Estimate, other: Estimate) -> int | None:
    """1 or -1 where the first of two independent figures is clearly above or below the other, 0 where it may be chance.

    Clear is a difference whose 95 % interval does not hold 0: by Student's t, with the degrees of freedom of the figure
    that has fewer, which is on the safe side of Welch's. None where no spread is known.
    """
    if one.value is None or other.value is None or one.standard_error is None or other.standard_error is None:
        return None
    difference = one.value - other.value
    spread = math.hypot(one.standard_error, other.standard_error)
    clear = abs(difference) > spread * quantile(min(one.units, other.units) - 1)
    return int(math.copysign(1, difference)) if clear else 0
