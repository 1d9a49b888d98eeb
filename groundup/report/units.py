"""Numbers as people read them, each with its unit. A value that is not there is a dash, never a zero."""

import math

ABSENT = "–"


def count(value: float, unit: str = "") -> str:
    """12345.0 -> "12,345 tokens"; 1.0 -> "1 token"."""
    if value == 1 and unit.endswith("s") and "/" not in unit:
        unit = unit[:-1]
    return _unit(f"{value:,.0f}", unit) if math.isfinite(value) else _odd(value)


def decimals(value: float, places: int = 3, unit: str = "") -> str:
    """1.23456 -> "1.235 bits per byte"; a very large or very small value goes to 1.23e+09."""
    if not math.isfinite(value):
        return _odd(value)
    plain = value == 0 or 10**-places <= abs(value) < 1e6
    return _unit(f"{value:,.{places}f}" if plain else f"{value:.{places}g}", unit)


def size(value: float) -> str:
    """Bytes, in decimal multiples: 8586084 -> "8.59 MB"."""
    if not math.isfinite(value):
        return _odd(value)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.3g} {unit}" if abs(value) < 999.5 or unit == "B" else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:,.3g} TB" if value < 1000 else f"{value:,.0f} TB"


def share(value: float) -> str:
    """A part of a whole: 0.1234 -> "12.3 %", 0.00012 -> "0.012 %". Only nothing is 0 %, only all of it is 100 %."""
    if not math.isfinite(value):
        return _odd(value)
    percent = 100 * value
    if 0 < percent < 0.001:
        return "under 0.001 %"
    if 99.95 <= percent < 100:
        return "over 99.9 %"
    places = 0 if percent in (0, 100) else 1 if abs(percent) >= 1 else 2 if abs(percent) >= 0.1 else 3
    return f"{percent:,.{places}f} %"


def duration(seconds: float) -> str:
    """6.6 -> "6.6 s"; 725 -> "12 min 05 s"; 11040 -> "3 h 04 min"; 183600 -> "2 d 03 h"."""
    if not math.isfinite(seconds):
        return _odd(seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, length, small, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length:,} {unit} {whole % length // part:02d} {small}"
    return f"{whole} s"


def tick(value: float) -> str:
    """The short form for an axis: 200000 -> "200k", 2500 -> "2,500", 0.00025 -> "2.5e-4"."""
    for unit, scale, least in (("G", 1e9, 1e9), ("M", 1e6, 1e6), ("k", 1e3, 1e4)):
        if abs(value) >= least:
            return f"{value / scale:g}{unit}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if value and abs(value) < 1e-2:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:g}"


def _unit(number: str, unit: str) -> str:
    return f"{number} {unit}" if unit else number


def _odd(value: float) -> str:
    return ABSENT if math.isnan(value) else "infinite"
