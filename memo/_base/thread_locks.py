"""The locks of the package, which hold between threads whatever the program made of ``threading``."""

import _thread
import threading

__all__ = ("rlock",)


def rlock() -> threading.RLock:
    """A lock that its holder may take again.

    gevent and eventlet exchange the locks of ``threading`` for locks of greenlets.  Those of eventlet know one thread,
    and those of gevent now and then forget one where several contend: a call in a thread of their pools that waited for
    a lock was never woken.  Nothing of the package gives way to other greenlets while it holds a lock, so the
    interpreter's own serves greenlets as well.
    """
    lock = threading.RLock()
    return _thread.RLock() if type(lock) is threading._PyRLock else lock  # type: ignore[attr-defined]
