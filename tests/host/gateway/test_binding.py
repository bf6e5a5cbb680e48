"""What makes a configuration acceptable. Every problem is told, by field, and the key by none of them."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.errors import InvalidError
from imperal_host.gateway.addresses import AddressGuard
from imperal_host.gateway.binding import KEY_CHARACTERS_MAX, PLATFORM_TENANT, Binding, BindingDraft, checked, owner_of
from imperal_host.gateway.providers.vendors import BUILT_IN
from imperal_host.identity import checked_name
from tests.host.conftest import principal

VENDORS = {vendor.name: vendor for vendor in BUILT_IN}
KEY = "sk-proj-0123456789abcdefghijklmnop"
PUBLIC = AddressGuard()
HOME = AddressGuard((ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")))
OPENAI = BindingDraft("openai", "gpt-4o-mini", api_key=KEY)
OWN = BindingDraft("openai_compatible", "llama", "https://llm.example.org/v1", api_key=KEY)
STORED = Binding(owner_of(principal()), 3, "openai", "gpt-4o", "https://api.openai.com/v1", "", True, "error", "sk-", 0)


def fields(draft: BindingDraft, guard: AddressGuard = PUBLIC, stored: Binding | None = None) -> list[str]:
    """The fields that have a problem."""
    try:
        checked(draft, VENDORS, guard, stored)
    except InvalidError as error:
        refusal = error
    else:
        return []
    assert all(problem.field in str(refusal) for problem in refusal.problems)
    assert KEY not in str(refusal)
    return [problem.field for problem in refusal.problems]


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        (OPENAI, []),
        (OWN, []),
        (replace(OWN, api_key=None), []),
        (replace(OWN, api_key=""), []),
        (replace(OPENAI, provider="anthropic"), []),
        (replace(OPENAI, provider="openapi"), ["provider"]),
        (replace(OWN, provider="openapi"), ["provider"]),
        (replace(OWN, provider=""), ["provider"]),
        (replace(OPENAI, model=""), ["model"]),
        (replace(OPENAI, model="m" * 257), ["model"]),
        (replace(OPENAI, model="a\nb"), ["model"]),
        (replace(OPENAI, model="a\ud800"), ["model"]),
        (replace(OPENAI, display_name="n" * 201), ["display_name"]),
        (replace(OPENAI, display_name="a\tb"), ["display_name"]),
        (replace(OPENAI, display_name="Mein Schlüssel 鍵"), []),
        (replace(OPENAI, api_key=None), ["api_key"]),
        (replace(OPENAI, api_key=""), ["api_key"]),
        (replace(OWN, base_url=""), ["base_url"]),
        (replace(OPENAI, provider="?", model="", display_name="\n", api_key="a b"), [
            "provider", "model", "display_name", "api_key",
        ]),
    ],
)  # fmt: skip
def test_every_problem_of_a_draft_is_told_by_field(draft: BindingDraft, expected: list[str]) -> None:
    assert fields(draft) == expected


@pytest.mark.parametrize("key", [KEY + "\r\nx-evil: 1", "a\nb", "a b", " a", "a\t", "schlüssel", "a\x00", "a\x7f"])
def test_a_key_that_could_leave_its_header_is_refused(key: str) -> None:
    assert fields(replace(OWN, api_key=key)) == ["api_key"]


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=80))
def test_any_printable_ascii_is_a_key(key: str) -> None:
    assert fields(replace(OWN, api_key=key)) == []


@pytest.mark.parametrize(("length", "expected"), [(KEY_CHARACTERS_MAX, []), (KEY_CHARACTERS_MAX + 1, ["api_key"])])
def test_the_length_of_a_key_is_bounded(length: int, expected: list[str]) -> None:
    assert fields(replace(OWN, api_key="k" * length)) == expected


@pytest.mark.parametrize(
    ("url", "public", "home"),
    [
        ("https://llm.example.org/v1", True, True),
        ("https://llm.example.org:8443", True, True),
        ("https://8.8.8.8/v1", True, True),
        ("https://[2606:4700:4700::1111]/", True, True),
        ("http://8.8.8.8/v1", False, False),
        ("http://llm.example.org/v1", False, True),  # a name may be private; egress judges its addresses
        ("http://127.0.0.1:11434/v1", False, True),
        ("https://127.0.0.1/", False, True),
        ("http://10.1.2.3/", False, True),
        ("http://localhost:11434", False, True),
        ("https://localhost", False, True),
        ("http://[::ffff:127.0.0.1]/", False, True),
        ("http://192.168.0.1/", False, False),
        ("https://192.168.0.1/", False, False),
        ("https://169.254.169.254/latest", False, False),
        ("https://[::1]/", False, False),
        ("https://[fd00:ec2::254]/", False, False),
        ("https://[64:ff9b::a9fe:a9fe]/", False, False),
        ("https://0.0.0.0/", False, False),
        ("https://0177.0.0.1/", False, False),
        ("https://256.256.256.256/", False, False),
        ("ftp://llm.example.org", False, False),
        ("file:///etc/passwd", False, False),
        ("llm.example.org", False, False),
        ("//llm.example.org", False, False),
        ("https://", False, False),
        ("https:///v1", False, False),
        ("https://user@llm.example.org", False, False),
        ("https://user:password@llm.example.org", False, False),
        ("https://llm.example.org/?a=b", False, False),
        ("https://llm.example.org/#x", False, False),
        ("https://llm.example.org:99999/", False, False),
        ("https://llm.example.org:0/", False, False),
        ("https://xn--.example.org/", False, False),
        ("https://straße.example.org/", True, True),
        ("https://llm.example.org/\r\nhost: evil", False, False),
        ("https://[::1", False, False),
        ("https://\ud800/", False, False),
        ("https://llm.example.org/" + "a" * 2_048, False, False),
    ],
)
def test_an_address_is_acceptable(url: str, public: bool, home: bool) -> None:
    draft = replace(OWN, base_url=url)
    assert fields(draft) == ([] if public else ["base_url"])
    assert fields(draft, HOME) == ([] if home else ["base_url"])


@given(url=st.text(max_size=40) | st.text(max_size=30).map("https://".__add__))
def test_whatever_is_typed_is_accepted_or_refused_by_its_field(url: str) -> None:
    assert fields(replace(OWN, base_url=url)) in ([], ["base_url"])


def test_the_vendors_own_address_is_stored_when_none_is_given() -> None:
    assert checked(OPENAI, VENDORS, PUBLIC, None) == "https://api.openai.com/v1"
    assert checked(OWN, VENDORS, PUBLIC, None) == OWN.base_url


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"model": "gpt-4o-mini"}, []),
        ({"is_active": False}, []),
        ({"fallback": "platform"}, []),
        ({"base_url": "https://api.openai.com/v1"}, []),
        ({"base_url": "https://evil.example.org/v1"}, ["api_key"]),
        ({"base_url": "https://api.openai.com/v2"}, ["api_key"]),
        ({"provider": "openai_compatible", "base_url": "https://api.openai.com/v1"}, ["api_key"]),
        ({"provider": "anthropic"}, ["api_key"]),
        ({"provider": "anthropic", "api_key": KEY}, []),
        ({"base_url": "https://evil.example.org/v1", "api_key": KEY}, []),
        ({"api_key": ""}, ["api_key"]),
    ],
)
def test_a_stored_key_stays_only_where_it_was_given_for(changes: dict[str, str], expected: list[str]) -> None:
    draft = replace(BindingDraft("openai", "gpt-4o"), **changes)  # type: ignore[arg-type]
    assert fields(draft, stored=STORED) == expected


def test_owners_of_two_tenants_differ_and_no_user_can_be_the_platform() -> None:
    assert owner_of(principal("acme", "ada")) != owner_of(principal("globex", "ada"))
    assert owner_of(principal("acme", "platform")).secret_name == "llm/user/platform"
    with pytest.raises(InvalidError):
        checked_name("tenant", PLATFORM_TENANT)
