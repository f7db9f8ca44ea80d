"""Which figures Prometheus is told of, under which names and labels: one table.

Rules

- A name is a promise: dashboards and alerts are made of it.  It ends in the unit, that of a counter in ``_total``.
- The results of ``memo_cache_requests`` partition all calls, so that their sum is right.
- What is not counted has no sample, never one of 0: figures that are None, parts that a function does not have.
- Labels are those here, ``function`` (of tiers ``tier``, the prefix), and ``process`` where several are shown.  None
  has keys, tags or hosts for values, of which there is no end, nor anything that is secret.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ("FAMILIES", "STATES", "Family", "Point", "figure_of_tier")


class Point(NamedTuple):
    """One figure of a family."""

    attribute: str
    """The figure, among those of the family's part."""
    suffix: str = ""
    """What its samples bear after the family's name."""
    labels: Mapping[str, str] = {}
    """What its samples bear beside the function."""


class Family(NamedTuple):
    """Figures of one name."""

    name: str
    kind: str
    """``counter``, ``gauge`` or ``summary``."""
    help: str
    part: str
    """The field of ``FunctionStats`` that has them; "l2": ``cache``, of functions that share their results; "tier": the
    tiers; empty: the exporter's own."""
    points: tuple[Point, ...] = ()
    by: str = ""
    """The label that the keys of a figure are values of, which is a mapping."""


def _counter(name: str, text: str, attribute: str) -> Family:
    part = "l2" if "_l2_" in name else name.split("_")[1]
    return Family(name, "counter", text, part, (Point(attribute, "_total"),))


def _counters(name: str, text: str, label: str, **attributes: str) -> Family:
    points = [Point(attribute, "_total", {label: value}) for value, attribute in attributes.items()]
    return Family(name, "counter", text, name.split("_")[1], tuple(points))


def _gauge(name: str, text: str, attribute: str) -> Family:
    return Family(name, "gauge", text, name.split("_")[1], (Point(attribute),))


STATES = ("up", "behind", "down")
"""Of a tier."""

