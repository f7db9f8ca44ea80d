"""The part of the policies of two queues that C has: all of it where every entry weighs 1.

- The attributes are those of the classes in Python, held where C reads and writes them too.
- ``kind`` says who decides: 0 is Python, which it does where entries are weighed; its ghost and its share are those of
  Python then.  C decides the same.
- ``odd`` is set once a key came whose hash or comparison is code in Python: then C leaves a miss to Python, which knows
  how to go on when such code strikes.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from memo._native import speed
from memo._rings import Ghost

__all__ = ("ADAPTIVE", "S3FIFO", "QueuesInC")

S3FIFO, ADAPTIVE = 1, 2
"""Kinds of policies, as C knows them."""

if TYPE_CHECKING or speed is None:

    class QueuesInC:
        """Nothing, where there is no C."""

else:

    class QueuesInC(speed.Policy):
        """What comes before the class in Python, among the bases of one policy."""

        _KIND: ClassVar[int]

        def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
            if getsizeof is None:
                self.kind = self._KIND
            super().__init__(maxsize, getsizeof)

        def _new_ghost(self) -> Any:
            return speed.Ghost(self._stamped) if self.kind else Ghost(self._stamped)

        def recall(self, key: Any) -> int:
            return self.recall_in_c(key) if self.kind else super().recall(key)

        def choose(self) -> Any:
            return self.choose_in_c() if self.kind else super().choose()

        def hang(self, entry: Any, recalled: int) -> None:
            if self.kind:
                self.hang_in_c(entry, recalled)
            else:
                super().hang(entry, recalled)

        def _hang_in(self, queue: Any, entry: Any) -> None:
            self.note_key(entry.key)
            super()._hang_in(queue, entry)

        def take_down(self, entry: Any) -> None:
            if self.kind:
                self.take_down_in_c(entry)
            else:
                super().take_down(entry)

        def exchange(self, key: Any, entry: Any) -> Any:
            return self.exchange_in_c(key, entry) if self.kind else super().exchange(key, entry)

        def forget_order(self) -> None:
            super().forget_order()
            self.odd = False
