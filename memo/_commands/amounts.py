"""Figures in few characters."""

from memo._base import format_bytes, format_seconds

__all__ = ("amount", "bar", "bytes_text", "percent", "rate", "span", "uptime")

_NONE = "-"


def amount(number: float | None) -> str:
    """A count in at most five characters: "999", "1.23k", "12.3M"; "-" for what is not known."""
    if number is None:
        return _NONE
    for power, unit in enumerate(("", "k", "M", "G", "T")):
        shown = float(f"{number / 1000**power:.3g}")  # rounded first: 999,999 are 1M
        if abs(shown) < 1000:
            return f"{shown:g}{unit}"
    return f"{number:.2g}"


def rate(per_second: float | None) -> str:
    """How often a second, in at most five characters: below ten with one decimal, "-" for what is not known."""
    if per_second is None or per_second == 0 or per_second >= 9.95:
        return amount(per_second if per_second is None else round(per_second))
    return f"{per_second:.1f}" if per_second >= 0.05 else "<0.1"


def percent(share: float | None) -> str:
    """A share in at most four characters; 100% is said of the whole alone, and 0% of nothing."""
    if share is None:
        return _NONE
    shown = round(share * 100)
    if shown == 100 and share < 1:
        shown = 99
    if shown == 0 and share > 0:
        return "<1%"
    return f"{shown}%"


def span(seconds: float | None) -> str:
    """A length of time in at most six characters; "-" for none."""
    if seconds is None:
        return _NONE
    if 0 < seconds < 1e-6:
        return f"{seconds * 1e9:.0f}ns"
    text = format_seconds(seconds)
    return text if len(text) <= 6 else text.partition(" ")[0]


def uptime(seconds: float) -> str:
    """How long something has been running, in whole seconds."""
    return format_seconds(max(0, round(seconds)))


def bytes_text(number: int | None) -> str:
    """A number of bytes; "-" where they are not counted."""
    return _NONE if number is None else format_bytes(number)


def bar(share: float | None, width: int, *, ascii_only: bool = False) -> str:
    """A bar of so many cells, filled to a share; blank where it is not known."""
    if share is None:
        return " " * width
    share = min(1.0, max(0.0, share))
    if ascii_only:
        return ("#" * round(share * width)).ljust(width, ".")
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width, "·")
