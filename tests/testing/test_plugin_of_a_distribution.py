"""The plugin as pytest finds it where the package is installed: no warning, and switched off by any likely name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kit.places import ROOT

# Plug-ins that are nothing to these tests take longer to import than all the rest.
OTHERS = " ".join(
    f"-p no:{name}"
    for name in ("hypothesispytest", "anyio", "typeguard", "randomly", "xdist", "xdist.looponfail", "valkey")
)
INI = f"[pytest]\nfilterwarnings = error\naddopts = -p no:cacheprovider {OTHERS} --strict-config\n"
PLUGIN = ["-p", "memo.pytest_plugin"]
USES_IT = "def test_it(memo_clock, memo_isolated): assert memo_clock() >= 0\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where the package is installed as far as pytest can tell, and is compiled once for all tests."""
    site = tmp_path_factory.mktemp("site")
    info = site / "memo_toolkit-1.dist-info"
    info.mkdir()
    shutil.copytree(ROOT / "memo", site / "memo", ignore=shutil.ignore_patterns("__pycache__"))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memo-toolkit\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pytest11]\nmemo.pytest_plugin = memo.pytest_plugin\n")
    files = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "memo").rglob("*.py"))]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    return site


@pytest.fixture
def project(tmp_path: Path, site: Path) -> Path:
    """A directory with a test."""
    (tmp_path / "site").symlink_to(site, target_is_directory=True)
    here = tmp_path / "project"
    here.mkdir()
    (here / "pytest.ini").write_text(INI)
    (here / "test_it.py").write_text(USES_IT)
    return here


def python(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], cwd=project, capture_output=True, text=True, timeout=100, check=False,
        env={"PYTHONPATH": str((project.parent / "site").resolve()), "PATH": ""},
    )  # fmt: skip


def run_pytest(project: Path, *args: str) -> str:
    ran = python(project, "-m", "pytest", "-q", *args)
    return f"{ran.stdout}{ran.stderr}"


@pytest.mark.parametrize(
    ("before", "loaded"),
    [
        ("pass", []), ("import memo", []), ("from memo import bounded; import memo.testing, memo.pytest_plugin", []),
        ("pass", PLUGIN), ("import memo", PLUGIN), ("import memo.pytest_plugin", PLUGIN),
    ],
)  # fmt: skip
def test_imported_before_pytest_starts(project: Path, before: str, loaded: list[str]) -> None:
    """A program that imports the package and then runs pytest gets no warning, however pytest finds the plugin."""
    code = f"{before}; import pytest, sys; sys.exit(pytest.main({['-q', *loaded]!r}))"
    ran = python(project, "-W", "error", "-c", code)
    assert (ran.returncode, "1 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr


def test_run_twice(project: Path) -> None:
    """A program may run pytest twice."""
    code = "import pytest, sys; sys.exit(pytest.main(['-q']) or pytest.main(['-q']))"
    ran = python(project, "-W", "error", "-c", code)
    assert (ran.returncode, ran.stdout.count("1 passed")) == (0, 2), ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "name", ["memo", "memo.pytest_plugin", "pytest_memo", "pytest-memo", "memo-toolkit", "memo_toolkit"]
)
def test_switched_off(project: Path, name: str) -> None:
    """After -p no: and a likely name there are no fixtures."""
    assert "fixture 'memo_clock' not found" in run_pytest(project, "-p", f"no:{name}")


def test_switched_off_with_an_option_set(project: Path) -> None:
    """A project that has every test isolated may run without that, and its option stays known."""
    with (project / "pytest.ini").open("a") as ini:
        ini.write("memo_isolate = true\n")
    (project / "test_it.py").write_text("def test_it(request): assert request.fixturenames == ['request']\n")
    for name in ("memo", "memo_isolate"):
        assert "1 passed" in run_pytest(project, "-p", f"no:{name}")
    assert "1 failed" in run_pytest(project)


def test_switched_on_again(project: Path) -> None:
    """Another name switches nothing off, and a fixture of the project's own takes precedence."""
    assert "1 passed" in run_pytest(project, "-p", "no:memory")
    (project / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef memo_clock(): return lambda: 7\n")
    (project / "test_it.py").write_text("def test_it(memo_clock): assert memo_clock() == 7\n")
    assert "1 passed" in run_pytest(project)


def test_fixtures_are_listed(project: Path) -> None:
    """``pytest --fixtures`` tells what there is."""
    told = run_pytest(project, "--fixtures")
    assert "memo_clock" in told
    assert "A clock that drives all functions decorated with memo" in told
    assert "memo_isolated" in told
