"""What users write by mistake, and what they probably meant."""

import builtins
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from memo._base.closest import alike
from memo._base.shortened import given_text
from memo._base.shown_signature import shown_signature

__all__ = ("is_decorable", "knows_its_options", "refuse_bare", "refuse_class")

F = TypeVar("F", bound=Callable[..., Any])

# By the names of this package: what other libraries call the same option, and what is easily written for it.
_ALSO_CALLED: Mapping[str, str] = {
    "max": "capacity count entries keep lenght length limit lru_size max_count max_entries max_items max_keys max_len "
    "max_length max_number max_size maxcount maxentries maxitems maxlen maxsize number size",
    "maxsize": "capacity max max_entries max_size maxlen size",
    "ttl": "age cache_time default_timeout duration expiration expiration_time expire expire_after expire_after_write "
    "expire_in expires expires_after expires_in expiry lifespan lifetime live max_age maxage seconds stale_after "
    "time_to_live ttl_s ttl_sec ttl_seconds ttls valid_for",
    "max_bytes": "bytes max_mem max_memory maxbytes maxmem maxmemory memory memory_limit size_bytes size_limit",
    "sizeof": "calculate_size cost get_size get_size_of getsize getsizeof size_of weigh weigher weight",
    "absent_ttl": "miss_ttl missing_ttl negative_ttl none_ttl not_found_ttl",
    "gather": "batch_delay batch_interval batch_timeout batch_window collect debounce delay gather_time wait window",
    "max_batch": "batch batch_size batchsize chunk chunk_size chunksize max_batch_size",
    "idle": "expire_after_access idle_s idle_seconds idle_time idle_timeout max_idle sliding time_to_idle tti",
    "policy": "algorithm cache_class eviction eviction_policy evict_policy replacement strategy",
    "key": "cache_key hash_func hash_function key_builder key_fn key_func key_function key_maker keyfunc keymaker keys "
    "make_key",
    "ignore": "exclude exclude_args ignore_args ignore_params ignored ignored_args ignores skip skip_args",
    "typed": "strict_types type types",
    "dedupe": "coalesce dedup deduplicate lock protected single_flight singleflight stampede thread_safe",
    "timeout": "deadline load_timeout lock_timeout max_wait timeout_s timeout_seconds wait wait_timeout",
    "work": "in_task own_task run_in task where",
    "keep": "keep_alive keep_for keep_running keepalive linger",
    "stale_while_revalidate": "background grace grace_period refresh_ahead soft_ttl stale swr",
    "stale_if_error": "fail_safe failover failsafe serve_stale stale_on_error",
    "cache_errors": "cache_exceptions errors exceptions negative remember_errors",
    "error_ttl": "err_ttl error_expire errors_ttl exception_ttl negative_ttl",
    "fallback": "default default_factory default_value else_value fallback_function fallback_value on_error",
    "fallback_on": "fallback_errors fallback_exceptions fallback_for",
    "cache_if": "cache_condition cache_when condition filter predicate should_cache store_if when",
    "copy": "clone copy_on_read copy_result deep_copy deepcopy",
    "on_evict": "callback eviction_callback eviction_listener evict_callback on_delete on_eviction on_expire on_remove "
    "on_removal removal_listener",
    "evict_loop": "event_loop loop on_evict_loop",
    "lease_timeout": "lease_ttl lease_time max_lease",
    "tags": "group groups label labels tag",
    "one_shot": "iterators oneshot share share_iterators",
    "shared": "backend l2 redis remote tier valkey",
    "name": "id label_name namespace prefix",
    "registry": "group_in register registries",
    "clock": "now time time_func time_function timefunc timer",
    "window": "duration length period seconds span",
    "rate": "calls limit limits max_calls max_rate per rate_limit",
    "when_full": "action block mode on_full on_limit raise_on_limit strategy wait when_limited",
    "max_delay": "delay longest max_wait maximum_delay timeout wait_timeout",
    "max_waiting": "max_queue max_waiters queue_size waiters",
    "keys": "max_keys maxkeys most_keys top",
    "only": "error_types errors exception exceptions only_errors",
    **dict.fromkeys(("fork", "jitter", "scope", "soft_timeout", "weak"), ""),
}

