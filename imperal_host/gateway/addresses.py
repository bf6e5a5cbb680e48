"""Which addresses may be reached. Pure: names are resolved in egress, every resolved address is judged here."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


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
        plain = _unwrapped(address)
        return any(plain.version == network.version and plain in network for network in self.private_networks)


def is_public(address: Address) -> bool:
    """Globally reachable unicast (IANA special-purpose registries), seen through IPv4-in-IPv6 wrappings."""
    plain = _unwrapped(address)
    if isinstance(plain, IPv6Address) and (plain.is_site_local or plain in IPv6Network("100::/64")):
        return False
    return plain.is_global and not (plain.is_multicast or plain.is_reserved or plain.is_unspecified)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside a mapped, 6to4, Teredo or NAT64 address: what a packet would reach."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64) or address in IPv6Network("::/96"):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
