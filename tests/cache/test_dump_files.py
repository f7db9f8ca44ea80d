"""Files of dumps: verified, written whole or not at all; ``put_many()``."""

import hashlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from kit.dumps import Placed, aged, dump, load, make, several
from kit.threads import Gate, Running

from memo import DumpError, MemoError, Registry
from memo._store.weights import weight

# -- the file


def some_dump(path: Path) -> bytes:
    function, _ = aged("ab", ttl=60)
    dump(function, path)
    return path.read_bytes()


def assert_refused(path: Path, match: str) -> None:
    function = make(ttl=60)
    function.cache.put("mine", "x")
    with pytest.raises(DumpError, match=match):
        load(function, path)
    assert function.cache.items() == [("x", "mine")]


def test_the_error_is_a_value_error() -> None:
    """DumpError can be caught as the package's own error and as a ValueError."""
    assert issubclass(DumpError, MemoError)
    assert issubclass(DumpError, ValueError)


def test_a_file_cut_short_is_refused(path: Path) -> None:
    """A file cut at any byte is refused, and nothing of it stored."""
    whole = some_dump(path)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert_refused(path, "is cut short|is no dump|was altered")
    path.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    assert_refused(path, "is cut short")


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
def test_an_altered_file_is_refused(path: Path, bit: int) -> None:
    """A file with any byte changed is refused, and nothing of it stored."""
    whole = some_dump(path)
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        assert_refused(path, "load: .*profiles.memo")


def test_a_file_with_lines_moved_is_refused(path: Path) -> None:
    """Lines added, doubled, left out or exchanged are noticed."""
    whole = some_dump(path)
    header, first, second, seal = whole.splitlines(keepends=True)
    for lines in (
        [header, second, first, seal],
        [header, first, seal],
        [header, first, first, second, seal],
        [header, first, second, seal, seal],
        [header, first, second, seal, b"\n"],
        [header, first, second, seal, header, first, second, seal],
        [header, seal],
        [seal],
    ):
        path.write_bytes(b"".join(lines))
        assert_refused(path, "is cut short|was altered|is no dump")
    path.write_bytes(whole)
    assert load(make(ttl=60), path) == 2


def forge(path: Path, *lines: bytes, header: dict[str, Any] | None = None) -> None:
    """Write a file whose seal is right, whatever its lines are."""
    plain = {
        "format": "memo dump", "version": 1, "function": "profiles", "key": "(name)", "written": 0.0
    }  # fmt: skip
    body = b"\n".join([json.dumps(plain | (header or {})).encode(), *lines]) + b"\n"
    digest = hashlib.sha256(body).hexdigest()
    seal = json.dumps({"rows": len(lines), "bytes": len(body), "sha256": digest}, separators=(",", ":"))
    path.write_bytes(body + seal.encode() + b"\n")


def test_a_forged_file_would_load(path: Path) -> None:
    """The forger of these tests can write a file that passes, so that its others fail for what is wrong in them."""
    forge(path, b'["a",1,null,0.0,null,null]')
    function = make()
    assert load(function, path) == 1
    assert function.cache.items() == [("a", 1)]


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ({"version": 2}, "has format version 2, but this release reads version 1"),
        ({"version": "1"}, "has format version 1"),
        ({"version": True}, "has format version True"),
        ({"version": None}, "has format version None"),
        ({"format": "shopping list"}, "is no dump"),
        ({"function": "other"}, r"holds results of 'other' .*, not of 'profiles'.*name="),
        ({"function": None}, "holds results of None"),
        ({"key": "(name, lang)"}, r"with keys of '\(name, lang\)', not of .*'\(name\)'"),
        ({"key": "(name), typed"}, r"typed"),
        ({"written": None}, "the header of .* cannot be read"),
        ({"written": True}, "the header of .* cannot be read"),
        ({"written": "today"}, "the header of .* cannot be read"),
    ],
    ids=repr,
)
def test_another_header_is_refused(path: Path, header: dict[str, Any], match: str) -> None:
    """A dump of another function, of other keys or of another version is refused, and the message says which."""
    forge(path, b'["a",1,null,0.0,null,null]', header=header)
    assert_refused(path, match)


