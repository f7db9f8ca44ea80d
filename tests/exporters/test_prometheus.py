"""What a real scrape over HTTP tells of a registry, read by the parsers of Prometheus' own client."""

import functools
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cachetools
import pytest
from kit.exported import ReadBy, unreadable
from kit.paper_tier import PaperTier
from kit.places import ROOT
from kit.threads import Gate, Running, until

from memo import RateLimited, Registry, bounded, dedupe_inflight, limit, sliding_window
from memo.testing import FakeClock

pytest.importorskip("prometheus_client")

from kit.scrapes import OPENMETRICS, scraped, scraper
from prometheus_client import CollectorRegistry

from memo.exporters._snapshot import Snapshots
from memo.exporters.prometheus import MemoCollector

__all__ = ()

# What docs/prometheus.md promises: type and labels, beside the function, of each name.  Those of tiers have none.
PROMISED: dict[str, tuple[str, set[str] | None]] = {
    "memo_cache_requests": ("counter", {"result"}),
    "memo_cache_loads": ("counter", {"outcome"}),
    "memo_cache_load_seconds": ("summary", set()),
    "memo_cache_evictions": ("counter", {"reason"}),
    "memo_cache_entries": ("gauge", set()),
    "memo_cache_max_entries": ("gauge", set()),
    "memo_cache_value_bytes": ("gauge", set()),
    "memo_cache_max_value_bytes": ("gauge", set()),
    "memo_cache_rejected": ("counter", set()),
    "memo_cache_refreshes": ("counter", set()),
    "memo_inflight_active": ("gauge", set()),
    "memo_inflight_waiting": ("gauge", set()),
    "memo_inflight_oldest_seconds": ("gauge", set()),
    "memo_inflight_started": ("counter", set()),
    "memo_inflight_joined": ("counter", set()),
    "memo_inflight_timeouts": ("counter", set()),
    "memo_inflight_ended": ("counter", {"outcome"}),
    "memo_window_calls": ("gauge", set()),
    "memo_window_errors": ("gauge", set()),
    "memo_window_span_seconds": ("gauge", set()),
    "memo_window_duration_seconds": ("summary", {"quantile"}),
    "memo_limit_requests": ("counter", {"result"}),
    "memo_limit_delayed": ("counter", set()),
    "memo_limit_delay_seconds": ("counter", set()),
    "memo_limit_waiting": ("gauge", set()),
    "memo_limit_keys": ("gauge", set()),
    "memo_adopted_requests": ("counter", {"result"}),
    "memo_adopted_entries": ("gauge", set()),
    "memo_adopted_max_entries": ("gauge", set()),
    "memo_adopted_weight": ("gauge", set()),
    "memo_adopted_max_weight": ("gauge", set()),
    **{
        f"memo_cache_l2_{name}": ("counter", set())
        for name in (
            "hits",
            "misses",
            "waits",
            "errors",
            "skipped",
            "refused",
            "rejected",
            "served",
            "seconds",
        )
    },
    "memo_tier_state": ("gauge", {"tier", "state"}),
    **{f"memo_tier_{name}": ("gauge", {"tier"}) for name in ("connections", "lag_seconds", "pending", "leases")},
    **{
        f"memo_tier_{name}": ("counter", {"tier"})
        for name in (
            "waited",
            "sent",
            "received",
            "gaps",
            "reconnects",
            "outages",
            "replayed",
            "overflowed",
            "lost_leases",
            "operation_seconds",
        )
    },
    "memo_functions": ("gauge", None),
    "memo_scrape_seconds": ("gauge", None),
}


