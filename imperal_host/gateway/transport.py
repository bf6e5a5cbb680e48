"""Connections, kept and used again: aiohttp under httpx's interface, because httpx's own pool slows with each one.

A request brings the addresses that its name was found at and that were judged (``extensions["addresses"]``): a new
connection goes to one of these and nowhere else. Connections are kept by name, not by address, so that two names
behind one address (a CDN) never share one whose certificate was checked for the other. No redirects, cookies,
proxies or credentials of the environment.
"""

import ssl
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import NoReturn

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

# Shorter than what common servers keep (5 s and more): the other end must not be the first to hang up.
_KEEPALIVE_SECONDS = 4.0
_SENT_BY_AIOHTTP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_judged: ContextVar[list[str]] = ContextVar("judged")


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Raises httpx's errors: ``ConnectError`` while nothing was sent, ``RemoteProtocolError`` and ``ReadError`` after.

    Times are the caller's to bound, but for the connection's (``extensions["timeout"]["connect"]``, seconds).
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        """In the event loop that uses it."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,  # isolates and their asks are bounded
                ttl_dns_cache=None,
                use_dns_cache=False,
                resolver=_Judged(),
                ssl=httpx.create_ssl_context(trust_env=False),
                keepalive_timeout=_KEEPALIVE_SECONDS,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=_SENT_BY_AIOHTTP,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _judged.set(request.extensions.get("addresses", []))
        seconds = request.extensions.get("timeout", {}).get("connect")
        headers = [(name.decode(), value.decode("latin-1")) for name, value in request.headers.raw]
        try:
            answer = await self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                data=request.content,
                headers=[(name, value) for name, value in headers if name.lower() != "content-length"],
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=seconds),
            )
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _raise(error, request)
        return httpx.Response(
            answer.status, headers=list(answer.headers.items()), stream=_Body(answer, request), request=request
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Judged(AbstractResolver):
    """Has no answer of its own."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=10 if ":" in address else 2, proto=6, flags=0)
            for address in _judged.get()
        ]

    async def close(self) -> None:
        pass


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All that is here, at each turn."""
        content = self._answer.content
        try:
            while data := await content.readany():
                yield data
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _raise(error, self._request)

    async def aclose(self) -> None:
        """A body that was not read to its end takes its connection with it."""
        if self._answer.content.at_eof():
            self._answer.release()
        else:
            self._answer.close()


def _raise(error: Exception, request: httpx.Request) -> NoReturn:
    match error:
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLError():
            raise httpx.ConnectError("its certificate is not valid for this name", request=request) from None
        case aiohttp.ClientConnectorError():
            raise httpx.ConnectError(str(error.os_error), request=request) from None
        case aiohttp.ConnectionTimeoutError():
            raise httpx.ConnectTimeout("it does not answer", request=request) from None
        case aiohttp.ClientOSError():
            raise httpx.ReadError(type(error).__name__, request=request) from None
        case _:
            raise httpx.RemoteProtocolError(type(error).__name__, request=request) from None