def test_dumps_of_others_are_refused(path: Path) -> None:
    """What a function with another name, other parameters or other key options dumped is refused."""
    function = make()
    function("a")
    dump(function, path)
    others = [
        make(name="other"), make(several), make(typed=True), make(key=str), make(lambda other: other),
        make(lambda name, lang="en": name),
    ]  # fmt: skip
    for other in others:
        with pytest.raises(DumpError, match="holds results of 'profiles'"):
            load(other, path)
    for alike in (make(lambda name, log=None: name, ignore=("log",)), make(max=5, ttl=9, policy="lru")):
        assert load(alike, path) == 1


DEEP = b"[" * 100_000 + b"]" * 100_000

BIG = b"9" * 100_000


FORGED = [
    (b"", "cannot be read"),
    (b"{}", "cannot be read"),
    (b"[]", "cannot be read"),
    (b'["a",1,null,0.0,null]', "cannot be read"),
    (b'["a",1,null,0.0,null,null,null]', "cannot be read"),
    (b'["a",%s,null,0.0,null,null]' % DEEP, "nested too deeply"),
    (b'["a",%s,null,0.0,null,null]' % DEEP.replace(b"[", b'{"tuple":[').replace(b"]", b"]}"), "nested too deeply"),
    (b'["\\"",%s,null,0.0,null,null]' % DEEP, "nested too deeply"),
    (b'["\\\\",%s,null,0.0,null,null]' % DEEP, "nested too deeply"),
    (b'["a",\\"%s,null,0.0,null,null]' % DEEP, "cannot be read"),
    (f'["a",{"[" * 1000}'.encode("utf-16-le"), "cannot be read"),
    (b'["a",%s,null,0.0,null,null]' % BIG, "contains the number '9999"),
    (b'["a",0.%s,null,0.0,null,null]' % BIG, "contains the number '0.999"),
    (b'["a",1e%s,null,0.0,null,null]' % BIG, "contains the number '1e999"),
    (b'["a",NaN,null,0.0,null,null]', "contains the number 'NaN'"),
    (b'["a",Infinity,null,0.0,null,null]', "contains the number 'Infinity'"),
    (b'["\xff",1,null,0.0,null,null]', "cannot be read"),
    (b'["a",{"os.system":["true"]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"type":"HourOff"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"tuple":[],"list":[]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"tuple":"abc"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"int":12},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"int":"wxyz"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"float":"1"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"str":"ff"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"bytes":"a"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"date":[2024,13,1]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"datetime":[2024]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"timedelta":[1e300]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"timezone":[999999999999999]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"Decimal":"ten"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"UUID":"ten"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"set":[[]]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"dict":[[[],1]]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"dict":[[1]]},null,0.0,null,null]', "cannot be read"),
    (b'[[],1,null,0.0,null,null]', "cannot be read"),
    (b'["a",1,"long",0.0,null,null]', "no number of seconds"),
    (b'["a",1,true,0.0,null,null]', "no number of seconds"),
    (b'["a",1,1e999,0.0,null,null]', "no number of seconds"),
    (b'["a",1,null,-1.0,null,null]', "age below zero"),
    (b'["a",1,null,0.0,-1.0,null]', "age below zero"),
    (b'["a",1,null,null,null,null]', "no number of seconds"),
    (b'["a",1,null,0.0,null,5]', "cannot be read"),
    (b'["a",1,null,0.0,null,[5]]', "are no tags"),
    (b'["a",1,null,0.0,null,[""]]', "are no tags"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "match"), FORGED, ids=[str(line[:50]) for line, _ in FORGED])
def test_a_forged_row_is_refused(path: Path, line: bytes, match: str) -> None:
    """A row that no dump writes is refused, though the checksum is right, and nothing of the file is stored."""
    forge(path, b'["good",1,null,0.0,null,null]', line)
    assert_refused(path, f"(?s){match}")


def test_depth_is_checked_before_parsing(path: Path) -> None:
    """Nesting is refused before the parser recurses, whatever the program's recursion limit is."""
    forge(path, b'["a",%s,null,0.0,null,null]' % DEEP)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        assert_refused(path, "nested too deeply")
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("form", [b'{"set":[%s]}', b'{"frozenset":[%s]}', b'{"dict":[%s]}'])
def test_colliding_members_are_refused(path: Path, form: bytes) -> None:
    """A container whose members were chosen to hash alike, so that building it takes quadratic time, is refused."""
    numbers = [b'{"int":"%x"}' % (number * (2**61 - 1)) for number in range(1, 1102)]
    members = [b"[%s,1]" % number for number in numbers] if b"dict" in form else numbers
    forge(path, b'["a",%s,null,0.0,null,null]' % (form % b",".join(members)))
    assert_refused(path, "same hash")
    forge(path, b'["a",%s,null,0.0,null,null]' % (form % b",".join(members[:1000])))
    assert load(make(), path) == 1


