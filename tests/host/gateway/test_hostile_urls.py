"""Addresses that somebody who may store one might store. None leads anywhere but to the public internet."""

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from imperal_host.errors import EgressBlockedError, InvalidError, UnavailableError
from imperal_host.gateway.addresses import Address, AddressGuard
from imperal_host.gateway.binding import BindingDraft, checked
from imperal_host.gateway.egress import Egress, Limits
from imperal_host.gateway.names import by_the_system
from imperal_host.gateway.providers.vendors import BUILT_IN
from tests.host.gateway.test_egress import Unreached, send

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "hostile_urls.json").read_text())
VENDORS = {vendor.name: vendor for vendor in BUILT_IN}
INSIDE = ("127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "fd00:ec2::254")


async def inside(host: str, port: int) -> list[Address]:
    """What the system makes of a number; and every name leads inside, by a public answer and a private one."""
    try:
        return by_the_system(host.strip("[]")) if _is_number(host) else [ip_address("8.8.8.8"), ip_address("10.0.0.1")]
    except OSError:
        return []


def _is_number(host: str) -> bool:
    return host[-1:] in "0123456789abcdefABCDEF.]" and all(c in "0123456789abcdefxABCDEFX.:[]" for c in host)


def test_there_are_enough_of_them() -> None:
    assert len(VECTORS) >= 150
    assert {vector["outcome"] for vector in VECTORS} == {"blocked", "invalid", "blocked or invalid"}


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{v['kind']}: {v['url']!r:.60}" for v in VECTORS])
async def test_none_gets_through(vector: dict[str, str]) -> None:
    """Stored or not: if it can be stored, nothing is sent there."""
    draft = BindingDraft("openai_compatible", "m", vector["url"], api_key="")
    guard = AddressGuard()
    try:
        checked(draft, VENDORS, guard, None)
    except InvalidError as error:
        assert {problem.field for problem in error.problems} == {"base_url"}  # noqa: PT017
        return
    assert vector["outcome"] != "invalid", "it could be stored"
    egress = Egress(Unreached(), guard, Limits(5, 5, 5, 1_000), resolver=inside)
    with pytest.raises((EgressBlockedError, UnavailableError)) as refusal:
        await send(egress, vector["url"])
    assert isinstance(refusal.value, EgressBlockedError) or "does not resolve" in str(refusal.value)


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_with_one_answer_inside_is_blocked_whatever_else_it_answers(address: str) -> None:
    async def two_faced(host: str, port: int) -> list[Address]:
        return [ip_address("8.8.8.8"), ip_address(address)]

    egress = Egress(Unreached(), AddressGuard(), Limits(5, 5, 5, 1_000), resolver=two_faced)
    with pytest.raises(EgressBlockedError):
        await send(egress, "https://llm.example.org/v1")
