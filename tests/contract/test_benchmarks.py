"""The benchmarks run where what they need is installed, and their figures can be read."""

import gzip
import importlib.metadata
import importlib.util
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from kit.places import ROOT
from kit.servers import program

import memo.policies

pytestmark = pytest.mark.any_version  # of command lines and of what is printed; figures are taken elsewhere


def pytest_benchmarks(*options: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # xdist's, above all
    return subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", *options],
        cwd=ROOT, env={**env, "COLUMNS": "80"}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_one_table_fits_80_columns(tmp_path: Path) -> None:
    """``pytest benchmarks`` prints a row for each thing that is done, beside others' figures, and no other table."""
    pytest.importorskip("pytest_benchmark")
    ran = pytest_benchmarks("--benchmark-max-time=0.001", f"--benchmark-json={tmp_path / 'told.json'}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    head, _, table = ran.stdout.partition(" memo beside others ---")
    assert "Name (time" not in ran.stdout
    assert [line for line in head.splitlines() if len(line) > 100] == []
    assert [line for line in table.splitlines() if len(line) > 80] == []
    for row in ("hit ", "keyword hit ", "miss, evicting ", "8 threads' hits ", "awaited hit ", "dedupe_inflight "):
        (line,) = (line for line in table.splitlines() if line.startswith(row))
        assert float(line.removeprefix(row).split()[0]) > 0
    assert "memo's calls run in " in table
    assert f" {importlib.metadata.version('cachetools')} (TTLCache, condition=)" in table
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert {"memo", "cachetools, condition"} <= {*told["benchmarks"][0]["extra_info"]["ratios"]}


def test_some_rows_and_the_tables_of_pytest_benchmark() -> None:
    """``-k`` chooses rows, in a table without empty columns; an option of pytest-benchmark's own shows them, too."""
    pytest.importorskip("pytest_benchmark")
    ran = pytest_benchmarks("-k", "keyword", "--benchmark-max-time=0.001", "--benchmark-sort=name")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Name (time" in ran.stdout
    table = ran.stdout.partition(" memo beside others ---")[2]
    assert "keyword hit " in table
    assert [name for name in ("method hit", "aiocache ", "awaited") if name in table] == []
    assert [line for line in ran.stdout.splitlines() if len(line) > 100] == []


def test_nothing_is_told_that_was_not_measured() -> None:
    """Under ``--benchmark-disable`` each batch runs once, and there is a sentence in place of figures."""
    pytest.importorskip("pytest_benchmark")
    ran = pytest_benchmarks("-k", "8_threads_hits or awaited_hit", "--benchmark-disable")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "\nNothing was measured: under --benchmark-disable" in ran.stdout


def test_without_pytest_benchmark_the_extra_is_named() -> None:
    """Where the plugin is not there, an error says what to install."""
    ran = pytest_benchmarks("-p", "no:benchmark")
    assert ran.returncode != 0
    assert "pip install '.[bench]'" in ran.stdout


def script(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )  # fmt: skip


def test_scale_has_a_line_for_each_size_and_each_operation(tmp_path: Path) -> None:
    """Calls beside a dictionary's, the pauses of the operations that were asked for, and a drawing of both."""
    drawing = tmp_path / "scale.svg"
    told = script("benchmarks/scale.py", "--most", "100", "--operation", "clear")
    assert (told.returncode, told.stderr) == (0, "")
    lines = [line.split() for line in told.stdout.splitlines()]
    assert ["100", "entries"] in lines
    assert sum(line[:1] == ["100"] for line in lines) == 2
    assert [line[0] for line in lines if line and line[-1] in ("within", "OVER")] == [
        "100",
        "clear",
        "clear,",
        "clear,",
    ]
    told = script("benchmarks/scale.py", "--most", "100", "--operation", "len", "--no-calls", "--plot", str(drawing))
    if importlib.util.find_spec("matplotlib") is None:
        assert told.returncode == 2
        assert told.stderr.endswith("--plot needs the package 'matplotlib': pip install '.[plot]'\n")
    else:
        assert (told.returncode, told.stderr) == (0, "")
        assert "<svg" in drawing.read_text(encoding="utf-8")


def test_stampede_counts_executions() -> None:
    """Of each crowd it is told how often the function ran: once, but for the crowd that has nothing decorated."""
    told = script("benchmarks/stampede.py", "--threads", "10", "--loops", "3", "--coroutines", "60")
    assert (told.returncode, told.stderr) == (0, "")
    crowds = [line.split("  ") for line in told.stdout.splitlines()[3:]]
    found = {line[0]: [cell.strip() for cell in line[1:] if cell.strip()][:2] for line in crowds}
    assert found["coroutines, an event"] == ["60", "60"]
    assert found["coroutines, bounded"] == ["60", "1"]
    assert found["threads, dedupe_inflight"] == ["10", "1"]
    assert found["3 loops, bounded"] == ["60", "1"]


def test_events_have_a_line_for_each_case() -> None:
    """What a hit and loads cost that are told of, what subscribing does, and when an event is there."""
    told = script("benchmarks/events.py", "--rounds", "2", "--functions", "10")
    assert (told.returncode, told.stderr) == (0, "")
    assert sum(" times, " in line and line.endswith(" us") for line in told.stdout.splitlines()) == 5
    assert "beside 10 functions in use: " in told.stdout
    assert told.stdout.splitlines()[-1].startswith("an event reaches its callback after ")


@pytest.mark.outside
def test_a_shared_tier_is_measured() -> None:
    """What calls cost has its ratios, and a stampede, torture and two outages have lines for each way."""
    pytest.importorskip("redis")
    if program() is None:
        pytest.skip("no server here")
    told = script("benchmarks/shared_tier.py", "--rounds", "1", "--seconds", "0.4", "--only", "memo")
    assert (told.returncode, told.stderr) == (0, "")
    assert sum(line.startswith("  memo ") for line in told.stdout.splitlines()) == 4
    assert sum(" GET " in line for line in told.stdout.splitlines()) == 4


def test_speed_is_held_to_the_bounds_of_the_path_that_runs() -> None:
    """The head says which path ran, and each case has that path's bound."""
    for pure in ("0", "1"):
        ran = subprocess.run(
            [sys.executable, "benchmarks/speed.py", "--rounds", "1", "--case", "hit_keyword"],
            cwd=ROOT, env={**os.environ, "MEMO_PURE": pure}, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")
        in_python = "calls run in Python: " in ran.stdout
        assert in_python or pure == "0"
        assert ran.stdout.split()[-2] == ("2.2" if in_python else "0.6")


def hit_ratio(*options: str, traces: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What the comparison of policies prints, with MEMO_TRACES set or not."""
    env = {name: value for name, value in os.environ.items() if name != "MEMO_TRACES"}
    if traces is not None:
        env["MEMO_TRACES"] = str(traces)
    return subprocess.run(
        [sys.executable, "benchmarks/hit_ratio.py", *options],
        cwd=ROOT, env={**env, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def put_trace(path: Path, keys: list[int]) -> None:
    path.write_bytes(gzip.compress(struct.pack(f"<{len(keys)}I", *keys)))


def test_hit_ratios_without_traces(tmp_path: Path) -> None:
    """Where there are no traces, those of the table are named with where to put them, and made-up ones replayed."""
    ran = hit_ratio("--policy", "lru", traces=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    for said in (f"NAME.u32.gz: {tmp_path}", "--traces DIR", "MEMO_TRACES", "arc-oltp", "addr-gcc", "made-up accesses"):
        assert said in ran.stdout
    assert "zipf+scans      200" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 100 + len(str(tmp_path))


def test_hit_ratios_of_traces_that_are_there(tmp_path: Path) -> None:
    """Without a manifest each file is a trace, replayed at sizes by its keys, and every policy gets its share."""
    put_trace(tmp_path / "loop.u32.gz", list(range(100)) * 20)
    ran = hit_ratio("--traces", str(tmp_path))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "missing" not in ran.stdout
    assert "optimum adaptive" in ran.stdout, "columns run into each other"
    head, *lines = [line.split() for line in ran.stdout.splitlines()[1:]]
    names = head[3:]
    assert {f"{name}Cache".lower() for name in names} >= {name.lower() for name in memo.policies.__all__}
    assert {"lru", "lfu", "fifo", "random"} <= {*names}
    assert [line[:2] for line in lines[:3]] == [["loop", "1"], ["loop", "5"], ["loop", "20"]]
    optimum, *shares = map(float, lines[2][2:])
    assert optimum == 0.19  # of each of the later 19 rounds, the 20 that are kept
    found = dict(zip(names, shares, strict=True))
    assert found["lru"] == found["fifo"] == 0.0
    assert 0.8 < found["lirs"] <= 1.0
    assert max(map(len, ran.stdout.splitlines())) <= 100


def test_hit_ratios_name_what_is_missing(tmp_path: Path) -> None:
    """A trace that the manifest names and that is not there is named, and the others are replayed at their sizes."""
    put_trace(tmp_path / "a.gz", [1, 2, 1, 2, 3] * 10)
    facts = {"a": {"file": "a.gz", "sizes": [2]}, "gone": {"file": "gone.gz", "sizes": [2]}}
    (tmp_path / "manifest.json").write_text(json.dumps({"traces": facts}), encoding="utf-8")
    ran = hit_ratio("--policy", "lru", traces=tmp_path)
    assert ran.returncode == 0
    assert "\n  gone " in ran.stdout
    assert "\na                 2" in ran.stdout
    ran = hit_ratio("--only", "gone", traces=tmp_path)
    assert ran.returncode == 1
    assert "\n  gone " in ran.stdout


@pytest.mark.parametrize(
    "content",
    [b"text\n", gzip.compress(bytes(4000))[:-9], gzip.compress(b"12345")],
    ids=["no gzip", "cut short", "no numbers"],
)
def test_hit_ratios_of_what_is_no_trace(tmp_path: Path, content: bytes) -> None:
    """A file that is no trace, or was cut short, is named, and what it must be; so is a folder that is none."""
    (tmp_path / "odd.u32.gz").write_bytes(content)
    ran = hit_ratio("--policy", "lru", traces=tmp_path)
    assert ran.returncode == 1
    assert f"{tmp_path / 'odd.u32.gz'} is no trace" in ran.stderr
    assert "Traceback" not in ran.stderr
    ran = hit_ratio(traces=tmp_path / "none")
    assert ran.returncode == 2
    assert "MEMO_TRACES" in ran.stderr


def test_the_worst_miss_is_measured() -> None:
    """The longest miss of each policy is told for each number of entries, that of a store that grows apart."""
    ran = subprocess.run(
        [sys.executable, "benchmarks/worst_miss.py", "--entries", "100", "1000", "--rounds", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert all(" ms, while it grows " in line for line in ran.stdout.splitlines() if "longest" in line)
    told = [line.partition(": longest ")[0] for line in ran.stdout.splitlines() if "longest" in line]
    assert told == [f"{n} entries, {policy}" for n in ("100", "1,000") for policy in ("adaptive", "s3fifo")]


@pytest.mark.parametrize("name", ["hit_ratio_bytes", "exchange"])
def test_policies_are_compared_on_a_trace(tmp_path: Path, name: str) -> None:
    """Each benchmark of policies prints a line for each size of a trace, then the mean; an unknown trace is told."""
    put_trace(tmp_path / "loop.u32.gz", list(range(100)) * 20)
    command = [sys.executable, f"benchmarks/{name}.py", "--traces", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert sum(line.startswith("loop ") for line in lines) >= 3
    assert lines[-1].startswith("mean")
    assert max(float(word) for word in lines[-1].split() if word[0].isdigit()) > 0
    ran = subprocess.run(
        [*command, "--only", "gone"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 1
    assert "traces" in ran.stderr


def test_features_are_found_out_by_trying() -> None:
    """Of this package all that is tried is as it should be, and README.md has a line for each trial."""
    told = script("benchmarks/features.py", "memo")
    assert (told.returncode, told.stderr) == (0, "")
    head, *lines = told.stdout.splitlines()
    assert head.split() == ["memo"]
    assert [line for line in lines if not line.endswith("  yes")] == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [line for line in lines if f"| {line.removesuffix('yes').strip()} | yes |" not in readme] == []
