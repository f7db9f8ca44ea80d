"""To every tool a decorated thing is what it was."""

import asyncio
import collections.abc
import contextlib
import copy
import copyreg
import doctest
import functools
import inspect
import pickle
import pydoc
import re
import sys
import types
import typing
import unittest.mock
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.tools import ABSTRACT

from memo import bounded, dedupe_inflight, sliding_window

Question = Callable[[Any], Any]


def things(subject: Any) -> dict[str, Any]:
    """Everything decorated in the subject, by the way that it is reached."""
    found = {name: getattr(subject, name) for name in ("f", "wait", "inner")}
    instance = subject.C()
    for name in METHODS + PROPERTIES:
        found[f"vars(C)[{name!r}]"] = vars(subject.C)[name]
        found[f"C.{name}"] = getattr(subject.C, name)
    for name in METHODS:
        found[f"C().{name}"] = getattr(instance, name)
    for name in ABSTRACT:
        found[f"vars(A)[{name!r}]"] = vars(subject.A)[name]
    found["D.c_below"] = subject.D.c_below
    return found


def objects(subject: Any) -> dict[str, Any]:
    """What is decorated and no function."""
    return {
        f"{where}.{name}": getattr(place, name)
        for where, place in (("subject", subject), ("Holder", subject.Holder), ("Holder()", subject.Holder()))
        for name in ("partial", "caller", "builtin", "method")
    }


METHODS = ("m", "am", "s_below", "s_above", "as_below", "c_below", "c_above", "__call__")

PROPERTIES = ("p_below", "p_above")

KINDS = (
    types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.CoroutineType, staticmethod, classmethod,
    property, functools.partial, functools.partialmethod, functools.cached_property, type, tuple, str, int,
    collections.abc.Callable, collections.abc.Sized, collections.abc.Container, collections.abc.Iterable,
    collections.abc.Mapping, collections.abc.Sequence, collections.abc.Awaitable, contextlib.AbstractContextManager,
    contextlib.AbstractAsyncContextManager, typing.SupportsInt, typing.SupportsIndex, typing.SupportsFloat,
    typing.SupportsAbs,
)  # fmt: skip

VALUES = (
    "__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__", "__annotations__",
    "__type_params__", "__isabstractmethod__", "__closure__", "__text_signature__",
)  # fmt: skip

NAMES = (
    "__get__", "__set__", "__delete__", "__call__", "__code__", "__self__", "__func__", "__globals__", "__builtins__",
    "__len__", "__iter__", "__next__", "__await__", "__aiter__", "__anext__", "__enter__", "__exit__", "__aenter__",
    "__aexit__", "__bool__", "__contains__", "__getitem__", "__setitem__", "__int__", "__index__", "__float__",
    "__complex__", "__bytes__", "__round__", "__fspath__", "__add__", "__radd__", "__iadd__", "__or__", "__neg__",
    "__reversed__", "__length_hint__", "__mro_entries__", "__instancecheck__", "__class_getitem__", "__set_name__",
    "__objclass__", "__signature__", "__array__", "__html__", "_repr_html_", "_ipython_display_", "__origin__",
    "__args__", "__parameters__", "__lt__", "__hash__", "__reduce__", "__missing__", "fget", "func", "args", "keywords",
    "nothing_of_the_kind",
)  # fmt: skip

PREDICATES = (
    "isroutine", "isfunction", "ismethod", "iscoroutinefunction", "isgeneratorfunction", "isasyncgenfunction",
    "ismethoddescriptor", "isdatadescriptor", "isbuiltin", "isclass", "isawaitable", "isabstract", "ismodule",
    "ismemberdescriptor", "isgetsetdescriptor",
)  # fmt: skip

TEXTS = ("getsource", "getsourcelines", "getsourcefile", "getfile", "getdoc", "getcomments")


def wrapped_by(thing: Any) -> Any:
    @functools.wraps(thing)
    def wrapper(*args: Any) -> None: ...

    return wrapper.__name__, wrapper.__qualname__, wrapper.__module__, wrapper.__doc__, str(inspect.signature(wrapper))


