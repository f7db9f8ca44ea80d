"""Which keys stand behind the digests of messages: those of the entries and running loads of one function here.

Messages hold digests, and the store holds keys.  So each key that is asked for or put is noted beside its digest, and
its tags beside theirs, and forgotten some time after the store has let go of it:

- A note is made before there is an entry or a load to be found by it, and stays for as long as there is one.  So a
  message finds all that it is about.
- A key that cannot be shared has no digest, and so no note, but may bear tags.  Once there was one, the store tells
  which tags there are.
- Each new note has some of the oldest looked at, and forgotten unless the store holds their keys.  So there are never
  many more notes than entries, and no step is a long one, of however many notes there are.
- Whether the store holds a key is asked under no lock, since it compares keys.  Whoever notes a key meanwhile replaces
  its note, and only the note that was looked at is forgotten.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence

from memo._base import Stage, hold, rlock
from memo.shared._names import tag_digest

__all__ = ("KnownKeys",)

_LOOKED_AT = 3  # of the oldest, for each new note: with 2 there would be up to twice as many notes as entries
_MOST_TAGS = 64  # of one note, of those that the key bore earlier and bears no more


class _Note:
    """That a key was asked for; each time another one."""

    __slots__ = ("key", "tags")

    def __init__(self, key: Hashable, tags: tuple[str, ...]) -> None:
        self.key = key
        self.tags = tags


class KnownKeys:
    """The notes of one function.  Thread-safe.

    Args:
        holds: Whether the store has an entry of a key, or a load of it runs.
    """

    __slots__ = ("__weakref__", "_bearers", "_holds", "_lock", "_notes", "_tags", "are_all")

    def __init__(self, holds: Callable[[Hashable], bool]) -> None:
        self._holds = holds
        self.are_all = True
        """Whether each key that the store may have is noted."""
        self._lock = rlock()
        """Guards the tables; no code of users runs under it."""
        self._notes: OrderedDict[bytes, _Note] = OrderedDict()
        """By digest, the one that was noted or looked at last at the end."""
        self._tags: dict[bytes, str] = {}
        """By their digests, those that notes bear."""
        self._bearers: dict[bytes, set[bytes]] = {}
        """The digests of keys whose notes bear a tag, by that of the tag."""
        hold(Stage.TIERS, self, self._lock)

    def __len__(self) -> int:
        """How many keys are noted."""
        return len(self._notes)

    def add(self, digest: bytes, key: Hashable, tags: Sequence[str]) -> None:
        """Note *key* and its tags, before it is loaded or stored."""
        with self._lock:
            self._add(digest, _Note(key, tuple(tags)))
        self.tidy(_LOOKED_AT)

    def keys(self, digests: Iterable[bytes]) -> list[Hashable]:
        """The keys of those digests that are known here."""
        notes = map(self._notes.get, digests)
        return [note.key for note in notes if note is not None]

    def tag(self, digest: bytes) -> str | None:
        """The tag of a digest, if a known key bears it."""
        return self._tags.get(digest)

    def tidy(self, count: int) -> None:
        """Look at so many of the oldest notes, and forget those of keys that the store holds no more."""
        for digest, note in self._oldest(count):
            try:
                is_held = self._holds(note.key)
            except Exception:  # of the key's comparison; it is none of the present call's business
                continue
            if not is_held:
                with self._lock:
                    self._forget(digest, note)

    def _oldest(self, count: int) -> list[tuple[bytes, _Note]]:
        with self._lock:
            return [self._next() for _ in range(min(count, len(self._notes) - 1))]

    def _next(self) -> tuple[bytes, _Note]:
        """The oldest note, which becomes the latest."""
        digest = next(iter(self._notes))
        self._notes.move_to_end(digest)
        return digest, self._notes[digest]

    def _add(self, digest: bytes, note: _Note) -> None:
        earlier = self._notes.get(digest)
        if earlier is not None and earlier.tags != note.tags:
            # what was stored under the earlier ones is to be found until it is replaced
            most = max(len(note.tags), _MOST_TAGS)
            kept = tuple(dict.fromkeys((*note.tags, *earlier.tags)))[:most]
            self._unbear(digest, set(earlier.tags).difference(kept))
            note.tags = kept
        self._notes[digest] = note
        self._notes.move_to_end(digest)
        for tag in note.tags:
            mark = tag_digest(tag)
            self._tags[mark] = tag
            self._bearers.setdefault(mark, set()).add(digest)

    def _forget(self, digest: bytes, note: _Note) -> None:
        if self._notes.get(digest) is note:  # else it was noted anew meanwhile
            self._unbear(digest, note.tags)
            del self._notes[digest]

    def _unbear(self, digest: bytes, tags: Iterable[str]) -> None:
        for tag in tags:
            mark = tag_digest(tag)
            bearers = self._bearers.get(mark, set())
            bearers.discard(digest)
            if not bearers:
                self._bearers.pop(mark, None)
                self._tags.pop(mark, None)
