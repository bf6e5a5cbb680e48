"""Who is asking: a bearer token becomes a principal, here and nowhere else."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from imperal_host.api.rooms import Rooms
from imperal_host.errors import ForbiddenError, UnauthenticatedError
from imperal_host.identity import Principal

Endpoint = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, Rooms, Principal], Awaitable[Response]]
PublicHandler = Callable[[Request, Rooms], Awaitable[Response]]


class Doors:
    """Turns handlers into endpoints that know who asks."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def anybody(self, handler: PublicHandler) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await handler(request, self._rooms)

        return endpoint

    def user(self, handler: Handler) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await handler(request, self._rooms, await self._principal(request))

        return endpoint

    def admin(self, handler: Handler) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            principal = await self._principal(request)
            if not principal.is_admin:
                raise ForbiddenError("this needs an admin's token")
            return await handler(request, self._rooms, principal)

        return endpoint

    async def _principal(self, request: Request) -> Principal:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthenticatedError("send a token: 'Authorization: Bearer imp_...'")
        return await self._rooms.tokens.principal(token.strip())
