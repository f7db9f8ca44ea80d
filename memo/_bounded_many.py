"""``@bounded_many``: results remembered by key, of a function that takes many keys at once.

The decorated function consists of two layers.  The outer one is what users call with many keys.  Within it, apart from
the stack, is a ``bounded`` function of *one* key, which is ``f.one``: it has the store, the running loads, the keys and
the handles; what the outer one is asked for, that answers.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, SupportsFloat, SupportsIndex, Unpack, overload

from memo._base import (
    Aside,
    Audience,
    Clock,
    Duration,
    OneShot,
    Swept,
    TagsOption,
    Weakly,
    format_seconds,
    given_text,
    knows_its_options,
    positive_int,
    refuse_bare,
    seconds,
)
from memo._bounded import BoundedLayer, Policy, SharedOptions, bounded, check_suits, checked_options
from memo._cache import CacheHandle, CacheIfOption, CacheOptions, CacheStats, EvictLoop, TtlOption
from memo._call import Block, Call, CallSource, KeyOptions, Scope, Tokens
from memo._decorated import Decorated, Decorator, Layer, Placement, levels_around
from memo._flight import InflightStats, Watch
from memo._many import BatchAnswers, Gatherer, ManyFunction, TaskBatches, ThreadBatches, many_calls
from memo._registry import Record, Registry
from memo._store import CacheClass, EvictionReason, is_ours
from memo.errors import AbsentKey

if TYPE_CHECKING:
    from memo._decorated import ManyDecorator

__all__ = ("bounded_many",)

_WHERE = "bounded_many"


class _Terms(NamedTuple):
    """What was said of batches."""

    gather_s: float | None
    most: int | None


class _SingleLayer(BoundedLayer):
    """Results of the function, one key at a time.

    Args:
        function: Loads one key.
        front: The layer of calls with many keys, which holds this one.
        clock: What reads the time, or None for the default clock.
    """

    where = _WHERE

    def __init__(self, function: Callable[..., Any], front: _ManyLayer, clock: Callable[[], float] | None) -> None:
        self._front = weakref.ref(front)
        self.kinds = ThreadBatches, functools.partial(TaskBatches, keep_s=front.options.work.keep_s)
        super().__init__(function, front.options, front.single_keys, clock, front.shape.takes_instance)

    @property
    def record(self) -> Record | None:
        """That of the function of many keys."""
        front = self._front()
        return None if front is None else front.record

    @record.setter
    def record(self, record: Record | None) -> None: ...  # pyright: ignore[reportIncompatibleVariableOverride]

    def watch_of(self, audience: Audience | None) -> Watch | None:
        front, record = self._front(), self.record
        if audience is None or front is None or record is None:
            return None
        return Watch(record, audience, levels_around(front, record)[0], False, Weakly(self.revealed), self.clock)

    def whole(self) -> Any:
        front = self._front()
        return None if front is None else front.decorated()

    def fence_others(self, call: Call | None) -> AbstractContextManager[None]:
        front = self._front()
        return super().fence_others(None) if front is None else front.fence_others(None)

    def assign(self, word: str, value: Any) -> None:
        super().assign(word, value)
        front = self._front()
        if front is not None:
            front.assign(word, value)

    def write_anew(self) -> None:
        super().write_anew()
        front = self._front()
        if front is not None:
            front.write_anew()


class _Engine(NamedTuple):
    """What answers calls with many keys."""

    single: _SingleLayer
    one: Any
    """The decorated function of one key."""
    answers: BatchAnswers


class _ManyLayer(Layer):
    """What is added to a function of many keys."""

    kind = "cache"
    levels = 2  # that of single keys, and the batches

    def __init__(
        self,
        function: Callable[..., Any],
        options: CacheOptions,
        keys: KeyOptions,
        clock: Callable[[], float] | None,
        takes_instance: bool | None,
        terms: _Terms,
    ) -> None:
        self.options = options
        self.single_keys = keys
        self._terms = terms
        super().__init__(_WHERE, function, keys, clock, takes_instance, options.tags)
        self._asked = ManyFunction(self.shape, self.called)
        check_suits(self.shape, options, keys)  # now, and not as the function of one key is made
        if terms.gather_s is not None and not self.shape.is_async:
            raise TypeError(
                f"{_WHERE}: gather={format_seconds(terms.gather_s)!r} has no effect on "
                f"{self.shape.qualname}, a plain function, whose calls would each block a thread meanwhile; make it a "
                "coroutine function, or call it with many keys."
            )
        if not is_ours(options.policy):
            self.make_works()  # which shows whether it can be made

    # -- what it consists of

    @property
    def engine(self) -> _Engine:
        """What answers its calls."""
        return self.works.engine  # type: ignore[no-any-return]

    @property
    def single(self) -> _SingleLayer:
        """The layer of the function of one key."""
        return self.engine.single

    @property
    def tokens(self) -> Tokens:
        return self.single.tokens

    def make_engine(self, clock: Clock) -> _Engine:
        gatherer = Gatherer(self._asked, clock, self._terms.gather_s, self._terms.most) if self.shape.is_async else None
        gathers = gatherer is not None and self._terms.gather_s is not None
        one = self._asked.single(gatherer.load if gathers and gatherer is not None else None)
        single = _SingleLayer(one, self, self._read)
        single.watch_switch(self._is_watched)
        loader = None if gatherer is None else gatherer.of_one_call
        answers = BatchAnswers(self._asked, single.cache, single.generated.key_of, loader, self._terms.most)
        decorated: Any = Decorated
        return _Engine(single, decorated(single), answers)

    def one_for(self, prefix: tuple[Any, ...]) -> Any:
        one = self.engine.one
        return one.__get__(prefix[0], type(prefix[0])) if prefix else one

    # -- calls

    def template(self, call: CallSource) -> Block:
        single = self.single
        plan = single.generated.keys.plan
        keys = plan.parameters[self._asked.at].name
        noted = single.cache.notes is not None
        return many_calls(keys, call, plan.call(), self.options, single.cache.store, noted=noted)

    def internals(self) -> dict[str, Any]:
        answers, is_async = self.engine.answers, self.shape.is_async
        return {
            **self.single.internals(),
            "unique": self._asked.unique,
            "answer_many": answers.answer_awaited if is_async else answers.answer,
            "answer_spelled": answers.answer_spelled_awaited if is_async else answers.answer_spelled,
        }

    def words(self, *, through: bool) -> dict[str, Any]:
        return {**super().words(through=through), **self.single.generated.keys.words()}

    @property
    def needs_through(self) -> bool:
        return False

    def take_instance(self) -> None:
        self.shape.takes_instance = True
        self._asked.check()
        if self.is_made:
            self._describe_anew()
            self.single.take_instance()
        super().take_instance()

    def read_anew(self) -> None:
        super().read_anew()
        self._asked.check()
        if self.is_made:
            self._describe_anew()
            self.single.read_anew()
            self.write_anew()

    def _describe_anew(self) -> None:
        self._asked.describe(self.single.shape.function)

    # -- what the function of one key does for it

    def fence(self, call: Call | None) -> None:
        if self.is_made:
            self.single.fence(None)  # of a call with many keys, too: more than need be does no harm

    def fence_others(self, call: Call | None) -> AbstractContextManager[None]:
        return super().fence_others(None)  # whose keys are those of calls with many

    def watch_switch(self, on: bool) -> None:
        super().watch_switch(on)
        if self.is_made:
            self.single.watch_switch(on)

    def show_audience(self) -> None:
        audience, record = self._audience, self.record
        self.single.be_watched(audience)
        watch = None
        if audience is not None and audience.minds_loads and record is not None:
            above, below = levels_around(self, record)
            watch = Watch(record, audience, above + 1, below == 0, list, self.clock)
        self._asked.be_watched(watch)

    def handle_for(self, prefix: tuple[Any, ...]) -> CacheHandle[..., Any, Any]:
        single = self.single
        return CacheHandle(single.answers, single.answer, single.generated, self.name, self.fence_others, prefix)

    def stats(self, name: str) -> CacheStats:
        return self.single.stats(name) if self.is_made else BoundedLayer.no_stats(self.options, name)

    def load_stats(self, name: str) -> InflightStats:
        return self.single.load_stats(name) if self.is_made else InflightStats(name)

    def drop_tagged(self, tag: str | None) -> int:
        return self.single.drop_tagged(tag) if self.is_made else 0

    def sweep(self) -> Iterator[Swept]:
        if self.is_made:
            yield from self.single.sweep()

    def empty(self) -> None:
        if self.is_made:
            self.single.empty()

    def forget_inherited(self) -> int:
        return self.single.forget_inherited() if self.is_made else 0

    def set_aside(self, aside: Aside) -> None:
        self.single.set_aside(aside)

    def put_back(self, aside: Aside) -> None:
        if self.is_made:
            self.single.put_back(aside)


class _Options(SharedOptions, total=False):
    """Every option but the bounds, for type checkers: of ``max`` and ``max_bytes`` one must be given."""

    absent_ttl: Duration | None
    """Time a key stays absent, a duration; 0: not; None: as ttl."""
    gather: Duration | None
    """How long a single call waits for others, a duration; None: not."""
    max_batch: int | None
    """Most keys that the function is called with; None: all."""


@overload
def bounded_many(*, max: int, max_bytes: int | str | None = None, **options: Unpack[_Options]) -> ManyDecorator: ...
@overload
def bounded_many(*, max_bytes: int | str, max: int | None = None, **options: Unpack[_Options]) -> ManyDecorator: ...
@knows_its_options
def bounded_many(
    function: Any = None,
    /,
    *,
    max: int | None = None,  # noqa: A002  # the field's term, and never needed as the builtin here
    ttl: TtlOption | None = None,
    absent_ttl: Duration | None = None,
    gather: Duration | None = None,
    max_batch: int | None = None,
    max_bytes: int | str | None = None,
    sizeof: Callable[[Any], SupportsIndex | SupportsFloat] | None = None,
    idle: Duration | None = None,
    jitter: float = 0.0,
    policy: Policy | CacheClass = "adaptive",
    key: Callable[..., Hashable] | None = None,
    ignore: Iterable[str] = (),
    weak: Iterable[str] = (),
    scope: Scope | None = None,
    typed: bool = False,
    dedupe: bool = True,
    timeout: Duration | None = None,
    keep: Duration | None = None,
    cache_if: CacheIfOption | None = None,
    copy: Literal["shallow", "deep"] | Callable[[Any], Any] | None = None,
    on_evict: Callable[[Any, Any, EvictionReason], object] | None = None,
    evict_loop: EvictLoop = None,
    lease_timeout: Duration | None = None,
    fork: Literal["keep", "drop"] = "keep",
    tags: TagsOption = (),
    one_shot: OneShot = "refuse",
    name: str | None = None,
    registry: Registry | None = None,
    clock: Callable[[], float] | None = None,
) -> Any:
    """Remember the results of a function of many keys, each key by itself.

    For a function that takes a collection of keys first (after ``self`` or
    ``cls``) and returns a mapping from key to value, such as ``def
    profiles(names: Sequence[str], lang: str = "en") -> Mapping[str, Profile]``.
    A call returns a new dict in the order in which the keys were given, each
    once.  The function is called with a list of the keys that are neither
    stored nor being loaded, and with the other arguments, which are part of
    each key.  A key that its mapping lacks is *absent*: the result lacks it,
    too, and that is remembered; keys that it was not asked for are left out.
    ``f.one("alice")`` is the value of one key, or raises ``AbsentKey``, a
    ``KeyError``.

    Each key has an entry, a running load, a life and tags of its own, and
    counts by itself in ``f.cache.stats()``: what is said of ``bounded`` holds
    for each.  ``f.cache`` and ``f.inflight`` take one key in place of the keys:
    ``f.cache.invalidate("alice")``.

    Calls at the same time share what overlaps: a call loads the keys that
    nobody loads yet, before it waits for those that others load.  If the
    function raises, so does each call that waits for one of its keys, with a
    note that names the keys that did not come; what came from other batches is
    stored.  A caller who is cancelled leaves; the function is cancelled when
    nobody is left who waits for any key of its batch, and until then what it
    returns is stored, for all of them.

    Safe from any thread and any event loop; a batch of single calls is gathered
    within one event loop.

    Args:
        max: Most entries at any moment; None: as many as max_bytes lets in.
            This or max_bytes is required.  A call with more keys than that is
            answered completely all the same.
        ttl: Age at which a result is stale, a duration; None: never.
            Or a function of the result, or of result and call (of one key),
            that returns it; see ``bounded``.
        absent_ttl: Time a key stays absent, a duration; 0: not; None: as ttl.
            For ever where there is none (invalidating, eviction and
            ``f.cache.put()`` end it); not at all where ttl is a function.
        gather: How long a single call waits for others, a duration; None: not.
            For a coroutine function: a call of ``f.one()`` that must load
            waits, so that one batch serves all of them; seconds, or text such
            as "5ms".  Those whose other arguments are the same (plain values
            equal, other objects identical) go together; so does a call with
            many keys, which waits for nobody.  Real time; a clock that is
            advanced by hand ends the wait as well.  The function then runs in
            the context of the first of them.  None: single calls load by
            themselves.
        max_batch: Most keys that the function is called with; None: all.
            A batch with so many goes at once; calls with more make several
            batches, of a coroutine function at the same time, of a plain one
            one after the other until one raises.
        max_bytes: Most bytes of entries, an int or "64MB"; None: unbounded.
            See ``bounded``, as for the options that follow.
        sizeof: Prices a value in bytes for max_bytes; None: ``memo.sizeof``.
        idle: Time unused after which an entry goes, a duration; None: none.
        jitter: Share by which each ttl is shortened at random; 0.1: by 10 %.
        policy: Which entry goes when room is needed, a name or a cache class.
        key: Makes the key of an entry, a hashable; None: of the arguments.
            Called with one key in place of the keys.
        ignore: Names of parameters to leave out of the key.
            What they are given is that of whoever begins the batch.
        weak: Names of parameters that count by identity and are not kept alive.
        scope: Which loops share entries: None: all; "loop": each has its own.
        typed: Whether all arguments of different types have different keys.
            Of keys that are equal, one call has the first alone.
        dedupe: Whether calls at the same time share loads.
        timeout: Age at which a load is given up, a duration; None: never.
        keep: How long a load goes on that all left, a duration; None: not.
        cache_if: Called with each result; if false, not stored; None: all are.
            Or with result and call.  What is not stored is returned all the
            same.
        copy: How values are copied: "shallow", "deep", a function; None: not.
            Applied to each value that is stored and handed out.
        on_evict: Called with key, value, reason of each that left; None: not.
            Once; absent keys have none.  The reason is an ``EvictionReason``.
        evict_loop: Event loop of an awaited on_evict; None: the value's own.
        lease_timeout: Duration after which a lease holds no more; None: none.
            From that age on a lease (``f.cache.lease(key)``) keeps ``on_evict``
            waiting no more.
        fork: What a forked child does with its entries: "keep" or "drop" them.
            "drop": without ``on_evict``.
        tags: Names, or a function of the call, that entries are dropped by.
            The function is called as ``key`` is, and returns names.
        one_shot: Results that can be used only once: "refuse" or "share".
            "refuse": TypeError, the others are stored.
        name: Name in the registry; None: ``module.qualname``.
        registry: Where the function is listed; None: ``memo.registry``.
        clock: Returns seconds, never going back; None: ``time.monotonic``.
            Read once when decorating, so that what is none is refused.

    Raises:
        TypeError: At decoration: an option is of the wrong type, no bound is
            given, it is a generator function, or one that takes no keys.  At a
            call: the keys are a text or no collection, one cannot be hashed,
            the function returned no mapping.
        ValueError: At decoration: an option's value makes no sense.
        AbsentKey: At a call of ``f.one()``: the key has no value.
        RuntimeError: At a call: the function raised the ``AbsentKey`` of
            another one, which would make its keys absent.
        InflightTimeout: At a call: a load that it waited for took longer than
            timeout.
    """
    given = dict(locals())
    if function is not None:
        refuse_bare(_WHERE, function, "a bound")
        raise TypeError(
            f"{_WHERE}: {given_text(function)} is given without a name; write {_WHERE}(max={given_text(function)})."
        )
    del given["function"]
    options, keys = checked_options(_WHERE, **_as_for_one(given))
    gather_s = None if gather is None else seconds(gather, where=_WHERE, option="gather")
    terms = _Terms(gather_s, None if max_batch is None else positive_int(max_batch, where=_WHERE, option="max_batch"))
    work = options.work._replace(in_caller=False)  # a batch has no one caller, without sharing neither
    options = _remembering_absence(dataclasses.replace(options, work=work), absent_ttl)

    def make(function: Callable[..., Any], takes_instance: bool | None) -> Layer:
        return _ManyLayer(function, options, keys, clock, takes_instance, terms)

    return Decorator(Placement(_WHERE, make, name, registry), bounded_many, given)


def _as_for_one(given: Mapping[str, Any]) -> dict[str, Any]:
    """What ``bounded`` would be told for single calls: of what this decorator has no option for, its default."""
    defaults: Mapping[str, Any] = inspect.unwrap(bounded).__kwdefaults__
    return {option: given.get(option, default) for option, default in defaults.items()}


def _remembering_absence(options: CacheOptions, absent_ttl: Any) -> CacheOptions:
    """*options*, and for how long it is remembered that a key has no value: as a failure of its load is."""
    if absent_ttl is not None:
        absent_s = seconds(absent_ttl, where=_WHERE, option="absent_ttl", zero_ok=True)
    elif options.ttl_of is not None:
        absent_s = 0.0
    else:
        absent_s = math.inf if options.ttl_s is None else options.ttl_s
    options = dataclasses.replace(options, foreseen=(AbsentKey,))
    return dataclasses.replace(options, cache_errors=(AbsentKey,), error_s=absent_s) if absent_s else options