@pytest.fixture
def everything(own: Registry, clock: FakeClock) -> list[Any]:
    """A function of every kind, each with a figure of every kind, one of them called right now."""
    gate = Gate()
    fetch = bounded(max=2, max_bytes="1MB", registry=own, name="fetch")(lambda x: gate.wait() if x == "slow" else x)
    watched = sliding_window("1h", registry=own, name="watched")(lambda x: x)
    limited = limit("1/1h", registry=own, name="limited")(lambda: None)
    counted = functools.lru_cache(maxsize=3)(lambda x: x)
    weighed = cachetools.LRUCache(9, getsizeof=len)
    own.adopt(counted, "counted")
    own.adopt(weighed, "weighed")
    tier = PaperTier(clock)
    shared = bounded(max=2, ttl="1h", shared=tier, registry=own, name="shared")(lambda x: x)
    for x in (1, 2, 3, 3):
        fetch(x), watched(x), counted(x), shared(x)
    limited()
    with pytest.raises(RateLimited):
        limited()
    weighed["a"] = "abc"
    running = Running(lambda: fetch("slow"))
    gate.reached()
    return [running, gate, fetch, watched, limited, counted, weighed, shared]


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_names_types_and_labels_are_those_promised(own: Registry, everything: list[Any], accept: str) -> None:
    """Every family that is promised is there, with its type and labels, and no other."""
    with scraper(MemoCollector(own)) as url:
        told = scraped(url, accept)
    seen = {
        family.name: (family.type, {name for one in family.samples for name in one.labels} - {"function"})
        for family in told.families
    }
    assert seen == {name: (kind, labels or set()) for name, (kind, labels) in PROMISED.items()}
    for family in told.families:
        for one in family.samples:
            labels = PROMISED[family.name][1]
            assert ("function" in one.labels) is (labels is not None and "tier" not in labels), one
    everything[1].open()
    everything[0].join()