def test_colliding_keys_are_refused(path: Path) -> None:
    """So are keys of entries."""
    forge(path, *(b'[{"int":"%x"},1,null,0.0,null,null]' % (number * (2**61 - 1)) for number in range(1, 1102)))
    with pytest.raises(DumpError, match="same hash"):
        load(make(max=2000), path)


@pytest.mark.parametrize("key", [b'"a"', b'["a","en"]', b'{"tuple":["a"]}', b'{"tuple":["a","en",1]}'])
def test_keys_of_another_shape_are_refused(path: Path, key: bytes) -> None:
    """A forged key that is no tuple of as many values as the function's keys is refused."""
    forge(path, b"[%s,1,null,0.0,null,null]" % key, header={"key": "(name, lang)"})
    function = make(lambda name, lang="en": name)
    with pytest.raises(DumpError, match="cannot be read"):
        load(function, path)
    assert len(function.cache) == 0


def test_rows_beyond_the_bound_are_not_kept(path: Path) -> None:
    """Only as many rows as the store can hold are parsed at all."""
    forge(path, b"this is not parsed", b'["a",1,null,0.0,null,null]')
    assert load(make(max=1), path) == 1
    with pytest.raises(DumpError, match="row 1 of"):
        load(make(max=2), path)


def test_a_row_has_a_longest_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row longer than load() would read is refused by dump(), and by load()."""
    function = make()
    function.cache.put("x" * 1000, "a")
    dump(function, path)
    before = path.read_bytes()
    monkeypatch.setattr("memo._cache.dump_files._LONGEST_ROW", 500)
    with pytest.raises(ValueError, match=r"row 1 takes .* bytes, and 500 is the most"):
        dump(function, path)
    assert path.read_bytes() == before
    assert_refused(path, "cut short|altered|cannot be read")


# -- writing


def test_paths(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may be text, bytes or a path object, absolute or relative."""
    function = make()
    function("a")
    monkeypatch.chdir(path.parent)
    for form in (path, str(path), os.fsencode(path), path.name):
        assert function.cache.dump(form) == 1
        assert make().cache.load(form) == 1
        path.unlink()


