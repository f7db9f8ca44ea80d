"""Whether what was built for a release is whole: ``python .ci/check_dist.py DIST SOURCE``.

DIST is the folder with one source distribution and one wheel, SOURCE the tree that they were built from.  Needs
``trove_classifiers``, of the extra ``release``.
"""

import email
import fnmatch
import re
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from email.message import Message
from pathlib import Path, PurePosixPath

FOLDERS = (".ci", "benchmarks", "docs", "examples", "memo", "tests")
FILES = (
    "CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "README.md", "SECURITY.md", "pyproject.toml", "setup.cfg",
    "setup.py",
)  # fmt: skip
LEFT_BEHIND = ("*/__pycache__/*", "*.py[cod]", "*.so", "*.pyd")
"""What interpreters and compilers leave in a tree: in no distribution."""
OF_THE_PACKAGE = (".py", ".html", ".css", ".js", ".typed")


def is_left_behind(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in LEFT_BEHIND)


def files_of(source: Path) -> set[str]:
    """What the source distribution must have, by its path from the root."""
    found = {path.relative_to(source).as_posix() for top in FOLDERS for path in (source / top).rglob("*")}
    return {name for name in {*found, *FILES} if (source / name).is_file() and not is_left_behind(name)}


def check_source(names: Iterable[str], wanted: set[str]) -> list[str]:
    """What is wrong with the files of a source distribution, which all lie in one folder."""
    inside = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in names}
    made = {name for name in inside if name == "PKG-INFO" or ".egg-info/" in name}
    return [
        *(f"not in the source distribution: {name}" for name in sorted(wanted - inside)),
        *(f"in the source distribution, and no part of it: {name}" for name in sorted(inside - wanted - made)),
    ]


def check_wheel(names: Iterable[str], wanted: set[str]) -> list[str]:
    """What is wrong with the files of a wheel: it has the package, perhaps its extension, and what is told of it."""
    inside = {name for name in names if ".dist-info/" not in name}
    package = {name for name in wanted if name.startswith("memo/") and name.endswith(OF_THE_PACKAGE)}
    built = {name for name in inside if fnmatch.fnmatch(name, "memo/_native/_speed.*") and is_left_behind(name)}
    return [
        *(f"not in the wheel: {name}" for name in sorted(package - inside)),
        *(f"in the wheel, and no part of it: {name}" for name in sorted(inside - package - built)),
    ]


def check_metadata(told: Message, project: dict[str, object], known: Iterable[str]) -> list[str]:
    """What is wrong with what a distribution tells an index."""
    classifiers, wrong = set(told.get_all("Classifier", [])), []
    if told["Version"] != project["version"]:
        wrong.append(f"the version is {told['Version']}, where pyproject.toml says {project['version']}")
    wrong += [f"no index knows this classifier: {name}" for name in sorted(classifiers - set(known))]
    text = str(told.get_payload())
    wrong += [
        f"a link that leads nowhere from an index: {link}" for link in re.findall(r"\]\((?!https?:)[^)]*\)", text)
    ]
    if told["Description-Content-Type"] != "text/markdown" or not text.startswith("# memo"):
        wrong.append("README.md is not the description")
    return wrong


def main(dist: Path, source: Path) -> int:
    from trove_classifiers import classifiers  # not above: the tests of what is above do without

    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    wanted = files_of(source)
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tarfile.open(sdist) as tape:
        packed = {member.name: member for member in tape.getmembers() if member.isfile()}
        first = next(name for name in packed if name.count("/") == 1 and name.endswith("/PKG-INFO"))
        told = tape.extractfile(packed[first])
        assert told is not None
        of_source = email.message_from_bytes(told.read())
    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
        told_there = next(name for name in held if name.endswith(".dist-info/METADATA"))
        of_wheel = email.message_from_bytes(archive.read(told_there))
    wrong = [
        *check_source(packed, wanted),
        *check_wheel(held, wanted),
        *check_metadata(of_source, project, classifiers),
        *check_metadata(of_wheel, project, classifiers),
    ]
    for line in wrong:
        print(line, file=sys.stderr)
    tests = sum(name.startswith("tests/") for name in wanted)
    print(f"{sdist.name}: {len(packed)} files, {tests} of them tests; {wheel.name}: {len(held)} files")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
