"""The nodes and queues of stores: objects in C where the extension is there, else those of Python.

Policies that a user runs by himself keep the nodes of Python: in C an attribute that Python reads or writes takes
longer, and pays only where C does most of it.
"""

from typing import TYPE_CHECKING

from memo._native import speed
from memo._rings.ring import Mark, Node, Queue

__all__ = ("StoreMark", "StoreNode", "StoreQueue")

if TYPE_CHECKING or speed is None:
    StoreNode = Node
    StoreMark = Mark
    StoreQueue = Queue
else:
    StoreNode = speed.Node
    StoreMark = speed.Mark

    class StoreQueue(speed.Queue):
        """A FIFO queue of nodes: a ring that begins and ends with itself."""

        __slots__ = ()

        __init__ = Queue.__init__
        __iter__ = Queue.__iter__
        reset = Queue.reset
        empty = Queue.empty
        append = Queue.append
        remove = staticmethod(Queue.remove)
