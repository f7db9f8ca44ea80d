"""How the demonstration's bot reaches the service: real connections, from coroutines and from threads."""

import http.client
import json
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any, Self

from memo.errors import MissingExtra

try:
    import aiohttp
except ImportError as error:
    raise MissingExtra(
        f"memo demo: the package 'aiohttp' cannot be imported ({error}); run: pip install \"memo-toolkit[demo]\""
    ) from error

__all__ = ("AsyncClient", "Client", "ServiceFailed")

_LIMIT_S = 10.0


class ServiceFailed(Exception):
    """The service refused, or could not be reached; another attempt may succeed."""


class AsyncClient:
    """For coroutines: an aiohttp session.  To be entered in the loop that uses it.

    Args:
        url: Where the service listens.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Without a limit in all: how long to wait for an answer is for the caller to decide.
        self._session = aiohttp.ClientSession(
            self._url, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(sock_connect=_LIMIT_S)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str) -> Any:
        """The JSON at *path*.

        Raises:
            ServiceFailed: The service refused or could not be reached.
        """
        return await self._request("GET", path, None)

    async def post(self, path: str, body: object) -> Any:
        """The JSON that *path* answers to *body*; errors as for ``get()``."""
        return await self._request("POST", path, body)

    async def _request(self, method: str, path: str, body: object) -> Any:
        if self._session is None:
            raise RuntimeError(f"AsyncClient: {method} {path} before it was entered; write: async with client.")
        try:
            async with self._session.request(method, path, json=body) as response:
                if not response.ok:
                    raise ServiceFailed(f"{method} {path}: status {response.status}")
                return await response.json()
        except aiohttp.ClientError as error:
            raise ServiceFailed(f"{method} {path}: {error}") from error


class Client:
    """For threads: the standard library, a connection a request.

    Args:
        url: Where the service listens.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        # The environment may name a proxy, which would look for 127.0.0.1 on its own machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, path: str, method: str = "GET") -> bytes:
        """What the service answers.

        Raises:
            ServiceFailed: The service refused or could not be reached.
        """
        request = urllib.request.Request(f"{self._url}{path}", method=method)
        try:
            with self._opener.open(request, timeout=_LIMIT_S) as response:
                answer: bytes = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ServiceFailed(f"{method} {path}: status {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise ServiceFailed(f"{method} {path}: {error}") from error
        return answer

    def json(self, path: str, method: str = "GET") -> Any:
        """The same as an object."""
        return json.loads(self.request(path, method))
