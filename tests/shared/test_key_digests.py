"""What a key is called on the server is the same in every process and release of Python."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.places import ROOT
from kit.shared_keys import SHARED_KEYS

from memo.shared._key_digests import digest, readable
from memo.shared._key_forms import form

SCRIPT = """
import hashlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
from kit.shared_keys import SHARED_KEYS
from memo.shared._key_digests import digest
digests = [digest("n", "s", "v", (key, frozenset([key, "a", 5]))) for key in SHARED_KEYS]
print(hashlib.sha256(b"".join(digests)).hexdigest())
"""


def test_digests_do_not_depend_on_the_process() -> None:
    """They are those that are written here, in this process, under this release, and under other hash seeds."""
    pinned = "224667d42f27526e37a4a07d9318e88b29e62cf2dd41e98d748495754e74dff8"
    digests = [digest("n", "s", "v", (key, frozenset([key, "a", 5]))) for key in SHARED_KEYS]
    here = hashlib.sha256(b"".join(digests)).hexdigest()
    paths = json.dumps([str(ROOT), str(ROOT / "tests")])
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, paths],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert {here} == found == {pinned}


MAIN = """
import enum, sys
from multiprocessing import get_context
sys.path[:0] = {paths!r}
from memo.shared._key_forms import form

class Colour(enum.Enum):
    RED = 1

def written():
    return form((Colour.RED, Colour)).decode()

if __name__ == "__main__":
    print(written())
    with get_context("spawn").Pool(1) as pool:
        print(pool.apply(written))
"""


def test_classes_of_a_program_are_those_of_its_workers(tmp_path: Path) -> None:
    """A class of the main program has one form in its workers, and another in another program."""
    found = []
    for name in ("one.py", "other.py"):
        (tmp_path / name).write_text(MAIN.format(paths=[str(ROOT)]))
        command = [sys.executable, str(tmp_path / name)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        found.append(ran.stdout.split("\n")[:2])
    for name, (main, worker) in zip(("one.py", "other.py"), found, strict=True):
        assert main == worker == f'(member(class("__main__ {name}","Colour"),"RED"),class("__main__ {name}","Colour"))'


def test_digests_differ_by_name_signature_and_version() -> None:
    """No two of these parts run into each other, and each counts."""
    parts = [
        ("ab", "", ""),
        ("a", "b", ""),
        ("", "ab", ""),
        ("a", "", "b"),
        ("", "", "ab"),
        ("", "", ""),
        ("\ud800", "", ""),
    ]
    assert len({digest(*part, 1) for part in parts}) == len(parts)
    assert {len(digest(*part, 1)) for part in parts} == {16}


def test_readable_keys_are_as_unlike_as_their_forms() -> None:
    """They are alike if and only if the forms are, also where they are cut."""
    keys = [*SHARED_KEYS, *[("x" * 500, key) for key in SHARED_KEYS]]
    pairs = {(form(key), readable("bot.profile", key)) for key in keys}
    assert len(pairs) == len({written for written, _ in pairs}) == len({text for _, text in pairs})


@settings(max_examples=200, deadline=None)
@given(st.text(), st.recursive(st.text() | st.binary(), lambda inner: st.lists(inner, max_size=2).map(tuple)))
def test_readable_keys_can_be_shown_anywhere(name: str, key: Any) -> None:
    """They are one line of at most 200 characters, without braces, which mean something to a cluster."""
    text = readable(name, key)
    assert len(text) <= 200
    assert text.isprintable()
    assert not {"{", "}"} & set(text)


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [
        ("bot.profile", "alice", 'bot.profile:"alice"'),
        ("bot.profile", ("José", 1.0, None, 0.25), 'bot.profile:("José",1,None,0.25)'),
        ("f:g", ("{a}\n",), 'f\\x3a;g:("\\x7b;a\\x7d;\\n")'),
    ],
)
def test_readable_keys_are_readable(name: str, key: Any, text: str) -> None:
    """What they show is the name, and what the key holds."""
    assert readable(name, key) == text