def test_the_page_tells_what_there_is() -> None:
    """The table in docs/prometheus.md has every name, and no other."""
    page = (ROOT / "docs" / "prometheus.md").read_text(encoding="utf-8")
    table = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `memo_")]
    told = {
        re.sub("_(total|sum|count)$", "", name): re.match(r" (\w+)((?:, `\w+`)*)", kinds)
        for names, kinds in table
        for name in re.findall(r"`(\w+)`", names)
    }
    assert {name: (found[1], {*re.findall(r"\w+", found[2])}) for name, found in told.items() if found} == {
        name: (kind, labels or set()) for name, (kind, labels) in PROMISED.items()
    }


def test_names_keep_the_rules_of_promtool(own: Registry, everything: list[Any]) -> None:
    """Counters and nothing else end in _total, units are base units and at the end, no name has a type in it."""
    with scraper(MemoCollector(own)) as url:
        told = scraped(url)
    for family in told.families:
        assert re.fullmatch(r"memo(_[a-z]+|_l2)+", family.name)
        assert family.documentation.endswith("."), family.name
        words = family.name.split("_")
        assert not {"counter", "gauge", "histogram", "summary", "info", "total", "count", "sum", "bucket"} & {*words}
        assert not {"milliseconds", "ms", "minutes", "hours", "kilobytes", "megabytes", "percent", "ratio"} & {*words}
        assert not {"seconds", "bytes"} & {*words[:-1]}
        for one in family.samples:
            ending = one.name.removeprefix(family.name)
            assert ending in {"counter": {"_total"}, "gauge": {""}, "summary": {"", "_sum", "_count"}}[family.type]
            assert family.type == "summary" or "quantile" not in one.labels
            assert "le" not in one.labels
    everything[1].open()
    everything[0].join()


def test_results_partition_the_calls(own: Registry, clock: FakeClock) -> None:
    """Each call counts once among the five results, whatever became of it, and so does what ended the loads."""
    gate = Gate()

    def load(x: str) -> str:
        if x == "bad":
            raise KeyError(x)
        if x == "slow":
            gate.wait()
        return x

    fetch = bounded(
        max=9, ttl=10, stale_while_revalidate=10, cache_errors=(KeyError,), error_ttl=5, registry=own, name="fetch"
    )(load)
    calls = 0

    def call(x: str) -> None:
        nonlocal calls
        calls += 1
        try:
            fetch(x)
        except KeyError:
            pass

    for x in ("a", "a", "a", "bad", "bad"):
        call(x)
    leader, joiner = Running(lambda: fetch("slow")), None
    gate.reached()
    joiner = Running(lambda: fetch("slow"))
    until(lambda: fetch.inflight.stats().waiting == 1)
    gate.open()
    leader.join(), joiner.join()
    calls += 2
    clock.advance(11)
    call("a")
    until(lambda: fetch.cache.stats().loads == 3)
    fetch.cache.refresh("a")
    fetch.cache.put("b", "b")

    with scraper(MemoCollector(own)) as url:
        told = scraped(url)
    results = {labels["result"]: value for labels, value in told.values("memo_cache_requests_total")}
    assert results == {"hit": 2, "miss": 3, "join": 1, "stale": 1, "error": 1}
    assert sum(results.values()) == calls
    assert told.value("memo_cache_loads_total", function="fetch", outcome="ok") == 4
    assert told.value("memo_cache_loads_total", function="fetch", outcome="error") == 1
    assert told.value("memo_cache_load_seconds_count", function="fetch") == 4
    assert told.value("memo_cache_refreshes_total", function="fetch") == 2
    assert sum(value for _, value in told.values("memo_inflight_ended_total")) == 5


def test_what_is_not_counted_is_absent(own: Registry, clock: FakeClock) -> None:
    """A figure that nobody keeps has no sample, not one of 0; nor has a part that the function does not have."""
    plain, silent = bounded(max=3, registry=own, name="plain")(lambda x: x), ReadBy()
    joined = dedupe_inflight(registry=own, name="joined")(lambda x: x)
    own.adopt(silent, "silent")
    plain(1), joined(1)
    with scraper(MemoCollector(own)) as url:
        told = scraped(url)
    about = {
        name: {one.name for family in told.families for one in family.samples if one.labels.get("function") == name}
        for name in told.functions()
    }
    assert about["silent"] == {"memo_adopted_entries", "memo_adopted_max_entries"}
    assert {name.split("_")[1] for name in about["joined"]} == {"inflight"}
    assert {name.split("_")[1] for name in about["plain"]} == {"cache", "inflight"}
    assert not {name for name in about["plain"] if "bytes" in name or "oldest" in name or "evictions" in name}


def test_idle_functions_are_told_of_when_asked_for(own: Registry, clock: FakeClock) -> None:
    """A function without a call has no series, unless idle=True; then reasons at 0 are there as well."""
    idle = bounded(max=3, registry=own, name="idle")(lambda x: x)
    stored = bounded(max=3, registry=own, name="stored")(lambda x: x)
    stored.cache.put(1, 1)
    with scraper(MemoCollector(own)) as url:
        told = scraped(url)
        assert told.functions() == {"stored"}
        assert told.value("memo_functions") == 2
    with scraper(MemoCollector(own, idle=True)) as url:
        told = scraped(url)
        assert told.functions() == {"idle", "stored"}
        assert told.value("memo_cache_evictions_total", function="idle", reason="size") == 0
    assert len(idle.cache) == 0


def test_names_come_through_as_they_are(own: Registry, clock: FakeClock) -> None:
    """Quotes, newlines and backslashes are read back; long names are cut at 200 characters and stay apart."""
    odd = ['say "hi"', "two\nlines", "back\\slash\\n", "\\", '"', "ümläut 🎉", "{a='b'},", "half \udc80 a pair"]
    long = ["x" * 10_000, "x" * 10_001, "x" * 10_000 + "#2"]
    functions = [bounded(max=3, registry=own, name=name)(lambda x: x) for name in (*odd, *long)]
    for function in functions:
        function(1)
    with scraper(MemoCollector(own)) as url:
        told, told_openly = scraped(url), scraped(url, OPENMETRICS)
    whole = {name for name in odd if name.isprintable() or "\n" in name}
    for seen in (told.functions(), told_openly.functions()):
        assert whole <= seen
        assert len(seen) == len(functions)
        assert max(map(len, seen)) == 200
        assert "half \\udc80 a pair" in seen


def test_a_function_that_dies_takes_its_series_along(own: Registry, clock: FakeClock) -> None:
    """What has gone is not told of any more, though the collector lives."""
    function: Callable[[int], int] | None = bounded(max=3, registry=own, name="f")(lambda x: x)
    assert function is not None
    function(1)
    with scraper(MemoCollector(own)) as url:
        assert scraped(url).functions() == {"f"}
        function = None
        clock.advance(1)
        told = scraped(url)
    assert told.functions() == set()
    assert told.value("memo_functions") == 0


def test_a_function_that_cannot_be_read_breaks_no_scrape(own: Registry, clock: FakeClock) -> None:
    """One whose figures raise is left out, and the others are told of."""
    well = bounded(max=3, registry=own, name="well")(lambda x: x)
    well(1)
    with unreadable(own, "ill"), scraper(MemoCollector(own)) as url:
        assert scraped(url).functions() == {"well"}


def test_what_is_no_number_breaks_no_scrape(own: Registry, clock: FakeClock) -> None:
    """A figure of a cache of others that no float can be is left out, alone."""
    odd = ReadBy()
    odd.maxsize = 10**400
    own.adopt(odd, "odd")
    well = bounded(max=10**300, policy="lru", registry=own, name="well")(lambda x: x)
    well(1)
    with scraper(MemoCollector(own)) as url:
        told = scraped(url)
    assert told.values("memo_adopted_max_entries") == []
    assert told.value("memo_cache_max_entries", function="well") == 1e300
    assert told.value("memo_adopted_entries", function="odd") == 0
    assert told.value("memo_cache_entries", function="well") == 1


def test_two_scrapers_share_a_snapshot(own: Registry) -> None:
    """Of two scrapes at once both succeed, with figures that were read once."""
    gate, reads = Gate(), 0
    slow = ReadBy()
    own.adopt(slow, "slow")

    def look() -> None:
        nonlocal reads
        reads += 1
        gate.wait()

    with scraper(MemoCollector(own)) as url:
        slow.look = look
        first = Running(lambda: scraped(url))
        gate.reached()
        second = Running(lambda: scraped(url))
        until(lambda: Snapshots._taken.inflight.stats().waiting == 1)
        once = reads
        gate.open()
        assert first.result().functions() == second.result().functions() == {"slow"}
    assert once == 1


def test_registering_collects_nothing(own: Registry) -> None:
    """The collector says its names without asking any function; so the client refuses to take it twice."""
    asked = []
    slow = ReadBy()
    own.adopt(slow, "slow")
    slow.look = lambda: asked.append(1)
    registry = CollectorRegistry(auto_describe=True)
    registry.register(MemoCollector(own))
    assert asked == []
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(MemoCollector(own))
    assert [one.name for one in registry.restricted_registry(["memo_functions"]).collect()] == ["memo_functions"]
    assert not any(family.samples for family in MemoCollector(own).describe())


def test_some_functions_are_selected(own: Registry, clock: FakeClock) -> None:
    """select= takes a pattern; a part of a registry can be given instead of the whole."""
    kept = [bounded(max=3, registry=own, name=name, tags=tags)(lambda x: x) for name, tags in TAGGED]
    for function in kept:
        function(1)
    with scraper(MemoCollector(own, select="bot.*")) as url:
        told = scraped(url)
        assert told.functions() == {"bot.a", "bot.b"}
        assert told.value("memo_functions") == 2
    with scraper(MemoCollector(own.select(tag="web"), "bot.*")) as url:
        assert scraped(url).functions() == {"bot.b"}


TAGGED = (("bot.a", ()), ("bot.b", ("web",)), ("site", ("web",)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"registry": 3}, TypeError, r"registry=3 is no registry; give memo\.registry"),
        ({"select": 3}, TypeError, "pattern=3 is not text"),
        ({"select": ""}, ValueError, "pattern='' matches nothing"),
        ({"idle": 1}, TypeError, "idle=1 is not a bool"),
    ],
)
def test_bad_options_are_refused(
    own: Registry, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """What cannot be meant is refused as the collector is made."""
    with pytest.raises(error, match=message):
        MemoCollector(**{"registry": own, **arguments})


def test_the_missing_extra_is_named() -> None:
    """Without the client the import says which extra to install."""
    script = "import sys; sys.modules['prometheus_client'] = None; import memo.exporters.prometheus"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stderr.splitlines()[-1].startswith("memo.errors.MissingExtra: memo.exporters.prometheus: the package")
    assert ran.stderr.rstrip().endswith('run: pip install "memo-toolkit[prometheus]"')
