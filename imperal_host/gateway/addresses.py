"""Which addresses may be reached. Pure: names are resolved in egress, every resolved address is judged here."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
# Special-purpose in IANA's registries, and taken for public by one Python or another. In the local-use NAT64
# network (RFC 8215) the place of the IPv4 address depends on the prefix (RFC 6052): it is not looked into.
_NOT_PUBLIC = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),  # relays of 6to4, withdrawn by RFC 7526
    IPv4Network("168.63.129.16/32"),  # Azure's platform address: public by number, the machine's own by nature
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("100::/64"),
    IPv6Network("3fff::/20"),
    IPv6Network("5f00::/16"),
    IPv6Network("fec0::/10"),
)

# What tells whoever asks from inside who the machine is, and gives it credentials. Never reached: an allow-list that is
# wide enough to hold them (a VPN's 100.64.0.0/10 holds Alibaba's) did not mean them.
_METADATA = (
    IPv4Network("169.254.169.0/24"),  # AWS, Azure, Google, Oracle, DigitalOcean, OpenStack and others
    IPv4Network("169.254.170.0/24"),  # AWS, of containers and pods
    IPv4Network("169.254.42.42/32"),  # Scaleway
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv4Network("168.63.129.16/32"),  # Azure
    IPv6Network("fd00:ec2::/32"),  # AWS
    IPv6Network("fd20:ce::254/128"),  # Google
    IPv6Network("fd00:42::42/128"),  # Scaleway
)
_METADATA_NAMES = frozenset(
    {
        *("metadata", "metadata.google.internal", "metadata.goog", "metadata.azure.internal", "metadata.azure.com"),
        *("instance-data", "instance-data.ec2.internal", "metadata.oraclecloud.com", "metadata.tencentyun.com"),
        *("metadata.platformequinix.com", "metadata.packet.net", "metadata.ec2.internal"),
    }
)


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Public addresses, and the private ones that the operator named: networks, and endpoints (``host:port``)."""

    private_networks: tuple[IPv4Network | IPv6Network | str, ...] = ()

    @property
    def any_private(self) -> bool:
        return bool(self.private_networks)

    def permits(self, address: Address, endpoint: str = "") -> bool:
        return is_public(address) or self.is_allow_listed(address, endpoint)

    def is_allow_listed(self, address: Address, endpoint: str = "") -> bool:
        return bool(self.allowed_by(address, endpoint))

    def allowed_by(self, address: Address, endpoint: str = "") -> str:
        """The operator's entry that admits this address, or nothing. ``endpoint`` is what ``endpoint_of`` says; one
        that is named may be at any private address, and is not thereby reached in clear text at a public one."""
        plain = _unwrapped(address)
        for entry in self.private_networks:
            if isinstance(entry, str):
                named = entry == endpoint and not is_public(address)
            else:
                named = plain.version == entry.version and plain in entry
            if named:
                return "" if _in_any(plain, _METADATA) else str(entry)
        return ""


def endpoint_of(host: str, port: int) -> str:
    """As an operator names one: ``ollama.lan:11434``, ``[::1]:8080``."""
    return f"{host.lower().rstrip('.')}:{port}"


def is_metadata_name(host: str) -> bool:
    return host.lower().rstrip(".") in _METADATA_NAMES


@lru_cache(4_096)
def is_public(address: Address) -> bool:
    """Globally reachable unicast (IANA special-purpose registries), seen through IPv4-in-IPv6 wrappings."""
    plain = _unwrapped(address)
    if plain.is_multicast or plain.is_reserved or plain.is_unspecified or _in_any(plain, _NOT_PUBLIC):
        return False
    return plain.is_global


def _in_any(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside a mapped, 6to4, Teredo or NAT64 address: what a packet would reach."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.is_loopback or address.is_unspecified:
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