_OF_OLD_VALUES = (
    "which bounded_many has not, for loads of many keys: a load that fails is tried again by the next call. Use "
    "@bounded on a function of one key, and absent_ttl= for keys that have no value."
)
_NOT_HERE: Mapping[tuple[str, str], str] = {
    **{
        ("bounded_many", option): _OF_OLD_VALUES
        for option in (
            "stale_while_revalidate", "stale_if_error", "soft_timeout", "cache_errors", "error_ttl", "fallback",
            "fallback_on",
        )
    },
    ("bounded_many", "shared"): "which bounded_many has not: its results stay in this process. Use @bounded on a "
    "function of one key to share them.",
    ("bounded_many", "work"): "which bounded_many has not: several callers share a batch, which runs in its own task.",
}  # fmt: skip
"""What is an option of another decorator for good reasons, by decorator and option."""

_WRITTEN = {
    "bounded": "bounded(max=500)",
    "dedupe_inflight": "dedupe_inflight",
    "bounded_many": "bounded_many(max=500)",
    "sliding_window": 'sliding_window("24h")',
    "limit": 'limit("100/1m")',
    "lru_cache": "lru_cache(maxsize=500)",
}


def knows_its_options(function: F) -> F:
    """Have *function* tell whoever gives it an option that it does not have, which one was probably meant.

    Its signature stays what it is, and can be read.
    """
    where = function.__name__
    signature = shown_signature(function)
    options = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.POSITIONAL_ONLY
    ]
    known = frozenset(options)
    required = next((p.name for p in signature.parameters.values() if p.default is inspect.Parameter.empty), None)

    @functools.wraps(function)
    def checked(*args: Any, **given: Any) -> Any:
        for option in given:
            if option not in known:
                remedy = _NOT_HERE.get((where, option)) or _meant(option, options)
                raise TypeError(f"{where}() got an unexpected keyword argument {given_text(option)}; {remedy}")
        if required is not None and not args and required not in given:
            raise TypeError(f"{where}: {required}= is missing; write @{_WRITTEN[where]}.")
        return function(*args, **given)

    checked.__signature__ = signature  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


def _meant(option: str, options: list[str]) -> str:
    """What was probably meant by *option*: one of *options*."""
    plain = option.lower().strip("_")
    found = [name for name in options if plain == name or plain in _ALSO_CALLED.get(name, "").split()]
    if not found and "ttl" not in options and plain in ("ttl", *_ALSO_CALLED["ttl"].split()):
        found = [name for name in ("timeout", "window") if name in options]  # the only time that it knows
    if not found and plain not in _ALSO_CALLED:  # else it is well written, for another decorator
        near = {slip: name for name in options for slip in _ALSO_CALLED.get(name, "").split()}
        found = alike(plain, options, 1, 0.75)
        found = found or [near[slip] for slip in alike(plain, near, 1, 0.85)]
    if found:
        return f"did you mean {' or '.join(f'{name}=' for name in found)}?"
    return f"its options are {', '.join(options)}."


def is_decorable(thing: Any) -> bool:
    """Whether *thing* is something that decorators are put on, and no value of an option."""
    return callable(thing) or isinstance(thing, property | classmethod | staticmethod)


def refuse_bare(where: str, given: Any, lacking: str) -> None:
    """Refuse to be put on something without the one option that must be given.

    Args:
        where: The decorator's name.
        given: What stands in that option's place.
        lacking: What the option says.

    Raises:
        TypeError: It is something to decorate.
    """
    refuse_class(where, given)
    if is_decorable(given):
        shown = getattr(given, "__qualname__", None) or given_text(given)
        raise TypeError(f"{where}: {shown} is decorated without {lacking}; write @{_WRITTEN[where]}.")


def refuse_class(where: str, thing: Any) -> None:
    """Refuse to decorate a class, but for the built-in types, which serve as functions.

    Args:
        where: The decorator's name.
        thing: What it is to decorate.

    Raises:
        TypeError: It is a class.
    """
    if not isinstance(thing, type) or getattr(builtins, thing.__name__, None) is thing:
        return
    name = thing.__name__
    raise TypeError(
        f"{where}: {thing.__qualname__} is a class, whose name would then stand for a function, without isinstance() "
        f"and inheritance; write a function that makes its instances, and decorate that: "
        f"@{_WRITTEN[where]} def make_{name.lower()}(...): return {name}(...)."
    )
