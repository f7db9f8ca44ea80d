"""Ports that stay free between two that use them."""

import secrets
import socket

__all__ = ("free_port", "is_free")

_PORTS = range(15_000, 32_000)
"""Below those that a machine gives away: whoever asks for any port, as each client does, gets none of these."""


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what was connected there does not matter
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A free port, chosen by chance that nobody seeds: two processes of the tests take other ones."""
    for _ in range(20):
        if is_free(port := secrets.choice(_PORTS)):
            return port
    raise RuntimeError("no free port")
