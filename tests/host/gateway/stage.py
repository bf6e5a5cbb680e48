"""A gateway with everything real but the network: a scripted transport, and a name server that knows two names."""

import asyncio
import json
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import httpx

from imperal_host.billing.account import Account
from imperal_host.billing.price import Price, PriceTable
from imperal_host.gateway.addresses import Address, AddressGuard
from imperal_host.gateway.attempt import Attempts
from imperal_host.gateway.binding import BindingDraft
from imperal_host.gateway.circuit import Circuits
from imperal_host.gateway.egress import Egress, Limits
from imperal_host.gateway.gateway import Gateway
from imperal_host.gateway.planning import Planner
from imperal_host.gateway.providers.vendors import BUILT_IN
from imperal_host.gateway.retries import RetryPolicy
from imperal_host.gateway.store import Bindings, Layers
from imperal_host.ledger.ledger import Appender, Ledger
from imperal_host.storage.database import Database
from imperal_host.vault.keyring import FileKek
from imperal_host.vault.secret import Secret
from imperal_host.vault.store import Vault
from tests.host.conftest import SIGNER, FixedClock

OWN_KEY, PLATFORM_KEY = "sk-own-0123456789abcdefghijklmnop", "sk-platform-0123456789abcdefghij"
OWN = BindingDraft("openai", "own-model", api_key=OWN_KEY)
PLATFORM_DRAFT = BindingDraft("anthropic", "platform-model", api_key=PLATFORM_KEY)
LOCAL_MODEL = "embedded"
PRICES = PriceTable({"platform-model": Price(3, 7), LOCAL_MODEL: Price(1, 2)}, Price(150, 600))

Answer = tuple[int, bytes]


def chat(text: str = "hello", sent: int = 10, made: int = 5) -> Answer:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": sent, "completion_tokens": made}
    return 200, json.dumps({"choices": [choice], "usage": usage, "model": "m"}).encode()


def anthropic(text: str = "hello", sent: int = 10, made: int = 5) -> Answer:
    usage = {"input_tokens": sent, "output_tokens": made}
    body = {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage, "model": "m"}
    return 200, json.dumps(body).encode()


def refusal(status: int, said: str = "no") -> Answer:
    return status, json.dumps({"error": {"message": f"said: {said}"}}).encode()


class ScriptedTransport(httpx.AsyncBaseTransport):
    """Answers by its script, the last answer again and again; or hangs until it is cancelled."""

    def __init__(self) -> None:
        self.script: list[Answer] = [chat()]
        self.requests: list[httpx.Request] = []
        self.on_request: Callable[[], object] = lambda: None
        self.hangs = False
        self.reached = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.on_request()
        self.reached.set()
        if self.hangs:
            await asyncio.Event().wait()
        status, body = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return httpx.Response(status, stream=httpx.ByteStream(body))


class LocalServer:
    model = LOCAL_MODEL

    async def endpoint(self) -> tuple[str, Secret]:
        return "http://127.0.0.1:9/v1", Secret("the embedded model's key")


class Stage:
    def __init__(self, database: Database, guard: AddressGuard | None = None) -> None:
        self.clock = FixedClock()
        self.vault = Vault(database, FileKek(bytes(range(32))))
        self.vendors = {vendor.name: vendor for vendor in BUILT_IN}
        self.guard = guard or AddressGuard()
        self.bindings = Bindings(database, self.vault.view, self.vendors, self.guard, self.clock)
        self.layers = Layers(database, self.clock)
        self.ledger = Ledger(database, self.clock, SIGNER)
        self.transport: Any = ScriptedTransport()
        self.limits = Limits(10, 10, 10, 100_000)
        self.names = {"api.openai.com": "8.8.8.8", "api.anthropic.com": "1.1.1.1", "127.0.0.1": "127.0.0.1"}
        self.account: Account | None = None
        self.retries = RetryPolicy(tries_max=1)

    def gateway(self, *, budget: int | None = None, local: bool = False, ledger: Appender | None = None) -> Gateway:
        self.account = Account(self.ledger, budget)
        attempts = Attempts(
            self.vault, LocalServer() if local else None, PRICES, self.account, ledger or self.ledger, self.clock
        )
        egress = Egress(self.transport, self.guard, self.limits, resolver=self._resolve)
        return Gateway(self.planner(local=local), attempts, egress, self.retries, Circuits(), self.clock)

    def planner(self, *, local: bool = False) -> Planner:
        return Planner(self.bindings, self.layers, self.vendors, LOCAL_MODEL if local else None)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        return [ip_address(self.names[host])]

    def held(self) -> int:
        assert self.account is not None
        return self.account._held.total()

    def sent_keys(self) -> list[str]:
        """In the order of the requests, whichever header they went in."""
        headers = [request.headers for request in self.transport.requests]
        return [each.get("x-api-key") or each["authorization"].removeprefix("Bearer ") for each in headers]

    def sent_bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.transport.requests]
