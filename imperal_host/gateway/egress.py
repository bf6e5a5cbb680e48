"""The only way out, and the only place where a key meets a request."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx

from imperal_host.errors import EgressBlockedError, MalformedError, UnansweredError, UnavailableError
from imperal_host.gateway.addresses import Address, AddressGuard, endpoint_of, is_metadata_name, is_public
from imperal_host.gateway.names import Names, Resolver
from imperal_host.gateway.providers.base import Reply
from imperal_host.gateway.redaction import Redaction
from imperal_host.vault.secret import Secret

_CONNECT_SECONDS_MAX = 10.0
_END_SECONDS_MAX = 0.2
_RETRY_AFTER_SECONDS_MAX = 3_600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one exchange: seconds until the first byte of an answer, between two pieces of it, and for all of it."""

    first_byte_seconds_max: float
    idle_seconds_max: float
    seconds_max: float
    bytes_max: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request without its key, the key, and the header it belongs in (name, format). ``supervised`` marks the
    host's own model server: loopback, and nothing but loopback."""

    request: httpx.Request
    secret: Secret
    header: tuple[str, str]
    supervised: bool = False


class Incoming:
    """An answer that has begun. Its pieces are plain, bounded, and without the key. ``allowed_by`` is the operator's
    entry that its address needed, or empty."""

    def __init__(self, response: httpx.Response, limits: Limits, redaction: Redaction, *, allowed_by: str) -> None:
        self.status = response.status_code
        self.retry_after_seconds = _retry_after(response.headers.get("retry-after", ""))
        self.allowed_by = allowed_by
        self._stream = response.stream
        self._limits = limits
        self._redaction = redaction
        self._plain = _decompression(response.headers.get("content-encoding", ""))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._stream, httpx.AsyncByteStream)
        pieces = aiter(self._stream)
        left, begun = self._limits.bytes_max, False
        while (piece := await self._next(pieces)) is not None:
            begun = True
            plain = piece if self._plain is None else _inflated(self._plain, piece, left + 1)
            left -= len(plain)
            if left < 0:
                raise MalformedError(f"the model's server answered more than {self._limits.bytes_max:,} bytes")
            if shown := self._redaction(plain):
                yield shown
        if begun and self._plain is not None and not self._plain.eof:
            raise MalformedError("the model's server cut its compressed answer short", reason="cut")
        if rest := self._redaction.rest():
            yield rest

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._limits.idle_seconds_max):
                return await anext(pieces, None)
        except TimeoutError:
            why = f"the model's server stopped in the middle of its answer for {self._limits.idle_seconds_max:g} s"
            raise UnansweredError(why) from None
        except httpx.TransportError as error:
            raise _broken(error) from None

    async def run_out(self) -> None:
        """Nothing more is wanted. An end that comes at once leaves a connection that can be used again."""
        assert isinstance(self._stream, httpx.AsyncByteStream)
        with suppress(TimeoutError, httpx.TransportError):
            async with asyncio.timeout(_END_SECONDS_MAX):
                await anext(aiter(self._stream), None)

    async def read(self) -> Reply:
        return Reply(self.status, b"".join([piece async for piece in self]), self.retry_after_seconds)


