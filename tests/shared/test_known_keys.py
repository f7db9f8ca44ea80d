"""Which keys stand behind digests: found as long as the store holds them, forgotten in small steps after that."""

import threading
from collections.abc import Hashable
from hashlib import blake2b

from kit.threads import switching_often

from memo.shared._known_keys import KnownKeys
from memo.shared._names import tag_digest


class Held(set[Hashable]):
    """What a store holds; how often it was asked."""

    asked = 0

    def holds(self, key: Hashable) -> bool:
        self.asked += 1
        return key in self


def digest(key: object) -> bytes:
    return blake2b(repr(key).encode(), digest_size=16).digest()


def test_keys_and_tags_are_found_by_their_digests() -> None:
    """What is not known is left out; a tag is known if a known key bears it."""
    known = KnownKeys(Held("ab").holds)
    known.add(digest("a"), "a", ["users", "all"])
    known.add(digest("b"), "b", ["all"])
    assert known.keys([digest("b"), digest("c"), digest("a")]) == ["b", "a"]
    assert [known.tag(tag_digest(tag)) for tag in ("users", "all", "other")] == ["users", "all", None]


def test_what_is_not_held_is_forgotten() -> None:
    """A key that left the store goes at one of the next questions, and its tags with it, unless others bear them."""
    held = Held()
    known = KnownKeys(held.holds)
    for number in range(10):
        held.add(number)
        known.add(digest(number), number, ["all", f"tag {number}"])
    held.clear()
    held.add("last")
    for _ in range(10):
        known.add(digest("last"), "last", ["all"])
    assert len(known) == 1
    assert known.tag(tag_digest("all")) == "all"
    assert [known.tag(tag_digest(f"tag {number}")) for number in range(10)] == [None] * 10


def test_there_are_not_many_more_notes_than_entries() -> None:
    """With a store of a hundred through which thousands pass there are never more notes than half as many again."""
    held, most = Held(), 0
    known = KnownKeys(held.holds)
    for number in range(5_000):
        held.add(number)
        held.discard(number - 100)
        known.add(digest(number), number, [f"tag {number}"])
        assert known.keys([digest(number - 50)]) == ([number - 50] if number >= 50 else [])
        most = max(most, len(known))
    assert most <= 152
    assert held.asked <= 3 * 5_000


def test_no_step_is_long() -> None:
    """However many keys are known, a question or a step of tidying looks at a few of them."""
    held = Held()
    known = KnownKeys(held.holds)
    for number in range(20_000):
        held.add(number)
        known.add(digest(number), number, ())
    held.clear()
    held.asked = 0
    known.add(digest("new"), "new", ())
    assert held.asked == 3
    known.tidy(50)
    assert held.asked == 53


def test_a_key_keeps_the_tags_that_it_bore() -> None:
    """Asked for with other tags, it is found by the earlier ones, too: what is stored still bears them."""
    held = Held(["a"])
    known = KnownKeys(held.holds)
    known.add(digest("a"), "a", ["before"])
    known.add(digest("a"), "a", ["after"])
    assert known.tag(tag_digest("before")) == "before"
    assert known.tag(tag_digest("after")) == "after"


def test_a_key_of_ever_other_tags_keeps_the_latest() -> None:
    """There is an end to the tags of one key; those that it bears now are among them, however many there are."""
    known = KnownKeys(Held(["a"]).holds)
    for number in range(1_000):
        known.add(digest("a"), "a", [f"tag {number}"])
    assert sum(known.tag(tag_digest(f"tag {number}")) is not None for number in range(1_000)) == 64
    known.add(digest("a"), "a", [f"many {number}" for number in range(200)])
    assert all(known.tag(tag_digest(f"many {number}")) for number in range(200))
    assert known.tag(tag_digest("tag 999")) is None


def test_a_key_asked_for_while_it_is_looked_at_stays() -> None:
    """The store is asked under no lock; who asks for the key meanwhile finds it known after that."""
    held = Held()
    known = KnownKeys(lambda key: look(key))
    known.add(digest("a"), "a", ())
    again: list[bool] = []

    def look(key: Hashable) -> bool:
        if key == "a" and not again:
            again.append(True)
            asker = threading.Thread(target=known.add, args=(digest("a"), "a", ("tag",)))
            asker.start()
            asker.join()
        return held.holds(key)

    known.add(digest("b"), "b", ())
    assert again
    assert known.keys([digest("a")]) == ["a"]
    assert known.tag(tag_digest("tag")) == "tag"


def test_a_store_that_fails_to_say_costs_nothing() -> None:
    """An exception of another key's comparison is nothing to whoever asks now, and all stays as it was."""
    known = KnownKeys(lambda key: 1 / 0 > 1)
    known.add(digest("a"), "a", ())
    known.add(digest("b"), "b", ())
    assert known.keys([digest("a"), digest("b")]) == ["a", "b"]


def test_threads_find_what_they_hold() -> None:
    """Threads that ask for keys, let go of them, and look for those they hold find each of these."""
    held, missed = Held(), []
    known = KnownKeys(held.holds)

    def use(thread: int) -> None:
        for number in range(300):
            key = (thread, number)
            held.add(key)
            known.add(digest(key), key, (f"tag {number}",))
            if known.keys([digest(key)]) != [key] or known.tag(tag_digest(f"tag {number}")) is None:
                missed.append(key)
            held.discard((thread, number - 5))

    with switching_often():
        threads = [threading.Thread(target=use, args=(thread,)) for thread in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not missed
    assert len(known) < 80
