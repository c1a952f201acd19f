"""Times, sizes and rates as people write them, and times as people read them."""

from __future__ import annotations

import re

_TIMES_S = {
    **dict.fromkeys(("ms", "msecs"), 0.001),
    **dict.fromkeys(("s", "sec", "secs"), 1.0),
    **dict.fromkeys(("m", "min", "mins"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400.0),
}
_SIZES_MB = {"KB": 1 / 1024, "MB": 1.0, "GB": 1024.0, "TB": 1024.0**2, "PB": 1024.0**3}
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_TIME = re.compile(rf"\s*({_NUMBER})\s*([a-z]+)")


def parse_time_s(text: str) -> float:
    """Seconds in `250ms`, `90s`, `5m`, `1h30m`, `2d`, also `10mins`, `1hrs`. Raises ValueError with a sentence."""
    at, total_s, text = 0, 0.0, text.rstrip()
    while found := _TIME.match(text, at):
        if found[2] not in _TIMES_S:
            break
        total_s += float(found[1]) * _TIMES_S[found[2]]
        at = found.end()
    if not text or at < len(text):
        raise ValueError("must be a time such as 250ms, 90s, 5m, 1h30m or 2d")
    return total_s


def parse_size_mb(text: str) -> float:
    """MB in `512MB`, `1.5GB`, `2TB`. Raises ValueError with a sentence."""
    found = re.fullmatch(rf"\s*({_NUMBER})\s*([KMGTP]B)\s*", text)
    if found is None:
        raise ValueError("must be a number of MB, or a size such as 512MB, 64GB or 2TB")
    return float(found[1]) * _SIZES_MB[found[2]]


def parse_rate_per_s(text: str) -> float:
    """How often a second, in `10/s`, `300/min`, `2.5/h`, `40/d`. Raises ValueError with a sentence."""
    found = re.fullmatch(rf"\s*({_NUMBER})\s*/\s*([a-z]+)\s*", text)
    if found is None or found[2] not in _TIMES_S:
        raise ValueError("must be a rate such as 10/s, 300/min, 2.5/h or 40/d")
    return float(found[1]) / _TIMES_S[found[2]]


def time_text(duration_s: float) -> str:
    """Three digits are enough to compare with: `12ms`, `3.4s`, `95s`, `4.2m`, `1.5h`, `2d`."""
    if duration_s < 0.9995:
        return f"{duration_s * 1000:.3g}ms" if duration_s else "0s"
    for unit, size_s, below_s in (("s", 1.0, 120.0), ("m", 60.0, 3600.0), ("h", 3600.0, 2 * 86400.0)):
        if duration_s < below_s:
            return f"{duration_s / size_s:.3g}{unit}"
    return f"{duration_s / 86400:.3g}d" if duration_s < 999.5 * 86400 else f"{duration_s / 86400:,.0f}d"


def size_text(size_mb: float) -> str:
    """`512MB`, `64GB`, `1.5TB`."""
    for unit in ("PB", "TB", "GB"):
        if size_mb >= _SIZES_MB[unit]:
            return f"{size_mb / _SIZES_MB[unit]:.4g}{unit}"
    return f"{size_mb:.4g}MB"
