"""Keys, as terminals send them: characters, and sequences of them that stand for one key."""

import codecs

__all__ = ("Keys", "windows_key")

_ESCAPE = "\x1b"
_FINAL = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_NUMBERED = {"1": "home", "4": "end", "5": "pageup", "6": "pagedown", "7": "home", "8": "end"}
_SINGLE = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", " ": "space"}
_WINDOWS = {"H": "up", "P": "down", "K": "left", "M": "right", "G": "home", "O": "end", "I": "pageup", "Q": "pagedown"}
_LONGEST = 32
"""Characters of a sequence: what goes on for longer is none."""


def windows_key(first: str, second: str = "") -> str:
    """The name of a key that Windows sends as one character, or as a prefix and another."""
    if first in ("\x00", "\xe0"):
        return _WINDOWS.get(second, "")
    return "escape" if first == _ESCAPE else _SINGLE.get(first, first)


class Keys:
    """Makes keys of what a terminal sends, which may come in any pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""

    @property
    def begun(self) -> bool:
        """Whether the last characters are the begin of a sequence, or the escape key itself."""
        return bool(self._begun)

    def feed(self, sent: bytes) -> list[str]:
        """The keys that are complete: a character, or a name such as "up"; sequences that are unknown are left out."""
        text = self._begun + self._decoder.decode(sent)
        self._begun = ""
        keys = []
        at = 0
        while at < len(text):
            if text[at] != _ESCAPE:
                keys.append(_SINGLE.get(text[at], text[at]))
                at += 1
                continue
            end = _end_of_sequence(text, at)
            if end is None:
                self._begun = text[at:]
                break
            keys.append(_name_of(text[at:end]))
            at = end
        return [key for key in keys if key]

    def flush(self) -> list[str]:
        """What it is if nothing more comes: the escape key, and what was typed after it."""
        begun, self._begun = self._begun, ""
        return ["escape"] if begun else []


def _end_of_sequence(text: str, at: int) -> int | None:
    """Where the sequence ends that begins at *at*; None: not yet."""
    if at + 1 == len(text):
        return None
    if text[at + 1] == "O":  # one character more
        return at + 3 if at + 2 < len(text) else None
    if text[at + 1] != "[":  # the escape key, and then another one
        return at + 1
    for end in range(at + 2, len(text)):
        if "@" <= text[end] <= "~":
            return end + 1
        if end - at > _LONGEST:
            return end
    return None


def _name_of(sequence: str) -> str:
    if sequence == _ESCAPE:
        return "escape"
    if sequence.endswith("~"):
        return _NUMBERED.get(sequence[2:-1].partition(";")[0], "")
    return _FINAL.get(sequence[-1], "")