FAMILIES = (
    _counters(
        "memo_cache_requests",
        "Calls, by what answered them: a fresh entry, a load of their own, the load of another call, a stale entry, "
        "or a remembered failure. Each call counts once.",
        "result",
        hit="hits",
        miss="misses",
        join="joins",
        stale="stale_hits",
        error="error_hits",
    ),
    _counters(
        "memo_cache_loads",
        "Loads that ended, those of refreshes and in the background included.",
        "outcome",
        ok="loads",
        error="load_errors",
    ),
    Family(
        "memo_cache_load_seconds",
        "summary",
        "How long loads took that returned.",
        "cache",
        (Point("loads", "_count"), Point("load_seconds", "_sum")),
    ),
    Family(
        "memo_cache_evictions",
        "counter",
        "Values that left the store, by reason.",
        "cache",
        (Point("evictions", "_total"),),
        by="reason",
    ),
    _gauge("memo_cache_entries", "Entries in the store.", "size"),
    _gauge("memo_cache_max_entries", "Most entries that the store takes.", "max"),
    _gauge("memo_cache_value_bytes", "Bytes of the entries together, as the store prices them.", "bytes"),
    _gauge("memo_cache_max_value_bytes", "Most bytes that the store takes.", "max_bytes"),
    _counter("memo_cache_rejected", "Values that were returned but not stored.", "rejected"),
    _counter("memo_cache_refreshes", "Loads begun by refresh() or in the background.", "refreshes"),
    _counter("memo_cache_l2_hits", "Loads that the tier answered, so that the function did not run.", "l2_hits"),
    _counter("memo_cache_l2_misses", "Loads for which the tier had nothing, so that the function ran.", "l2_misses"),
    _counter("memo_cache_l2_waits", "Loads that waited for another process.", "l2_waits"),
    _counter("memo_cache_l2_errors", "Questions that the tier could not answer as it should.", "l2_errors"),
    _counter("memo_cache_l2_skipped", "Loads for which the tier was not asked, since it was down.", "l2_skipped"),
    _counter("memo_cache_l2_refused", "Results that the tier refused, since their keys were changed.", "l2_refused"),
    _counter("memo_cache_l2_rejected", "Results that cannot be shared.", "l2_rejected"),
    _counter("memo_cache_l2_served", "Calls that led a load which the tier answered.", "l2_served"),
    _counter("memo_cache_l2_seconds", "How long the questions to the tier took, together.", "l2_seconds"),
    _gauge("memo_inflight_active", "Executions that run now.", "active"),
    _gauge("memo_inflight_waiting", "Callers that wait now for the execution of another.", "waiting"),
    _gauge("memo_inflight_oldest_seconds", "How long the oldest running execution has run.", "oldest"),
    _counter("memo_inflight_started", "Executions begun.", "started"),
    _counter("memo_inflight_joined", "Callers answered by the execution of another.", "joined"),
    _counter("memo_inflight_timeouts", "Executions detached since they took too long.", "timeouts"),
    _counters(
        "memo_inflight_ended",
        "Executions that ended.",
        "outcome",
        ok="completed",
        error="failed",
        cancelled="cancelled",
    ),
    _gauge("memo_window_calls", "Calls that ended within the window.", "count"),
    _gauge("memo_window_errors", "Calls within the window that raised.", "errors"),
    _gauge("memo_window_span_seconds", "Length of the window.", "span"),
    Family(
        "memo_window_duration_seconds",
        "summary",  # a quantile belongs to a summary, though this one tells neither sum nor count: they would go down
        "How long calls within the window took.",
        "window",
        tuple(Point(f"p{q}", "", {"quantile": f"0.{q}".rstrip("0")}) for q in (50, 95, 99)),
    ),
    _counters("memo_limit_requests", "Calls, by whether they began.", "result", allowed="allowed", refused="refused"),
    _counter("memo_limit_delayed", "Calls that began after a wait.", "delayed"),
    _counter("memo_limit_delay_seconds", "How long these waited, together.", "delay_seconds"),
    _gauge("memo_limit_waiting", "Calls that wait now.", "waiting"),
    _gauge("memo_limit_keys", "Keys that are followed.", "keys"),
    _counters(
        "memo_adopted_requests", "Calls, by whether the cache answered them.", "result", hit="hits", miss="misses"
    ),
    _gauge("memo_adopted_entries", "Entries in the cache.", "size"),
    _gauge("memo_adopted_max_entries", "Most entries that the cache takes.", "max"),
    _gauge("memo_adopted_weight", "Weight of the entries together, in the cache's own unit.", "weight"),
    _gauge("memo_adopted_max_weight", "Most weight that the cache takes.", "max_weight"),
    Family(
        "memo_tier_state",
        "gauge",
        "1 for the state that the tier is in for this process, 0 for the others.",
        "tier",
        tuple(Point("state", "", {"state": state}) for state in STATES),
    ),
    _gauge("memo_tier_connections", "Connections to the server.", "connections"),
    _counter("memo_tier_waited", "Operations that waited for a connection to be free.", "waiting"),
    _counter("memo_tier_sent", "Messages that others are to hear of.", "sent"),
    _counter("memo_tier_received", "Messages of other processes.", "received"),
    _gauge("memo_tier_lag_seconds", "Time since the moment up to which everything is heard.", "lag"),
    _counter("memo_tier_gaps", "How often messages may have been lost, so that stores were emptied.", "gaps"),
    _counter("memo_tier_reconnects", "Connections for the log after the first one.", "reconnects"),
    _counter("memo_tier_outages", "How often the server was given up as down.", "opened"),
    _gauge("memo_tier_pending", "Changes that are still to be sent.", "pending"),
    _counter("memo_tier_replayed", "Changes that were sent after an outage.", "replayed"),
    _counter("memo_tier_overflowed", "Changes for which there was no room among those pending.", "overflowed"),
    _gauge("memo_tier_leases", "Loads under way that others would wait for.", "leases"),
    _counter("memo_tier_lost_leases", "Leases that were gone before their load ended.", "lost_leases"),
    _counter("memo_tier_operation_seconds", "How long all operations took, together.", "seconds"),
    Family("memo_functions", "gauge", "Functions in the registry, those without a call included.", ""),
    Family("memo_scrape_seconds", "gauge", "How long collecting these figures took.", ""),
)


def figure_of_tier(tier: Mapping[str, Any], point: Point) -> Any:
    """What a sample tells of a tier, given as JSON has it; None: nothing, as of another version that does not know."""
    figure = tier.get(point.attribute)
    if point.attribute == "state" and figure is not None:
        return int(figure == point.labels["state"])
    return figure
