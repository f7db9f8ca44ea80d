"""The options of ``@bounded``, checked and in plain units: also those of its siblings, under their own names."""

from typing import Any

from memo._base import byte_size, check_tags, given_text, positive_int, refuser, seconds, short_text
from memo._base import sizeof as deep_sizeof
from memo._cache import (
    NOT_GIVEN,
    CacheOptions,
    check_callback,
    check_fork,
    check_on_evict,
    copier,
    fallback_options,
    late_options,
)
from memo._call import KeyOptions, KeyPlan, Shape, check_key_options, takes_call
from memo._decorated import check_common
from memo._flight import check_work
from memo._store import check_policy

__all__ = ("check_keys_travel", "check_suits", "checked_options")


def checked_options(
    where: str,
    *,
    max: Any,  # noqa: A002
    ttl: Any,
    max_bytes: Any,
    sizeof: Any,
    idle: Any,
    jitter: Any,
    policy: Any,
    key: Any,
    ignore: Any,
    weak: Any,
    scope: Any,
    typed: Any,
    dedupe: Any,
    timeout: Any,
    work: Any,
    keep: Any,
    stale_while_revalidate: Any,
    stale_if_error: Any,
    soft_timeout: Any,
    cache_errors: Any,
    error_ttl: Any,
    fallback: Any,
    fallback_on: Any,
    cache_if: Any,
    copy: Any,
    on_evict: Any,
    evict_loop: Any,
    lease_timeout: Any,
    fork: Any,
    tags: Any,
    one_shot: Any,
    shared: Any,
    name: Any,
    registry: Any,
    clock: Any,
) -> tuple[CacheOptions, KeyOptions]:
    """What a decorator that remembers results was told, checked and in plain units, and what about keys.

    Raises:
        TypeError: An option is of the wrong type, or no bound is given.
        ValueError: An option's value makes no sense.
    """
    if max is None and max_bytes is None:
        raise TypeError(f"{where}: neither max= nor max_bytes= is given; write for example @{where}(max=500).")
    max_entries = None if max is None else positive_int(max, where=where, option="max")
    bytes_bound = None if max_bytes is None else byte_size(max_bytes, where=where, option="max_bytes")
    ttl_of = ttl if callable(ttl) else None
    check_callback(where, "ttl", ttl_of)
    ttl_s = None if ttl is None or callable(ttl) else seconds(ttl, where=where, option="ttl")
    idle_s = None if idle is None else seconds(idle, where=where, option="idle")
    timeout_s = None if timeout is None else seconds(timeout, where=where, option="timeout")
    lease_timeout_s = None if lease_timeout is None else seconds(lease_timeout, where=where, option="lease_timeout")
    if lease_timeout is not None and on_evict is None:
        raise TypeError(
            f"{where}: lease_timeout={given_text(lease_timeout)} has no effect without on_evict=; give both."
        )
    evicts_awaited = check_on_evict(where, on_evict, evict_loop)
    check_fork(where, fork)
    cache_class = check_policy(where, policy)
    check_callback(where, "sizeof", sizeof, "value")
    check_callback(where, "cache_if", cache_if)
    if sizeof is not None and max_bytes is None:
        raise TypeError(f"{where}: sizeof={given_text(sizeof)} has no effect without max_bytes=; give both.")
    if not isinstance(dedupe, bool):
        raise TypeError(f"{where}: dedupe={given_text(dedupe)} is not a bool; write True or False.")
    work_options = check_work(where, work, keep, dedupe)
    keys = check_key_options(where, key, ignore, typed, weak, scope)
    check_common(where, name, registry, clock)
    _check_shared(where, shared, ttl, dedupe)
    late = late_options(
        where,
        has_ttl=ttl is not None,
        has_fallback=fallback is not NOT_GIVEN,
        jitter=jitter,
        stale_while_revalidate=stale_while_revalidate,
        stale_if_error=stale_if_error,
        soft_timeout=soft_timeout,
        cache_errors=cache_errors,
        error_ttl=error_ttl,
    )
    options = CacheOptions(
        max_entries=max_entries,
        max_bytes=bytes_bound,
        policy=cache_class,
        ttl_s=ttl_s,
        ttl_of=ttl_of,
        ttl_asks=ttl_of is not None and takes_call(where, "ttl", ttl_of),
        idle_s=idle_s,
        sizeof=deep_sizeof if sizeof is None else sizeof,
        cache_if=cache_if,
        cache_if_asks=cache_if is not None and takes_call(where, "cache_if", cache_if),
        copy=copier(where, copy),
        on_evict=on_evict,
        evicts_awaited=evicts_awaited,
        evict_loop=evict_loop,
        drops_inherited=fork == "drop",
        lease_timeout_s=lease_timeout_s,
        typed=typed,
        dedupe=dedupe,
        timeout_s=timeout_s,
        work=work_options,
        tags=check_tags(where, tags),
        refuse=refuser(where, one_shot),
        shared=shared,
        **late,
        **fallback_options(where, fallback, fallback_on, one_shot),
    )
    return options, keys


