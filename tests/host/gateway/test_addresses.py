"""Which addresses may be reached (IANA special-purpose registries, seen through IPv4-in-IPv6 wrappings)."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.gateway.addresses import AddressGuard, endpoint_of, is_metadata_name, is_public

NOT_PUBLIC = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "RFC 1918": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1"],
    "CGNAT": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "link-local and cloud metadata": ["169.254.0.1", "169.254.169.254", "fe80::1", "fd00:ec2::254"],
    "protocol assignments": ["192.0.0.1", "192.0.0.8", "192.0.0.192", "192.0.0.170"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarking": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved and broadcast": ["240.0.0.1", "255.255.255.255", "4000::1", "5f00::1", "fe00::1"],
    "unique local and site-local": ["fc00::1", "fdff::1", "fec0::1"],
    "discard only": ["100::1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0"],
    "compatible": ["::127.0.0.1", "::10.0.0.1", "::169.254.169.254"],
    "translated (RFC 7915)": ["::ffff:0:7f00:1", "::ffff:0:a9fe:a9fe"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::", "2002:c0a8:1::"],
    "Teredo": ["2001:0:808:808::80ff:fffe", "2001:0:808:808::5601:5601"],  # the client stands inverted at the end
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::c0a8:1"],
    # Where the IPv4 address stands depends on the prefix length (RFC 6052): here 10.0.0.1 and 127.0.0.1 with a
    # public address for a tail. The whole network is for local use (RFC 8215).
    "local NAT64": ["64:ff9b:1::7f00:1", "64:ff9b:1:a00:0:100:808:808", "64:ff9b:1:7f00:0:100:808:808"],
}
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"),
    *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2606:4700:4700::1111", "2a00:1450:4001::1", "2620:fe::fe"),
    *("::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"),
]
NAMED = [(kind, address) for kind, addresses in NOT_PUBLIC.items() for address in addresses]


@pytest.mark.parametrize(("kind", "address"), NAMED)
def test_it_is_not_public(kind: str, address: str) -> None:
    assert not is_public(ip_address(address)), kind
    assert not AddressGuard().permits(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_it_is_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert AddressGuard().permits(ip_address(address))


@given(number=st.integers(0, 2**32 - 1))
def test_a_wrapping_never_makes_an_address_public(number: int) -> None:
    plain = IPv4Address(number)
    wrappings = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x2002 << 112 | number << 80),
        IPv6Address(0x2001_0000 << 96 | 0x0808_0808 << 64 | number ^ 0xFFFF_FFFF),
        IPv6Address(0x0064_FF9B << 96 | number),
    ]
    if not is_public(plain):
        assert [str(wrapped) for wrapped in wrappings if is_public(wrapped)] == []


@given(st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="fc00::/7"))
def test_a_private_address_is_reached_only_if_its_network_is_named(address: IPv4Address | IPv6Address) -> None:
    host = ip_network(address)
    assert not AddressGuard().permits(address)
    assert not AddressGuard((ip_network("192.168.0.0/16"), ip_network("fe80::/10"))).permits(address)
    assert AddressGuard((host,)).permits(address)


@pytest.mark.parametrize(
    ("network", "address", "permitted"),
    [
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8", "::1", False),
        ("127.0.0.0/8", "10.0.0.1", False),
        ("::1/128", "::1", True),
        ("::1/128", "127.0.0.1", False),
        ("::/0", "::1", True),
        ("0.0.0.0/8", "::1", False),
        ("10.1.0.0/16", "10.1.255.255", True),
        ("10.1.0.0/16", "10.2.0.0", False),
        ("10.1.0.0/16", "64:ff9b::a01:1", True),
        ("fd00::/8", "fd12:3456::1", True),
        ("fd00::/8", "fc00::1", False),
        ("64:ff9b:1::/48", "64:ff9b:1::a00:1", True),
        ("10.0.0.0/8", "64:ff9b:1::a00:1", False),
    ],
)
def test_an_allow_list_opens_what_it_names(network: str, address: str, permitted: bool) -> None:
    guard = AddressGuard((ip_network(network),))
    assert guard.permits(ip_address(address)) is permitted
    assert guard.is_allow_listed(ip_address(address)) is permitted


def test_an_allow_list_takes_nothing_away() -> None:
    guard = AddressGuard((ip_network("10.0.0.0/8"),))
    assert guard.permits(ip_address("8.8.8.8"))
    assert not guard.is_allow_listed(ip_address("8.8.8.8"))


METADATA = [
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("169.254.42.42", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "::ffff:169.254.169.254"),
    *("64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::169.254.169.254"),
]


@pytest.mark.parametrize("address", METADATA)
def test_no_allow_list_opens_a_clouds_metadata(address: str) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"), f"{address}:80", f"[{address}]:80", "name.lan:80")
    guard = AddressGuard(everything)
    for endpoint in ("", f"{address}:80", f"[{address}]:80", "name.lan:80"):
        assert not guard.permits(ip_address(address), endpoint)


@pytest.mark.parametrize(
    ("address", "host", "port", "permitted"),
    [
        ("10.0.0.5", "ollama.lan", 11434, True),
        ("10.0.0.5", "OLLAMA.lan.", 11434, True),
        ("127.0.0.1", "ollama.lan", 11434, True),
        ("10.0.0.5", "ollama.lan", 11435, False),
        ("10.0.0.5", "llama.lan", 11434, False),
        ("10.0.0.5", "x.ollama.lan", 11434, False),
        ("10.0.0.5", "10.0.0.5", 11434, False),
        ("10.0.0.6", "10.0.0.6", 80, True),
        ("::1", "[::1]", 8080, True),
    ],
)
def test_an_endpoint_opens_that_name_at_that_port(address: str, host: str, port: int, permitted: bool) -> None:
    guard = AddressGuard(("ollama.lan:11434", "10.0.0.6:80", "[::1]:8080"))
    assert guard.permits(ip_address(address), endpoint_of(host, port)) is permitted


def test_an_endpoint_that_is_in_public_is_not_allow_listed() -> None:
    """So that it goes on being reached by https:// only, whatever its name comes to mean."""
    guard = AddressGuard(("ollama.lan:11434",))
    assert guard.permits(ip_address("8.8.8.8"), "ollama.lan:11434")
    assert guard.allowed_by(ip_address("8.8.8.8"), "ollama.lan:11434") == ""


def test_it_is_said_which_entry_opens() -> None:
    guard = AddressGuard(("ollama.lan:11434", ip_network("10.0.0.0/8")))
    assert guard.allowed_by(ip_address("10.0.0.5"), "ollama.lan:11434") == "ollama.lan:11434"
    assert guard.allowed_by(ip_address("10.0.0.5"), "other.lan:11434") == "10.0.0.0/8"


@pytest.mark.parametrize("name", ["metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"])
def test_names_of_metadata_are_known(name: str) -> None:
    assert is_metadata_name(name)
    assert not is_metadata_name(f"{name.rstrip('.')}.example.org")
