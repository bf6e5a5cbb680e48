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


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Public addresses, and the private networks that the operator named."""

    private_networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def any_private(self) -> bool:
        return bool(self.private_networks)

    def permits(self, address: Address) -> bool:
        return is_public(address) or self.is_allow_listed(address)

    def is_allow_listed(self, address: Address) -> bool:
        return _in_any(_unwrapped(address), self.private_networks)


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