def _check_shared(where: str, shared: Any, ttl: Any, dedupe: bool) -> None:
    """Check ``shared=``.  What it was given is not shown: a URL may have a password in it.

    Raises:
        TypeError: It is no tier, or does not go with the other options.
    """
    if shared is None:
        return
    if isinstance(shared, type) or not callable(getattr(shared, "link", None)):
        raise TypeError(
            f"{where}: shared= is of type {type(shared).__qualname__!r}; give a tier, as in "
            f"shared=Tier('valkey://localhost') with Tier from memo.shared, or what its using() returns."
        )
    if ttl is None:
        raise TypeError(
            f"{where}: shared={given_text(shared)} without ttl= would leave entries on the server for ever; give ttl= "
            "as well."
        )
    if not dedupe:
        raise TypeError(
            f"{where}: dedupe=False has each call load by itself, and shared={given_text(shared)} has all processes "
            "share one load; leave one of them out."
        )


def check_keys_travel(shape: Shape, options: CacheOptions, keys: KeyOptions) -> KeyPlan | None:
    """Check that other processes know the keys of a function whose results are shared; what these consist of.

    Returns:
        None of a function whose results are not shared.

    Raises:
        TypeError: They hold an instance, a weak argument or an event loop.
    """
    if options.shared is None:
        return None
    plan = KeyPlan(shape, keys, through=False)
    if plan.has_token:
        raise TypeError(
            f"{shape.where}: shared={given_text(options.shared)}, but the entries of {shape.qualname}() belong to "
            f"instances, which no other process knows; give ignore=({given_text(shape.first_name)},) as well if "
            "instances may share entries."
        )
    if plan.has_refs:
        option = (
            f"scope={given_text(keys.scope)}"
            if keys.scope is not None
            else f"weak={short_text(tuple(sorted(keys.weak)))}"
        )
        raise TypeError(
            f"{shape.where}: shared={given_text(options.shared)}, but with {option} the entries of {shape.qualname}() "
            "belong to objects of this process, which no other process knows; leave one of them out."
        )
    return plan


def check_suits(shape: Shape, options: CacheOptions, keys: KeyOptions) -> None:
    """Check that options suit the colour of the function.

    Raises:
        TypeError: One does not.
    """
    if options.evicts_awaited and options.evict_loop is None and not shape.is_async:
        raise TypeError(
            f"{shape.where}: on_evict={given_text(options.on_evict)} is a coroutine function, and {shape.qualname}() "
            "is none, so that its values belong to no event loop; give evict_loop= as well, or a plain function."
        )
    if keys.scope is not None and not shape.is_async:
        _refuse_threads(shape.where, options)
    options.work.check_function(shape.where, shape.qualname, shape.is_async)


def _refuse_threads(where: str, options: CacheOptions) -> None:
    """Refuse options by which a plain function runs in threads that have no event loop, where it is to belong to one.

    Raises:
        TypeError: There is one.
    """
    for option, value in (("stale_while_revalidate", options.revalidate_s), ("soft_timeout", options.soft_s)):
        if value:
            raise TypeError(
                f"{where}: {option}={value:g} has a plain function run in a thread without an event loop, so that its "
                f"result could not belong to the loop that scope='loop' keeps it for; leave out one of the two, or "
                f"decorate a coroutine function."
            )
