"""The only way out, and the only place where a key meets a request."""

import asyncio
import json
import socket
from ipaddress import ip_address
from typing import Protocol

import httpx

from imperal_host.errors import EgressBlockedError, MalformedError, UnansweredError, UnavailableError
from imperal_host.gateway.addresses import Address, AddressGuard
from imperal_host.gateway.providers.base import Reply
from imperal_host.vault.secret import Secret

REDACTED = b"[redacted]"
_REDACTED_CHARACTERS_MIN = 8  # below this it is a placeholder ("ollama", "x"), and a word of every answer

_GO_ESCAPES = str.maketrans({"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"})  # encoding/json escapes these too


class Resolver(Protocol):
    async def __call__(self, host: str, port: int) -> list[Address]:
        """All addresses of a name, preferred first. Raises ``OSError``."""
        ...


async def system_resolver(host: str, port: int) -> list[Address]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(item[4][0]) for item in found]


def make_transport() -> httpx.AsyncHTTPTransport:
    """No connection is kept: the pool knows addresses only, and two names behind one address (a CDN) must
    never share a connection whose certificate was checked for the other."""
    return httpx.AsyncHTTPTransport(retries=0, limits=httpx.Limits(max_connections=256, max_keepalive_connections=0))


class Egress:
    """Bounds: ``seconds_max`` for everything from name to last byte, ``bytes_max`` for the body."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        guard: AddressGuard,
        *,
        seconds_max: float,
        bytes_max: int,
        resolver: Resolver = system_resolver,
    ) -> None:
        self._transport = transport
        self._guard = guard
        self._seconds_max = seconds_max
        self._bytes_max = bytes_max
        self._resolver = resolver

    async def send(self, request: httpx.Request, secret: Secret, header: tuple[str, str], *, supervised: bool) -> Reply:
        """Send and read the whole answer, with the key in ``header`` (name, format).

        ``supervised`` marks the host's own model server: loopback, and nothing but loopback. Raises
        ``EgressBlockedError``, ``UnavailableError`` (``UnansweredError`` once it was sent) or
        ``MalformedError``; never follows a redirect.
        """
        try:
            async with asyncio.timeout(self._seconds_max):
                addresses = await self._permitted(request.url, supervised)
                if secret:
                    name, form = header
                    request.headers[name] = form.format(secret.reveal())
                request.headers["accept-encoding"] = "identity"
                reply = await self._first_that_connects(request, addresses)
        except TimeoutError:
            raise UnansweredError(f"the model's server did not answer within {self._seconds_max:g} s") from None
        return Reply(reply.status, _without(secret, reply.body))

    async def _permitted(self, url: httpx.URL, supervised: bool) -> list[Address]:
        host, port = _host(url), url.port or (443 if url.scheme == "https" else 80)
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError):
            raise UnavailableError(f"the name {host} does not resolve") from None
        for address in addresses:
            if supervised and address.is_loopback:
                continue
            if supervised or not self._guard.permits(address):
                raise EgressBlockedError(
                    f"{host} is not at a public address; the operator may allow it with IMPERAL_PRIVATE_NETWORKS"
                )
            if url.scheme != "https" and not self._guard.is_allow_listed(address):
                raise EgressBlockedError(f"{host} is public: it is reached by https:// only")
        return addresses

    async def _first_that_connects(self, request: httpx.Request, addresses: list[Address]) -> Reply:
        """The name was resolved and judged once: the connection goes to that address, not to a second answer."""
        failure: Exception | None = None
        for address in addresses:
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                content=request.content,
                extensions={
                    "sni_hostname": _host(request.url),
                    "timeout": httpx.Timeout(self._seconds_max, connect=10.0).as_dict(),
                },
            )
            try:
                return await self._exchange(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
            except httpx.TransportError as error:
                raise UnansweredError(f"the connection to the model's server broke: {type(error).__name__}") from None
        raise UnavailableError(f"the model's server at {_host(request.url)} cannot be reached: {failure}") from None

    async def _exchange(self, request: httpx.Request) -> Reply:
        response = await self._transport.handle_async_request(request)
        try:
            if response.headers.get("content-encoding", "identity") not in ("", "identity"):
                raise MalformedError("the model's server compressed an answer that had to be plain")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._bytes_max:
                    raise MalformedError(f"the model's server answered more than {self._bytes_max:,} bytes")
        finally:
            await response.aclose()
        return Reply(response.status_code, bytes(body))


def _host(url: httpx.URL) -> str:
    """The name as it stands in the URL and its certificate. ``url.host`` would spell it out in Unicode, and the
    system would encode that by other rules (IDNA 2003) than those it came from."""
    return url.raw_host.decode("ascii")


def _without(secret: Secret, body: bytes) -> bytes:
    """An upstream that repeats the key (some do, in errors) does not give it to the extension or the log."""
    plain = secret.reveal()
    if len(plain) < _REDACTED_CHARACTERS_MIN:
        return body
    escaped = json.dumps(plain)[1:-1]
    for form in {plain, escaped, escaped.replace("/", "\\/"), escaped.translate(_GO_ESCAPES)}:
        body = body.replace(form.encode(), REDACTED)
    return body
