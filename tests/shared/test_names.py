"""What things are called on the server."""

from itertools import product

import pytest

from memo.shared._names import Names, function_label, tag_digest

DIGEST = bytes(range(16))


def test_names_lie_under_prefix_and_wire_version() -> None:
    """Every name of a tier begins alike, and none is another's."""
    names = Names("shop")
    value = names.value(b"bot.profile/2", DIGEST)
    assert value == b"shop:1:{bot.profile/2/000102030405060708090a0b0c0d0e0f}"
    made = [value, names.lease(value), names.generation(b"bot.profile/2"), names.tag(DIGEST), names.log, names.sequence]
    assert all(name.startswith(b"shop:1:") for name in made)
    assert len(set(made)) == len(made)


def test_a_shown_key_stands_behind_the_digest() -> None:
    """A key that may be read is shown beside its digest, and outside of the braces."""
    assert Names("p").value(b"f", DIGEST, b"alice") == b"p:1:{f/000102030405060708090a0b0c0d0e0f}:alice"


def test_no_two_functions_have_one_label() -> None:
    """Whatever names and versions contain, two pairs of them differ in their labels, and braces stay balanced."""
    texts = ["a", "a/", "/a", "a%2F", "a/b", "b", "{", "}a", "\ud800", ""]
    labels = [function_label(name, version) for name, version in product(texts, repeat=2)]
    assert len(set(labels)) == len(labels)
    assert not any(b"{" in label or b"}" in label for label in labels)


@pytest.mark.parametrize("tag", ["users", "user:\ud800", ""])
def test_a_tag_is_told_by_sixteen_bytes(tag: str) -> None:
    """Any text is a tag, and its digest does not contain it."""
    assert len(tag_digest(tag)) == 16
    assert tag_digest(tag) != tag_digest(tag + "x")
