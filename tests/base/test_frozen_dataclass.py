"""A frozen dataclass is what ``dataclass(frozen=True)`` makes, though its constructor is written when it is needed."""

import copy
import dataclasses
import inspect
import pickle
import threading
from typing import Any

import pytest

import memo
from memo._base import Frozen, frozen_dataclass

NEW = [memo.CacheStats, memo.InflightStats, memo.WindowStats, memo.Event, memo.Finding, memo.StoreReport]


def made() -> Any:
    @frozen_dataclass
    class Figures(Frozen):
        """Made anew for each test, so that no object was made before."""

        name: str
        count: int = 0

        def __post_init__(self) -> None:
            if self.count < 0:
                raise ValueError(self.count)

    return Figures


@dataclasses.dataclass(frozen=True, slots=True, repr=False, eq=False)
class Plain(Frozen):
    name: str
    count: int = 0


def test_it_has_the_signature_of_a_plain_one() -> None:
    """Before an object was made, signature() tells names, annotations and defaults of the fields."""
    assert inspect.signature(made()) == inspect.signature(Plain)
    assert inspect.getfullargspec(made().__init__) == inspect.getfullargspec(Plain.__init__)
    assert made().__init__.__qualname__.endswith("Figures.__init__")
    assert made().__init__.__module__ == __name__


@pytest.mark.parametrize("kind", NEW)
def test_signatures_of_public_figures_name_their_fields(kind: Any) -> None:
    """The parameters of a figure's constructor are its fields, with their defaults."""
    parameters = inspect.signature(kind).parameters
    assert list(parameters) == [f.name for f in dataclasses.fields(kind)] == list(kind.__match_args__)
    for f in dataclasses.fields(kind):
        assert (parameters[f.name].default is inspect.Parameter.empty) == (f.default is dataclasses.MISSING)


def test_objects_are_made_as_those_of_a_plain_one() -> None:
    """Arguments go by position and by name; what follows the fields' setting runs; what is wrong is told the same."""
    kind = made()
    assert (kind("a", 2).count, kind(name="a").count, kind("a", count=3).count) == (2, 0, 3)
    with pytest.raises(ValueError, match="-1"):
        kind("a", -1)
    with pytest.raises(TypeError) as ours:
        kind()
    with pytest.raises(TypeError) as theirs:
        Plain()  # type: ignore[call-arg]
    assert str(ours.value).rpartition("Figures")[2] == str(theirs.value).rpartition("Plain")[2]


def test_it_is_frozen_as_a_plain_one() -> None:
    """Setting and deleting a field raise what they raise of a plain one, and so does whatever is no field."""
    for change in ("setattr(it, 'count', 1)", "delattr(it, 'count')"):
        told = []
        for it in (made()("a"), Plain("a")):
            with pytest.raises(dataclasses.FrozenInstanceError) as caught:
                eval(change, {"it": it})
            told.append(str(caught.value))
        assert told[0] == told[1]
    for change in ("setattr(it, 'other', 1)", "delattr(it, 'other')"):
        with pytest.raises(dataclasses.FrozenInstanceError, match="'other'"):
            eval(change, {"it": made()("a")})
    assert not hasattr(made()("a"), "__dict__")


def test_it_is_copied_and_replaced() -> None:
    """replace(), copy() and pickles of a public figure make equal ones; asdict() and match know its fields."""
    figures = memo.InflightStats("f", active=2)
    assert dataclasses.replace(figures, active=3) == memo.InflightStats("f", 3)
    assert copy.deepcopy(figures) == pickle.loads(pickle.dumps(figures)) == figures
    assert dataclasses.asdict(figures)["active"] == 2
    match figures:
        case memo.InflightStats(name, active):
            assert (name, active) == ("f", 2)


def test_classes_derive_from_it() -> None:
    """A subclass has attributes of its own and frozen fields; a dataclass that derives from it has to be frozen."""

    class Own(made()):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            super().__init__(name, 7)
            self.more = 1

    own = Own("a")
    own.more = 2
    del own.more
    with pytest.raises(dataclasses.FrozenInstanceError, match="'count'"):
        own.count = 1

    @dataclasses.dataclass(frozen=True)
    class Derived(made()):  # type: ignore[misc]
        third: int = 3

    assert (Derived("a", 1).third, Derived("a", 1).count) == (3, 1)
    with pytest.raises(TypeError, match="cannot inherit non-frozen dataclass from a frozen one"):
        dataclasses.dataclass(type("Thawed", (made(),), {}))


def test_a_class_that_derives_may_be_used_first() -> None:
    """The constructor that a subclass's first object has written is that of the class it comes from."""
    kind = made()
    own = type("Own", (kind,), {})
    assert (own("a").name, kind("b").name) == ("a", "b")
    assert "__init__" not in vars(own)


def test_threads_make_the_first_objects_at_once() -> None:
    """Each of several threads that make the first objects of a class has its own whole."""
    for _ in range(20):
        kind, start, found = made(), threading.Barrier(4), []

        def make(number: int, kind: Any = kind, start: threading.Barrier = start, found: list[Any] = found) -> None:
            start.wait(30)
            found.append(kind(f"{number}", number))

        threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted((one.name, one.count) for one in found) == [(f"{n}", n) for n in range(4)]
