"""Connections, kept and used again: aiohttp under httpx's interface, because httpx's own pool slows with each one.

A request brings the addresses that its name was found at and that were judged (``extensions["addresses"]``): a new
connection goes to one of these and nowhere else. Connections are kept by name *and* by these addresses: two names
behind one address (a CDN) never share one whose certificate was checked for the other, and a name that moved is
never asked at its old address. No redirects, cookies, proxies or credentials of the environment.
"""

import socket
import ssl
from collections.abc import AsyncIterator
from contextvars import ContextVar
from ipaddress import ip_address
from typing import NoReturn

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

# Shorter than what common servers keep (5 s and more): the other end must not be the first to hang up.
_KEEPALIVE_SECONDS = 4.0
_SENT_BY_AIOHTTP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_judged: ContextVar[tuple[str, ...]] = ContextVar("judged")


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Raises httpx's errors: ``ConnectError`` while nothing was sent, ``RemoteProtocolError`` and ``ReadError`` after.

    Times are the caller's to bound, but for the connection's (``extensions["timeout"]["connect"]``, seconds).
    """

    def __init__(self, trusted: ssl.SSLContext | None = None) -> None:
        self._trusted = trusted
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        """In the event loop that uses it."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,  # isolates and their asks are bounded
                ttl_dns_cache=None,
                use_dns_cache=False,
                resolver=_Judged(),
                socket_factory=_socket,
                ssl=self._trusted or httpx.create_ssl_context(trust_env=False),
                keepalive_timeout=_KEEPALIVE_SECONDS,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                request_class=_Request,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=_SENT_BY_AIOHTTP,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _judged.set(tuple(request.extensions.get("addresses", ())))
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
        if not _judged.get():
            raise OSError("a name that nobody judged")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=10 if ":" in address else 2, proto=6, flags=0)
            for address in _judged.get()
        ]

    async def close(self) -> None:
        pass


class _Request(aiohttp.ClientRequest):
    @property
    def connection_key(self) -> ConnectionKey:
        """There is no proxy: its place in the key is taken by the addresses, in whatever order they were found."""
        return super().connection_key._replace(proxy_headers_hash=hash(tuple(sorted(_judged.get()))))


def _socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """Whatever led here, a number in the URL as well: only to an address that was judged."""
    family, kind, protocol, _, where = info
    if str(ip_address(where[0])) not in _judged.get():
        raise OSError("an address that nobody judged")
    return socket.socket(family, kind, protocol)


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
        case aiohttp.InvalidURL():
            raise httpx.ConnectError("its address is not written as one", request=request) from None
        case aiohttp.ClientConnectorError():
            raise httpx.ConnectError(str(error.os_error), request=request) from None
        case aiohttp.ConnectionTimeoutError():
            raise httpx.ConnectTimeout("it does not answer", request=request) from None
        case aiohttp.ClientOSError():
            raise httpx.ReadError(type(error).__name__, request=request) from None
        case _:
            raise httpx.RemoteProtocolError(type(error).__name__, request=request) from None
