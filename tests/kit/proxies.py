"""A proxy in front of a server, which answers, keeps back, or cuts what it is told to."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from kit.threads import LIMIT_S

__all__ = ("Proxy", "proxy")

Words = Sequence[bytes]


class Proxy:
    """Hands commands on to a server one by one, and replies back as they come; each connection has two threads.

    Args:
        port: The server's, on the loopback.
    """

    def __init__(self, port: int) -> None:
        self.server_port = port
        """Where new connections lead."""
        self.refuse: Callable[[Words], bytes] = lambda words: b""
        """What is answered in place of the server; nothing: it is asked."""
        self.refused = 0
        """How many commands were answered so."""
        self.way_there = threading.Event()
        """While it is cleared, commands are kept back."""
        self.way_back = threading.Event()
        """While it is cleared, replies are kept back."""
        self.bytes_back = 0
        """How many bytes of replies go through in a second; 0: as many as there are."""
        self.way_there.set()
        self.way_back.set()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(self._listening)
        self.port: int = self._listening.getsockname()[1]
        self._begin(self._accept)

    def url(self, scheme: str = "redis") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/0"

    def answer_all(self, answer: bytes) -> None:
        """Have it answer *answer* to every command; nothing: hand them on again."""
        self.refuse = lambda words: answer

    def close(self) -> None:
        self.way_there.set()
        self.way_back.set()
        for one in list(self._sockets):
            _shut(one)
        for thread in self._threads:
            thread.join(LIMIT_S)
        for one in self._sockets:
            one.close()

    def _begin(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                self._sockets += [client, server]
                self._begin(self._hand_on, client, server)
                self._begin(self._hand_back, client, server)

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client.makefile("rb") as reading:
            while command := _command(reading):
                written, words = command
                self.way_there.wait(LIMIT_S)
                answer = self.refuse(words)
                if answer:
                    self.refused += 1
                    client.sendall(answer)
                else:
                    server.sendall(written)
        _shut(server)

    def _hand_back(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while reply := server.recv(self.bytes_back // 100 or 65536):
                self.way_back.wait(LIMIT_S)
                if self.bytes_back:
                    threading.Event().wait(len(reply) / self.bytes_back)
                client.sendall(reply)
        _shut(client)


@contextlib.contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    """One in front of the server at *port*."""
    made = Proxy(port)
    try:
        yield made
    finally:
        made.close()


def _command(reading: BinaryIO) -> tuple[bytes, Words] | None:
    """The next command, as it was written, and its words; None at the end."""
    head = reading.readline()
    if not head:
        return None
    written, words = [head], []
    for _ in range(int(head[1:])):
        size = reading.readline()
        word = reading.read(int(size[1:]) + 2)
        written += [size, word]
        words.append(word[:-2])
    return b"".join(written), words


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
