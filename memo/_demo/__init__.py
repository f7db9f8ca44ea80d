"""The demonstration behind ``python -m memo demo``: a small service on loopback, and a bot that uses it."""

__all__: tuple[str, ...] = ()
