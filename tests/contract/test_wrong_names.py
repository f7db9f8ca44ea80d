"""Names that are not there: errors, warnings and views say which was probably meant."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from memo import Registry, bounded
from memo._base.closest import closest, did_you_mean

NAMES = ["bot.fetch_profile", "bot.fetch_avatar", "shop.price", "shop.Shop.price", "shop.price#2"]


@pytest.fixture
def own() -> Registry:
    """A registry with a few functions, which it keeps."""
    own = Registry()
    kept[own] = [bounded(max=3, registry=own, name=name, tags=("t",))(abs) for name in NAMES]
    return own


kept: dict[Registry, Any] = {}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bot.fetch_profil", "bot.fetch_profile"),
        ("fetch_profile", "bot.fetch_profile"),
        ("fetch_porfile", "bot.fetch_profile"),
        ("Bot.Fetch_Profile", "bot.fetch_profile"),
        ("profile", "bot.fetch_profile"),
        ("price", "shop.price"),
        ("Shop.price", "shop.Shop.price"),
        ("bto.*", "bot.fetch_avatar"),
        ("*avatra*", "bot.fetch_avatar"),
        ("*AVATAR*", "bot.fetch_avatar"),
        ("bot.fetch_[xy]*", "bot.fetch_avatar"),
    ],
)
def test_the_likest_name_comes_first(wanted: str, expected: str) -> None:
    """Misspelt, short of its module, in other capitals, or a pattern: what was meant is among the first."""
    found = closest(wanted, NAMES)
    assert found[0] == expected
    assert len(found) <= 3


@pytest.mark.parametrize("wanted", ["", "*", "[", "?", "***", "zzzzzz", "x" * 5_000, "\N{SNOWMAN}"])
def test_what_is_like_nothing_has_no_hint(wanted: str) -> None:
    """A name that is like none of them is answered without a guess."""
    assert did_you_mean(wanted, NAMES) == ""
    assert did_you_mean(wanted, []) == ""


def test_the_hint_reads_well() -> None:
    """One, two or three names stand in the hint, joined as one would say them."""
    assert did_you_mean("a", ["x.a"]) == "; did you mean 'x.a'?"
    assert did_you_mean("a", ["x.a", "y.a"]) == "; did you mean 'x.a' or 'y.a'?"
    assert did_you_mean("a", ["x.a", "y.a", "z.a", "q.a"]) == "; did you mean 'x.a', 'y.a' or 'z.a'?"


def test_a_name_that_is_not_there(own: Registry) -> None:
    """``registry["nope"]`` says what is like it, else how many there are, also in views."""
    with pytest.raises(KeyError, match=r"'fetch_profile' is not in this registry; did you mean 'bot\.fetch_profile'"):
        own["fetch_profile"]
    with pytest.raises(KeyError, match=r"it has 5 functions: list\(registry\)"):
        own["zzzzzz"]
    with pytest.raises(KeyError, match=r"did you mean 'shop\.price'"):
        own.select("shop.*")["price"]
    with pytest.raises(KeyError, match=r"it has 2 functions"):
        own.select("bot.*")["zzzzzz"]
    with pytest.raises(KeyError, match=r"it has 5 functions"):
        own[len]
    assert "fetch_profile" not in own


def test_a_view_on_nothing_says_so(own: Registry) -> None:
    """A selection that matches nothing is legal, since functions may come; its repr says what the pattern is like."""
    assert len(own.select("bto.*")) == 0
    assert "did you mean 'bot.fetch_avatar' or 'bot.fetch_profile'" in repr(own.select("bto.*"))
    assert str(own.select("price")).splitlines() == [
        "no decorated functions",
        "no function is called 'price' now; did you mean 'shop.price', 'shop.Shop.price' or 'shop.price#2'?",
    ]
    assert "did you mean" in own.select("price")._repr_html_()
    assert "did you mean" not in str(own.select("bot.*"))
    assert repr(own.select("bot.*")) == "<2 functions of <registry of 5 functions> with pattern='bot.*'>"
    assert "1 function of" in repr(own.select("bot.fetch_a*"))


@pytest.mark.parametrize(
    ("disable", "says"),
    [
        (lambda own: own.disabled("fetch_avatar"), r"is called 'fetch_avatar' now; did you mean 'bot\.fetch_avatar'"),
        (lambda own: own.disabled("bto.*"), r"did you mean 'bot\.fetch_avatar' or"),
        (lambda own: own.disabled("zzz"), r"no function is called 'zzz' now; list\(registry\) shows"),
        (lambda own: own.select("bot.*").disabled("price"), r"no function is called 'price' now"),
        (lambda own: own.select("zzz").disabled(), r"no function is called 'zzz' now"),
        (lambda own: own.select(tag="u").disabled(), r"no function bears the tag 'u' now"),
        (lambda own: own.select("b*", tag="u").disabled(), r"no function is called 'b\*' and bears the tag 'u' now"),
    ],
)
def test_switching_nothing_off_is_warned_about(own: Registry, disable: Callable[[Any], Any], says: str) -> None:
    """A block whose pattern or tag matches nothing warns as it is entered, at the line of the ``with`` statement."""
    with pytest.warns(UserWarning, match=rf"^disabled\(\): .*{says}") as caught, disable(own):
        pass
    assert caught[0].filename == __file__


def test_it_holds_for_what_comes_later_all_the_same(own: Registry) -> None:
    """A function that is decorated inside the block, and matches, is off."""
    calls: list[int] = []
    block = own.disabled("later")
    with pytest.warns(UserWarning, match="later"):
        block.__enter__()
    later = bounded(max=3, registry=own, name="later")(calls.append)
    later(1), later(1)
    block.__exit__(None, None, None)
    later(1), later(1)
    assert calls == [1, 1, 1]


@pytest.mark.parametrize("disable", [lambda r: r.disabled(), lambda r: r.disabled("*"), lambda r: r.disabled("bot.*")])
def test_switching_something_off_warns_not(own: Registry, disable: Callable[[Any], Any]) -> None:
    """No pattern, or one that matches, is no mistake; nor is an empty registry that is switched off as a whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with disable(own), Registry().disabled():
            pass