def raised_by(*args: Any, **kwargs: Any) -> Question:
    def ask(thing: Any) -> Any:
        try:
            made = thing(*args, **kwargs)
        except TypeError as error:
            return str(error)
        if inspect.iscoroutine(made):
            made.close()
            return "coroutine"
        return made

    return ask


QUESTIONS: dict[str, Question] = {
    **{f"inspect.{name}": getattr(inspect, name) for name in PREDICATES + TEXTS},
    **{f"isinstance {kind}": functools.partial(lambda kind, x: isinstance(x, kind), kind) for kind in KINDS},
    **{f"attribute {name}": functools.partial(lambda name, x: str(getattr(x, name)), name) for name in VALUES},
    **{f"hasattr {name}": functools.partial(lambda name, x: hasattr(x, name), name) for name in NAMES},
    "asyncio.iscoroutinefunction": asyncio.iscoroutinefunction,
    "callable": callable,
    "bool": bool,
    "signature": lambda x: str(inspect.signature(x)),
    "its own signature": lambda x: str(inspect.signature(x, follow_wrapped=False)),
    "getfullargspec": lambda x: str(inspect.getfullargspec(x)),
    "getmodule": lambda x: getattr(inspect.getmodule(x), "__name__", None),
    "getclosurevars": lambda x: sorted(inspect.getclosurevars(x).globals),
    "unwrap": lambda x: inspect.unwrap(x).__name__,
    "get_annotations": lambda x: str(inspect.get_annotations(x)),
    "get_type_hints": lambda x: str(typing.get_type_hints(x)),
    "get_overloads": typing.get_overloads,
    "code": lambda x: (x.__code__.co_name, x.__code__.co_firstlineno, x.__code__.co_filename, x.__code__.co_varnames),
    "help": lambda x: pydoc.render_doc(x, renderer=pydoc.plaintext),
    "pydoc.describe": pydoc.describe,
    "equal to itself": lambda x: (x == x, x != x, hash(x) == hash(x), x == 1),
    "pickle": lambda x: pickle.loads(pickle.dumps(x)) == x,
    "copy": lambda x: copy.copy(x) == x,
    "deepcopy": lambda x: copy.deepcopy(x) == x,
    "weakref": lambda x: weakref.ref(x)() is x,
    "functools.wraps": wrapped_by,
    "signature of a partial": lambda x: str(inspect.signature(functools.partial(x, 1))),
    "called with too much": raised_by(*range(9)),
    "called with a strange keyword": raised_by(1, strange=2),
    "called with nothing": raised_by(),
    "abstract": lambda x: getattr(x, "__isabstractmethod__", False),
}

# A weak reference to a property, static or class method is possible here, where it is not elsewhere; a method's class
# is generic.
EXPECTED = {
    *(("weakref", kind) for kind in (property, staticmethod, classmethod)),
    *((f"hasattr {name}", types.MethodType) for name in ("__class_getitem__", "__parameters__")),
}

OF_OBJECTS = {
    asked: question
    for asked, question in QUESTIONS.items()
    if asked.partition(" ")[0] in ("isinstance", "hasattr", "attribute", "callable", "bool", "signature", "unwrap")
    or asked.startswith("inspect.is")
    or asked in ("its own signature", "equal to itself", "weakref", "asyncio.iscoroutinefunction")
}

OF_OBJECTS.pop("hasattr __signature__")


def answer(question: Question, thing: Any) -> Any:
    """What a tool learns; of an error, what it says."""
    try:
        told = question(thing)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    if not isinstance(told, str):
        return told
    told = re.sub(r"<bound <\w+ subject_of_tools\.([\w.<>]+)> of", r"<bound method \1 of", told)
    told = re.sub(
        r"<(?:bounded|dedupe_inflight|sliding_window|limit) subject_of_tools\.([\w.<>]+)>", r"<function \1 at>", told
    )
    return re.sub(r" at 0x[0-9a-f]+", " at", told)