class Egress:
    """``local`` limits hold for the supervised server and for what the operator allow-listed: a model at home may
    think for minutes."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        guard: AddressGuard,
        limits: Limits,
        local: Limits | None = None,
        *,
        resolver: Resolver | None = None,
    ) -> None:
        self._transport = transport
        self._guard = guard
        self._limits = limits
        self._local = local or limits
        self._resolver = resolver or Names()

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def send(self, outgoing: Outgoing) -> Reply:
        """Send, and read the whole answer. Raises as ``open``."""
        async with self.open(outgoing) as incoming:
            return await incoming.read()

    @asynccontextmanager
    async def open(self, outgoing: Outgoing) -> AsyncIterator[Incoming]:
        """Send, and give the answer once it begins. Leaving closes it at once.

        Raises ``EgressBlockedError``, ``UnavailableError`` (``UnansweredError`` once it was sent) or
        ``MalformedError``; never follows a redirect.
        """
        limits = self._limits
        try:
            async with asyncio.timeout(limits.seconds_max) as total:
                addresses, allowed_by = await self._permitted(outgoing.request.url, outgoing.supervised)
                if outgoing.supervised or allowed_by:
                    limits = self._local
                    total.reschedule(asyncio.get_running_loop().time() + limits.seconds_max)
                response = await self._begun(outgoing, addresses, limits)
                try:
                    redaction = Redaction(outgoing.secret.reveal())
                    yield Incoming(response, limits, redaction, allowed_by=allowed_by)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise UnansweredError(f"the model's server did not answer within {limits.seconds_max:g} s") from None

    async def _permitted(self, url: httpx.URL, supervised: bool) -> tuple[list[Address], str]:
        """The addresses of the name, judged: the connection goes to one of them, not to a second answer. And the
        operator's entry that admits them, if one is needed."""
        host, port = _host(url), url.port or (443 if url.scheme == "https" else 80)
        if is_metadata_name(host):
            raise EgressBlockedError(f"{host} is a cloud's metadata service, and never reached")
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise UnavailableError(f"the name {host} does not resolve")
        endpoint, allowed_by = endpoint_of(host, port), ""
        for address in addresses:
            if supervised and address.is_loopback:
                continue
            entry = self._guard.allowed_by(address, endpoint)
            if supervised or not (entry or is_public(address)):
                raise EgressBlockedError(
                    f"{host} is not at a public address; the operator may allow it with IMPERAL_PRIVATE_NETWORKS"
                )
            if url.scheme != "https" and not entry:
                raise EgressBlockedError(f"{host} is public: it is reached by https:// only")
            allowed_by = allowed_by or entry
        return addresses, allowed_by

    async def _begun(self, outgoing: Outgoing, addresses: list[Address], limits: Limits) -> httpx.Response:
        request = outgoing.request
        if outgoing.secret:
            name, form = outgoing.header
            request.headers[name] = form.format(outgoing.secret.reveal())
        request.headers["accept-encoding"] = "identity"
        request.extensions |= {
            "addresses": [str(address) for address in addresses],
            "timeout": {"connect": _CONNECT_SECONDS_MAX},
        }
        try:
            async with asyncio.timeout(limits.first_byte_seconds_max):
                return await self._transport.handle_async_request(request)
        except TimeoutError:
            why = f"the model's server did not begin to answer within {limits.first_byte_seconds_max:g} s"
            raise UnansweredError(why) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            why = f"the model's server at {_host(request.url)} cannot be reached: {error}"
            raise UnavailableError(why) from None
        except httpx.TransportError as error:
            raise _broken(error) from None


def _broken(error: httpx.TransportError) -> UnansweredError:
    return UnansweredError(f"the connection to the model's server broke: {type(error).__name__}")


def _host(url: httpx.URL) -> str:
    """The name as it stands in the URL and its certificate. ``url.host`` would spell it out in Unicode, and the
    system would encode that by other rules (IDNA 2003) than those it came from."""
    return url.raw_host.decode("ascii")


def _retry_after(header: str) -> float | None:
    """Seconds (RFC 9110, section 10.2.3). A date, which few send, is not read."""
    if not header.isascii() or not header.isdigit() or len(header) > 9:
        return None
    return min(float(header), _RETRY_AFTER_SECONDS_MAX)


def _decompression(encoding: str) -> "zlib._Decompress | None":
    """Nothing else was asked for than plain bytes; some servers send gzip all the same."""
    match encoding.lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        case _:
            raise MalformedError("the model's server compressed an answer that had to be plain")


def _inflated(plain: "zlib._Decompress", data: bytes, bytes_max: int) -> bytes:
    """At most ``bytes_max`` of it: one more than is left is too much, and known as such."""
    try:
        return plain.decompress(data, bytes_max)
    except zlib.error:
        raise MalformedError("the model's server answered something that is not gzip, and said it was") from None
