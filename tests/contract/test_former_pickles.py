"""What an earlier version pickled is still read: records, exceptions, and keys that ``freeze`` made."""

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from kit.former import PROTOCOLS, frozen_keys, records

import memo

__all__ = ()

WRITTEN: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("former_pickles.json").read_text(encoding="utf-8")
)  # fmt: skip
NOW: dict[str, Any] = {**records(), **frozen_keys()}


def read(name: str) -> list[Any]:
    """What the pickles of *name*, one of each protocol, hold."""
    return [pickle.loads(base64.b64decode(text)) for text in WRITTEN[name]]


def test_the_file_has_all_of_them() -> None:
    """Each record, exception and key is in the file, once for each protocol."""
    assert {name: len(texts) for name, texts in WRITTEN.items()} == dict.fromkeys(NOW, len(PROTOCOLS))


def test_each_exported_record_is_among_them() -> None:
    """No exported class is left out but those of which nobody keeps a copy."""
    kinds = {name for name in (*memo.__all__, *memo.errors.__all__) if isinstance(getattr(memo, name, None), type)}
    not_kept = {
        "CallInfo", "Janitor", "Record", "RecordedKeys", "Recording", "Registry", "Subscription", "cached_property"
    }  # fmt: skip
    assert kinds - not_kept == set(records())


@pytest.mark.parametrize("name", [name for name in records() if not isinstance(NOW[name], BaseException)])
def test_a_record_is_read(name: str) -> None:
    """It equals one that is made today, and is of the same class."""
    for found in read(name):
        assert type(found) is type(NOW[name])
        assert found == NOW[name]
        assert repr(found) == repr(NOW[name])


@pytest.mark.parametrize("name", [name for name in records() if isinstance(NOW[name], BaseException)])
def test_an_exception_is_read(name: str) -> None:
    """It is of the same class, and says and knows the same."""
    for found in read(name):
        assert type(found) is type(NOW[name])
        assert (found.args, str(found), vars(found)) == (NOW[name].args, str(NOW[name]), vars(NOW[name]))


@pytest.mark.parametrize("name", list(frozen_keys()))
def test_a_frozen_key_is_read(name: str) -> None:
    """It equals the key that the same value gets today, and so finds what is stored under that."""
    for found in read(name):
        assert found == NOW[name]
        assert {NOW[name]: "stored"}[found] == "stored"
