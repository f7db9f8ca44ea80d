"""The marks in frozen keys, which say what kind of value a tuple was.

They live here and not beside ``freeze``: a pickled key names this module, in programs that run on as in files, so it
never moves.
"""

__all__ = ("_CALL", "_DEQUE", "_DICT", "_INSTANCE", "_LIST", "_TYPED")


class _Mark:
    """What kind of value a frozen tuple was; equal to itself alone, also after pickling and copying."""

    __slots__ = ("_name", "_shown")

    def __init__(self, name: str, shown: str) -> None:
        self._name = name
        self._shown = shown

    def __repr__(self) -> str:
        return f"<{self._shown}>"

    def __reduce__(self) -> str:
        return self._name  # the module's global of that name


_CALL = _Mark("_CALL", "call")
_DEQUE = _Mark("_DEQUE", "deque")
_DICT = _Mark("_DICT", "dict")
_INSTANCE = _Mark("_INSTANCE", "instance")
_LIST = _Mark("_LIST", "list")
_TYPED = _Mark("_TYPED", "typed")
