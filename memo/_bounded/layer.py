"""The layer of ``@bounded``: what the results of one function are to the decorated function and the registry."""

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator, MutableMapping
from typing import Any

from memo._base import Aside, Clock, Swept, TaggedCall, Weakly
from memo._bounded.options import check_keys_travel, check_suits
from memo._cache import (
    NOT_GIVEN,
    Answers,
    Cache,
    CacheHandle,
    CacheOptions,
    CacheStats,
    Link,
    LinkFigures,
    LinkTerms,
    LocalResults,
    RefreshPool,
    Sharing,
    Upwards,
    can_lead,
    check_colour,
    leading_await_load,
    leading_load,
    put_back,
    remembered_call,
    set_aside,
    shared_figures,
    without_arguments,
)
from memo._call import Block, CallInfo, CallSource, InstanceRef, KeyOptions, Keys, Native, check_asked
from memo._decorated import FlightLayer
from memo._flight import CallerFlights, InflightStats, TaskFlights, ThreadFlights
from memo._registry import is_apart
from memo._registry import registry as default_registry
from memo._store import first_share, is_ours

__all__ = ("BoundedLayer",)


class BoundedLayer(FlightLayer):
    """Results of one function."""

    kind = "cache"
    where = "bounded"
    """The decorator's name, for messages."""
    kinds: tuple[Callable[..., ThreadFlights], Callable[..., TaskFlights]] | None = None
    """What makes the loads of a plain function, and of a coroutine function; None: what its options say."""
    _link: Link | None = None

    def __init__(
        self,
        function: Callable[..., Any],
        options: CacheOptions,
        keys: KeyOptions,
        clock: Callable[[], float] | None,
        takes_instance: bool | None,
    ) -> None:
        self.options = options
        super().__init__(self.where, function, keys, clock, takes_instance, options.tags)
        self._check_fallback()
        check_suits(self.shape, options, keys)
        check_keys_travel(self.shape, options, keys)
        if not is_ours(options.policy):
            self.make_works()  # which shows whether it can be made
            if options.is_shared:
                self._works = None  # its link is not known yet

    def _check_fallback(self) -> None:
        """Check that the fallback can be called as the function is; else it would fail no sooner than it is needed."""
        if self.options.asks_fallback:
            fallback = without_arguments(self.options.fallback)
            check_colour(self.where, self.shape.qualname, self.options.fallback, is_async=self.shape.is_async)
            check_asked(self.shape, "fallback", self.options.fallback, fallback, ", or none at all")

    @property
    def answers(self) -> Answers:
        """What answers its calls."""
        return self.works.engine  # type: ignore[no-any-return]

    @property
    def cache(self) -> Cache:
        """Its results."""
        return self.answers.cache

    @property
    def flights(self) -> ThreadFlights | TaskFlights:
        return self.cache.flights

    def make_engine(self, clock: Clock) -> Answers:
        shape = self.shape
        upwards = Upwards(
            explain=Weakly(self.explain),
            revealer=Weakly(self._revealer, _as_is),
            tags_of=self.teller(),
            is_off=Weakly(self._goes_straight, False),
            rewrite=Weakly(self._rewrite),
            show=Weakly(self._show),
            forget_closed=Weakly(self._forget_closed),
        )
        called = self.called
        link = self._link
        sharing = None if link is None else Sharing(link, Weakly(self._is_apart, True), Weakly(self._fixed_tags, ()))
        cache = Cache(
            self.where, shape.qualname, called, shape.is_async, clock, self.options, upwards, self.kinds, sharing
        )
        pool = None if shape.is_async else Weakly(self._pool, default_registry.pool)
        return Answers(cache, pool, Weakly(self._ask_fallback, NOT_GIVEN) if self.options.asks_fallback else None)

    # -- what its results are shared through

    @property
    def link(self) -> Link | None:
        return self._link

    def enrolled(self, name: str | None) -> None:
        shape, record = self.shape, self.record
        plan = check_keys_travel(shape, self.options, self._options)
        if plan is None or record is None:
            return
        local = LocalResults(
            Weakly(self._present), Weakly(self.fence_others, contextlib.nullcontext()), Weakly(self._fixed_tags, ())
        )
        self._link = self.options.shared.link(
            LinkTerms(
                name=name or f"{shape.module}.{shape.qualname}",
                is_named=name is not None,
                signature=plan.signature,
                place=record.origin,
                local=local,
                ttl_s=self.options.ttl_s,
                stale_s=self.options.stale_s,
            )
        )

    def take_instance(self) -> None:
        super().take_instance()
        check_keys_travel(self.shape, self.options, self._options)

    def _present(self) -> Cache | None:
        return self.cache if self.is_made else None

    def _is_apart(self) -> bool:
        return self.record is None or is_apart(self.record)

    def _fixed_tags(self) -> tuple[str, ...]:
        return self.tags.fixed if self.record is None else self.record.tags

    def asked(self) -> dict[str, Callable[..., Any]]:
        asked = super().asked()
        if self.options.asks_call:
            asked["call"] = CallInfo
        if self.options.asks_fallback:
            asked["fallback"] = without_arguments(self.options.fallback)
        return asked

    def teller(self) -> Weakly | None:
        return Weakly(self.tags_of) if self.options.asks_call else super().teller()

    def _tags_of(self, through: bool, /, *args: Any, **kwargs: Any) -> tuple[str, ...] | None:
        tags = super()._tags_of(through, *args, **kwargs)
        if tags is None or not self.options.asks_call:
            return tags
        return TaggedCall(tags, self.works.ask("call", through, args, kwargs))

    def _ask_fallback(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.ask("fallback", *args, **kwargs)

    def _revealer(self) -> Callable[[Any], Any]:
        return self.generated.keys.shown.revealer.reveal  # which leases hold

    def show_audience(self) -> None:
        self.cache.be_watched(self.watch_of(self._audience))

    @property
    def _tells_stale(self) -> bool:
        """Stale answers are told to somebody, so that none is given inline."""
        return self._audience is not None and self._audience.minds_stale

    def _rewrite(self) -> None:
        if self.cache.notes is None:
            self.assign("note", self.cache.note)  # so that nothing holds what was noted
        self.write_anew()

    def _show(self, index: MutableMapping[Hashable, Any], ring: Any) -> None:
        self.assign("index", index)
        self.assign("ring", ring)

    def _forget_closed(self) -> None:
        loops = self.tokens.loops
        if loops is not None:
            loops.forget_closed()

    def show_keys(self, engine: Answers, keys: Keys) -> None:
        engine.cache.store.keep_apart(keys.plan.has_token, keys.plan.has_refs, keys.tokens.instances.dead)

    def serve_through(self, function: Callable[..., Any]) -> None:
        super().serve_through(function)
        self.cache.store.keep_apart(True)

    def follow(self, read: Callable[[], float]) -> None:
        self.cache.follow(read)

    def set_aside(self, aside: Aside) -> None:
        set_aside(self.cache, aside)

    def put_back(self, aside: Aside) -> None:
        if self.is_made:
            put_back(self.cache, aside)

    def _goes_straight(self) -> bool:
        return self._off_for_good or self.is_off()

    def _pool(self) -> RefreshPool:
        return (default_registry if self.record is None else self.record.registry).pool

    def internals(self) -> dict[str, Any]:
        answers, flights, loads, store = self.answers, self.flights, self.cache.loads, self.cache.store
        hit = {
            "index": store.index,
            "ring": store.ring,
            "touch": store.touch,
            "use": store.use,
            "idle_s": self.options.idle_s,
            "copy": self.options.copy,
            "note": self.cache.note,
            "setdefault": self.cache.table.by_key.setdefault,
            "shelf": store.shelf,
        }
        if isinstance(flights, TaskFlights):
            found = {**hit, **flights.names(), "answer": answers.answer_awaited}
        else:
            found = {**hit, **flights.names(), "answer": answers.answer}
        if self.options.is_shared:  # no load is led inline
            return {**found, **({"lead": flights.lead} if isinstance(flights, ThreadFlights) else {})}
        if loads.lean and (isinstance(flights, ThreadFlights) or flights.timeout_s is None):
            found["finish"] = loads.finish_lean
            found |= loads.names()
        if self.is_watched and isinstance(flights, ThreadFlights):
            found["lead"] = functools.partial(flights.lead, finish=found["finish"])
        if isinstance(flights, CallerFlights):
            found["land"] = functools.partial(flights.land, finish=found["finish"])
            found |= leading_await_load(flights, loads, self.options, found["finish"])
        if isinstance(flights, ThreadFlights) and self.kinds is None:
            found["leading"] = leading_load(flights, loads, self.options, found["finish"])
        if self._options.key is not None and self.kinds is None:
            if isinstance(flights, ThreadFlights):
                found["lead_made"] = functools.partial(flights.lead, finish=found["finish"])
            else:
                found["lead_made"] = flights.run
        return found

    def template(self, call: CallSource) -> Block:
        return remembered_call(
            call,
            self.options,
            self.cache.store,
            noted=self.cache.notes is not None,
            watched=self.is_watched or self.options.is_shared,
            tells_stale=self._tells_stale,
            ends_inline=self.cache.loads.ends_inline,
        )

    def native_template(self) -> Native | None:
        options, store = self.options, self.cache.store
        if store.foreign or store.touches not in ("", "newest", "count") or self.cache.notes is not None:
            return None
        leads = (
            self.kinds is None
            and not (self.is_watched and self.shape.is_async)
            and can_lead(options, is_async=self.shape.is_async)
        )
        leads_made = leads
        if self.shape.is_async:  # led by ``run()``, which knows all options
            leads_made = self.kinds is None and not options.stands_in and not options.is_shared
        return Native(
            ages=options.ages,
            serves_stale=bool(options.stale_s) and not self._tells_stale,
            idles=options.idle_s is not None,
            copies=options.copy is not None,
            moves=bool(store.touches),
            counts=store.touches == "count",
            leads=leads,
            leads_made=leads_made,
        )

    def collected(self, owner: InstanceRef) -> None:
        if self.is_made:
            self.cache.collected(owner)

    def handle_for(self, prefix: tuple[Any, ...]) -> CacheHandle[..., Any, Any]:
        generated = self.generated_for(prefix)
        return CacheHandle(self.answers, self.answer, generated, self.name, self.fence_others, prefix)

    def stats(self, name: str) -> CacheStats:
        if self.is_made:
            return self.cache.cache_stats(name)
        return self.no_stats(self.options, name)

    @staticmethod
    def no_stats(options: CacheOptions, name: str) -> CacheStats:
        """The figures of a function that was never called."""
        return CacheStats(
            name,
            max=options.max_entries,
            bytes=None if options.max_bytes is None else 0,
            max_bytes=options.max_bytes,
            small_share=first_share(options.policy),
            **(shared_figures(LinkFigures(), 0) if options.is_shared else {}),
        )

    def load_stats(self, name: str) -> InflightStats:
        return self.cache.table.stats(name) if self.is_made else InflightStats(name)

    def drop_tagged(self, tag: str | None) -> int:
        if not self.is_made:
            return 0
        if tag is None:
            return self.cache.invalidate_all()
        return 0 if self.tags.function is None else self.cache.invalidate_tag(tag)

    def sweep(self) -> Iterator[Swept]:
        if self.is_made:
            for entries in self.cache.expire_entries():
                yield Swept(entries=entries)
            yield Swept(flights=self.flights.cleanup())

    def forget_inherited(self) -> int:
        return self.cache.inherited.forget() if self.is_made else 0

    def empty(self) -> None:
        if self.is_made:
            self.answers.everywhere.clear(None)
        elif self._link is not None and not self._is_apart():
            self._link.invalidate_all()


def _as_is(key: Any) -> Any:
    return key