def test_what_is_not_there(path: Path) -> None:
    """What does not exist is the OSError that open() would raise, about the path that was given."""
    function = make()
    for call in (function.cache.dump, function.cache.load):
        with pytest.raises(FileNotFoundError) as raised:
            call(path.parent / "missing" / "file")
        assert os.fspath(raised.value.filename) == os.path.realpath(path.parent / "missing" / "file")
        with pytest.raises(IsADirectoryError):
            call(path.parent)
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions, links and pipes are those of POSIX")
def test_permissions_and_links(path: Path) -> None:
    """A new file is its owner's alone, an old one keeps its permissions, a link is followed, a pipe refused."""
    function = make()
    function.cache.dump(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    inode = path.stat().st_ino
    function("a")
    function.cache.dump(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != inode
    link = path.parent / "link"
    link.symlink_to(path.name)
    function("b")
    function.cache.dump(link)
    assert link.is_symlink()
    assert make().cache.load(path) == 2
    pipe = path.parent / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        function.cache.dump(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_failing_step_leaves_the_old_file(path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system fails at any step, the file holds what it held, and nothing else is left behind."""
    before = some_dump(path)

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space left"):
            dump(make(), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_file_is_synced_before_it_takes_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contents reach the disk before the name does, and the name before dump() returns."""
    steps: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (steps.append(name), real(*args))[1])
    dump(make(), path)
    assert steps[:2] == ["fsync", "replace"]
    assert os.name != "posix" or steps == ["fsync", "replace", "fsync"]


# -- put_many


def test_put_many_of_one_parameter() -> None:
    """A mapping, or pairs, from the one argument to its result; a tuple is the argument itself."""
    function = make()
    assert function.cache.put_many({"alice": 1, ("a", "b"): 2, None: 3}) == 3
    assert function.cache.put_many((name, len(name)) for name in ("x", "yy")) == 2
    assert [function(name) for name in ("alice", ("a", "b"), None, "x", "yy")] == [1, 2, 3, 1, 2]
    stats = function.cache.stats()
    assert (stats.hits, stats.misses, stats.loads) == (5, 0, 0)
    assert function.cache.put_many({}) == function.cache.put_many([]) == 0


def test_put_many_of_several_parameters() -> None:
    """A tuple is spread over the parameters; any other key is the first argument, and defaults fill in the rest."""
    function = make(lambda name, lang="en": (name, lang))
    assert function.cache.put_many({("alice", "de"): 1, "bob": 2, (("a", "b"),): 3, ("carol",): 4}) == 4
    assert function("alice", lang="de") == 1
    assert function("bob", "en") == 2
    assert function(("a", "b")) == 3
    assert function(name="carol") == 4
    assert make(several).cache.put_many({("a", "de", 1, 2): 1, "b": 2}) == 2
    nothing = make(lambda: 0)
    assert nothing.cache.put_many({(): 7}) == 1
    assert nothing() == 7
    keyword = make(lambda point, *, scale=1: 0)
    assert keyword.cache.put_many({(1, 2): 8}) == 1
    assert keyword((1, 2)) == 8


def test_put_many_through_instances() -> None:
    """Through an instance the arguments are those without self; through the class the instance is the first."""
    placed, other = Placed(), Placed()
    assert placed.own.cache.put_many({"a": "put", ("t", "u"): "tuple"}) == 2
    assert (placed.own("a"), placed.own(("t", "u")), other.own("a")) == ("put", "tuple", "a")
    assert Placed.own.cache.put_many({(other, "b"): "put"}) == 1
    assert other.own("b") == "put"
    assert Placed.of_class.cache.put_many({"a": "put"}) == 1
    assert Placed.of_class("a") == "put"
    assert Placed.static.cache.put_many({"z": "put"}) == 1
    assert Placed.static("z") == "put"
    for handle in (Placed.own.cache, Placed.of_class.cache, Placed.static.cache):
        handle.clear()


def test_put_many_stays_within_the_bounds() -> None:
    """More results than the store can hold evict each other; what is rejected is not counted."""
    function = make(max=3)
    assert function.cache.put_many((number, number) for number in range(10)) == 10
    assert len(function.cache) == 3
    bounded_by_bytes = make(max=None, max_bytes=5 + 2 * weight("a", ()), sizeof=lambda value: len(value) ** 3)
    assert bounded_by_bytes.cache.put_many({"a": "x", "b": "much too long", "c": "x"}) == 2
    assert bounded_by_bytes.cache.stats().rejected == 1
    choosy = make(cache_if=bool)
    assert choosy.cache.put_many({"a": 0, "b": 1}) == 1


def test_put_many_refuses_what_is_no_pair() -> None:
    """An item that is no pair, or does not fit the function, is refused; those before it are stored."""
    function = make()
    for wrong in (["ab"], [("a",)], [("a", 1, 2)], [5], "ab", {"a", "b"}):
        with pytest.raises(TypeError, match=r"put_many: .* is no pair"):
            function.cache.put_many(wrong)
    with pytest.raises(TypeError, match="cannot be hashed"):
        function.cache.put_many([("a", 1), ([], 2), ("c", 3)])
    assert function.cache.items() == [("a", 1)]
    with pytest.raises(TypeError, match="argument"):
        make(lambda name, lang: 0).cache.put_many({("a", "b", "c"): 1})


def test_put_many_wins_over_a_running_load() -> None:
    """A load that began before put_many() does not replace what was put."""
    gate = Gate()

    def slow(name: str) -> str:
        gate.wait()
        return "slow"

    function = make(slow)
    leader = Running(lambda: function("a"))
    gate.reached()
    function.cache.put_many({"a": "put"})
    gate.open()
    assert leader.result() == "slow"
    assert function("a") == "put"


def test_put_many_bears_the_tags_of_each_call() -> None:
    """Each result bears the tags that its call has, as after put()."""
    registry = Registry()
    function = make(tags=lambda name: f"user:{name}", registry=registry)
    function.cache.put_many({"a": 1, "b": 2})
    registry.invalidate(tag="user:a")
    assert function.cache.items() == [("b", 2)]