def both(plain: Any, decorated: Any, question: Question) -> tuple[Any, Any]:
    """The answers about each subject, which is the module of its name meanwhile."""
    answers = []
    for subject in (plain, decorated):
        sys.modules["subject_of_tools"] = subject
        answers.append(question(subject))
    return answers[0], answers[1]


def differing(
    plain: Any, decorated: Any, found: Callable[[Any], dict[str, Any]], questions: dict[str, Question]
) -> dict[tuple[str, str], tuple[Any, Any]]:
    """The questions, and about what, whose answers differ; and both answers."""

    def answers(subject: Any) -> dict[tuple[str, str], Any]:
        return {
            (asked, where): answer(question, thing)
            for asked, question in questions.items()
            for where, thing in found(subject).items()
            if (asked, thing.__class__) not in EXPECTED
        }

    expected, told = both(plain, decorated, answers)
    return {at: (right, told.get(at)) for at, right in expected.items() if right != told.get(at)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_question_has_the_answer_of_the_undecorated(plain: Any, decorated: Any) -> None:
    """Functions, methods and properties answer each question of tools as without decorators."""
    assert differing(plain, decorated, things, QUESTIONS) == {}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # partials are going to be bound
def test_questions_about_objects_have_the_answers_of_the_undecorated(plain: Any, decorated: Any) -> None:
    """Partials, objects, builtins and bound methods answer each question of tools as without decorators."""
    assert differing(plain, decorated, objects, OF_OBJECTS) == {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_answer_is_the_same_after_calls(plain: Any, decorated: Any) -> None:
    """The first call of a bound method changes how the method is bound, and nothing that anybody sees."""
    for subject in (plain, decorated):
        instance = subject.C()
        assert instance.m(1) == instance.s_below(1) == instance.c_below(1) == instance.c_above(1) == instance(3) == 3
        assert [instance.p_below, instance.p_above, subject.f(1), subject.caller(1)] == [3, 3, "1a", 3]
        assert asyncio.run(instance.am(1)) == asyncio.run(instance.as_below(1)) == 3
    test_every_question_has_the_answer_of_the_undecorated(plain, decorated)


def _builtin(thing: Any) -> Any:
    return next(kind for kind in thing.__class__.__mro__ if kind.__module__ == "builtins")


def test_classes_are_seen_alike(plain: Any, decorated: Any) -> None:
    """Attributes, help, abstract methods and members of a class are those of the undecorated."""
    for subject in (plain, decorated):
        for kind in (subject.C, subject.D, subject.A):
            # What pickle writes into a class that it sees, and what whoever asks for its annotations does: another test
            # may have asked of one of the two.
            copyreg._slotnames(kind)  # type: ignore[attr-defined]
            assert kind.__annotations__ is not None

    def seen(subject: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for kind in (subject.C, subject.D, subject.A):
            name = kind.__name__
            found[name, "attributes"] = [
                (one.name, one.kind, one.defining_class.__name__) for one in inspect.classify_class_attrs(kind)
            ]
            found[name, "help"] = answer(lambda kind: pydoc.render_doc(kind, renderer=pydoc.plaintext), kind)
            found[name, "abstract"] = sorted(getattr(kind, "__abstractmethods__", ()))
            for predicate in PREDICATES:
                for members in (inspect.getmembers, inspect.getmembers_static):
                    which = getattr(inspect, predicate)
                    found[name, members.__name__, predicate] = [one for one, _ in members(kind, which)]
        found["static"] = [
            _builtin(inspect.getattr_static(place, name))
            for name in METHODS + PROPERTIES
            for place in (subject.C, subject.C())
        ]
        return found

    expected, told = both(plain, decorated, seen)
    for asked, right in expected.items():
        assert told[asked] == right, asked


def test_doctest_finds_the_examples_of_every_placement(plain: Any, decorated: Any) -> None:
    """doctest finds and passes the same ten examples as without decorators."""

    def run(subject: Any) -> Any:
        found = doctest.DocTestFinder().find(subject)
        results = doctest.testmod(subject)
        return sorted((test.name, test.lineno or 0, len(test.examples)) for test in found), results

    expected, told = both(plain, decorated, run)
    assert told == expected
    assert told[1].failed == 0
    assert told[1].attempted == 10


def test_autospecs_refuse_what_the_undecorated_refuse(plain: Any, decorated: Any) -> None:
    """Autospecs of decorated classes and instances answer zero to four arguments as those of plain ones."""

    def tried(subject: Any) -> list[Any]:
        spec = unittest.mock.create_autospec(subject.C)
        return [
            (name, type(getattr(place, name)).__name__, count, answer(raised_by(*range(count)), getattr(place, name)))
            for place in (spec, spec(), unittest.mock.create_autospec(subject.C()))
            for name in METHODS[:-1]
            for count in range(5)
        ]

    expected, told = both(plain, decorated, tried)
    assert [row[:3] for row in told] == [row[:3] for row in expected]
    assert [re.sub("<.*>", "", str(row[3])) for row in told] == [re.sub("<.*>", "", str(row[3])) for row in expected]


@pytest.mark.parametrize("name", METHODS)
def test_attributes_can_be_patched_and_are_put_back(decorated: Any, name: str) -> None:
    """mock.patch.object() replaces a decorated attribute of a class and restores the very object."""
    before = vars(decorated.C)[name]
    with unittest.mock.patch.object(decorated.C, name, autospec=True) as double:
        assert vars(decorated.C)[name] is not before
        assert double is not before
    assert vars(decorated.C)[name] is before


def test_what_is_no_function_can_what_it_could(decorated: Any) -> None:
    """A decorated object keeps length, items and `with`, and functions get none of these."""
    caller = decorated.caller
    assert len(caller) == 4
    assert caller[7] == 7
    with caller as entered:
        assert entered == "entered"
    with pytest.raises(TypeError):
        len(decorated.partial)
    with pytest.raises(TypeError):
        len(decorated.f)
    with pytest.raises(TypeError), decorated.f:
        pass
    with pytest.raises(TypeError):
        decorated.f + 1
    with pytest.raises(TypeError):
        decorated.f[0]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_pydoc_describes_objects_as_ever(plain: Any, decorated: Any) -> None:
    """An object is described by the name of its type, a partial or a class of the program, not by one of ours."""

    def described(subject: Any) -> Any:
        return {where: (pydoc.describe(thing), type(thing).__name__) for where, thing in objects(subject).items()}

    expected, told = both(plain, decorated, described)
    for where, right in expected.items():
        if where.rpartition(".")[2] in ("partial", "caller"):
            assert told[where] == right


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_does_not_bind_is_not_bound(decorated: Any) -> None:
    """Partials, objects, builtins and bound methods in a class get no instance."""
    holder = decorated.Holder()
    assert holder.partial() == 3
    assert holder.caller(1) == 3
    assert holder.builtin("four") == 4
    assert holder.method(1) == 3


def test_the_directory_shows_the_handles() -> None:
    """dir() lists the handles that the decorators give, and none but those."""

    @bounded(max=8)
    def f() -> None: ...

    class C:
        @bounded(max=8)
        def m(self) -> None: ...

        @bounded(max=8)
        @staticmethod
        def s() -> None: ...

        @bounded(max=8)
        @classmethod
        def c(cls) -> None: ...

        @bounded(max=8)
        @property
        def p(self) -> None: ...

        @dedupe_inflight
        def d(self) -> None: ...

        @sliding_window("1h")
        def w(self) -> None: ...

    added = {"cache", "inflight", "cache_info", "cache_clear", "cache_parameters"}
    for thing in (f, C.m, C().m, C.s, C().s, C.c, C().c, vars(C)["s"], vars(C)["c"], vars(C)["p"]):
        assert added <= set(dir(thing)), thing
        assert "window" not in dir(thing)
        assert all(hasattr(thing, name) for name in dir(thing) if name != "__abstractmethods__")
    for thing in (C.d, C().d):
        assert "inflight" in dir(thing)
        assert not {"cache", "cache_info", "window"} & set(dir(thing))
    assert "window" in dir(C().w)
    assert not {"cache", "inflight"} & set(dir(C().w))
