"""Real exceptions at random moments: of a signal handler, and set by another thread."""

import ctypes
import os
import random
import signal
import threading

import pytest
from kit.operations import DECORATORS, OPERATIONS, full, suits
from kit.strikes import Struck, held_locks
from kit.struck import Boom, Subject
from kit.threads import LIMIT_S

pytestmark = pytest.mark.usefixtures("quiet")

ROUNDS_LONG = max(12, int(os.environ.get("MEMO_STRESS_OPERATIONS", "200_000")) // 200)
rounds = pytest.mark.parametrize(
    "rounds", [6, pytest.param(ROUNDS_LONG, marks=[pytest.mark.stress, pytest.mark.timeout(1500)])]
)
decorators = pytest.mark.parametrize("decorator", ["lean", "lru", "errors", "tags", "stack", "dedupe"])


@pytest.fixture(autouse=True)
def _unraisable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strikes of finalizers are no news."""
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)


class Work:
    """Operations on a decorated function, drawn at random until an exception ends them."""

    def __init__(self, decorator: str, draw: random.Random) -> None:
        self.subject = Subject(DECORATORS[decorator])
        self.draw = draw
        self.operations = [OPERATIONS[name] for name in OPERATIONS if suits(decorator, name)]
        self.begun = threading.Event()
        full(self.subject)

    def go_on(self) -> None:
        """Work until struck, but not for ever: what strikes a finalizer is told to nobody."""
        try:
            for _ in range(2_000):
                prepare, do = self.draw.choice(self.operations)
                try:
                    self.begun.set()
                    prepare(self.subject)
                    do(self.subject)
                except Boom:
                    pass
                self.subject.failing.clear()
        except Struck as error:
            self.subject.note(error)
            self.subject.failing.clear()  # which it may have been struck before

    def check(self) -> None:
        """Nothing is taken, torn or untold, and ordinary calls work."""
        assert not held_locks(self.subject.locks)
        self.subject.check_parts()
        self.subject.check_books([])
        self.subject.clock.advance(100)  # failures that it remembers are past
        self.subject.check_goes_on()
        self.subject.check_books([])


@rounds
@decorators
def test_a_signal_handler_that_raises(decorator: str, rounds: int) -> None:
    """Wherever a signal finds the main thread, its exception leaves everything whole."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("has no interval timers")

    def raise_struck(number: int, frame: object) -> None:
        raise Struck

    draw = random.Random(decorator)
    before = signal.signal(signal.SIGVTALRM, raise_struck)
    try:
        for _ in range(rounds):
            work = Work(decorator, draw)
            signal.setitimer(signal.ITIMER_VIRTUAL, draw.uniform(0.0001, 0.003))
            work.go_on()
            work.check()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@rounds
@decorators
def test_an_exception_that_another_thread_sets(decorator: str, rounds: int) -> None:
    """Wherever it finds a thread, it leaves everything whole."""
    draw = random.Random(decorator)
    for _ in range(rounds):
        work = Work(decorator, draw)
        thread = threading.Thread(target=work.go_on)
        thread.start()
        assert work.begun.wait(LIMIT_S)
        for _ in range(draw.randrange(20_000)):
            pass  # the other thread gets on meanwhile, or is about to
        assert thread.ident is not None
        set_in = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Struck))
        assert set_in <= 1  # 0: it has ended of itself
        thread.join(LIMIT_S)
        assert not thread.is_alive()
        work.check()
