"""What lies on the server around a value, and that nothing else is taken for it."""

import random

import pytest

from memo.shared._envelope import Opened, Seal

PLACE, KEY, VALUE = b"p:1:{f/00}", b'["alice"]', b'{"a": 1}\nand a tail \x00\xff'
UNDER = b"0123456789abcdef,fedcba9876543210"


def stored(seal: Seal, *, under: bytes = UNDER, place: bytes = PLACE, key: bytes = KEY, value: bytes = VALUE) -> bytes:
    """As it lies on the server: the script puts the generations in front."""
    return under + seal.closed(place, under, 9_000, 3_000, key, value)


SEALS = {
    "unsigned": Seal(),
    "signed": Seal(b"a secret that nobody guesses"),
    "long secret": Seal(b"x" * 1000),
}


@pytest.fixture(params=SEALS)
def seal(request: pytest.FixtureRequest) -> Seal:
    return SEALS[request.param]


@pytest.mark.parametrize(("key", "value"), [(KEY, VALUE), (b"", b""), (b"k" * 70_000, b"\n \n")])
def test_what_was_closed_is_opened(seal: Seal, key: bytes, value: bytes) -> None:
    """Any key and value come back, with the life and the stale window beside them."""
    data = stored(seal, key=key, value=value)
    assert seal.opened(PLACE, key, data) == Opened(value, 9_000, 3_000)


def test_the_line_is_what_scripts_read(seal: Seal) -> None:
    """In front stand the generations, life and window in milliseconds, and the format, as plain text."""
    assert stored(seal).startswith(UNDER + b" 9000 3000 m1\n")


def test_every_altered_byte_is_noticed(seal: Seal) -> None:
    """A value with any one byte changed is none, and neither is one that was cut short or made longer."""
    data = stored(seal)
    first = 0 if seal.is_signed else len(UNDER)  # unsigned, the generations are the server's own business
    for at in range(first, len(data)):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert seal.opened(PLACE, KEY, altered) is None, f"byte {at}"
        assert seal.opened(PLACE, KEY, data[:at]) is None, f"cut at {at}"
    assert seal.opened(PLACE, KEY, data + b"x") is None


def test_a_value_belongs_to_its_place_and_key(seal: Seal) -> None:
    """Copied to the place of another key it is none, nor is it where another key has the same digest."""
    data = stored(seal)
    assert seal.opened(PLACE + b"1", KEY, data) is None
    assert seal.opened(PLACE, b'["alicf"]', data) is None
    assert seal.opened(PLACE, KEY[:-1], data) is None


def test_rubbish_is_no_value(seal: Seal) -> None:
    """Whatever bytes there are, nothing is raised, and nothing found."""
    rng = random.Random(7)
    rubbish = [b"", b" ", b"\n", b" \n", b"g 1 1 m1\n", b"g 1 1 m1\n" + b"x" * 40, b"g 1 2 3 4 m1\n" + b"x" * 40]
    rubbish += [
        b"g %b 1 m1\n" % number + b"x" * 40 for number in (b"-1", b"1e3", b"9" * 5000, "²".encode(), b"+1", b"")
    ]
    rubbish += [rng.randbytes(rng.randrange(200)) for _ in range(500)]
    assert [data for data in rubbish if seal.opened(PLACE, KEY, data) is not None] == []


def test_only_who_has_the_secret_signs() -> None:
    """What was made without the secret, with another one, or for other generations is none; so is a signed one, read
    by who has no secret."""
    signed = SEALS["signed"]
    for other in (SEALS["unsigned"], Seal(b"another secret"), SEALS["long secret"]):
        assert signed.opened(PLACE, KEY, stored(other)) is None
        assert other.opened(PLACE, KEY, stored(signed)) is None
    moved = b"1123456789abcdef" + stored(signed)[16:]
    assert signed.opened(PLACE, KEY, moved) is None


def test_a_secret_is_exchanged_without_a_miss() -> None:
    """Of several secrets the first signs, and each opens: new ones are read before anybody signs with them."""
    old, new = b"the old secret", b"the new secret"
    before, between, after = Seal(old), Seal([old, new]), Seal((new, old))
    for writer, readers in ((before, (between, after)), (between, (before, after)), (after, (between, Seal(new)))):
        assert all(reader.opened(PLACE, KEY, stored(writer)) is not None for reader in readers)
    assert before.opened(PLACE, KEY, stored(after)) is None


@pytest.mark.parametrize("secret", ["text", [b"a", "b"], 7, {b"a"}, bytearray(b"x")])
def test_a_secret_is_bytes(secret: object) -> None:
    """Anything else is refused, with the remedy and without the secret."""
    with pytest.raises(TypeError, match=r"secret=.*of type.*os.environb") as caught:
        Seal(secret)  # type: ignore[arg-type]
    assert "text" not in str(caught.value).replace("of type", "")


@pytest.mark.parametrize("secret", [b"", [], [b"good", b""]])
def test_a_secret_is_not_empty(secret: bytes | list[bytes]) -> None:
    """Neither a secret nor a sequence of them."""
    with pytest.raises(ValueError, match="nobody can guess"):
        Seal(secret)
