"""Networks that tasks of the daemon must not speak to: where clouds hand out credentials, above all. Pure.

An address says the same in several ways (RFC 4291 IPv4-mapped, RFC 3056 6to4, RFC 6052 NAT64); each is taken for
the IPv4 address it leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

DEFAULT = (
    "169.254.0.0/16",  # link-local, and the metadata services of most clouds
    "fe80::/10",  # link-local
    "fd00:ec2::254/128",  # metadata of AWS
    "fd20:ce::254/128",  # metadata of Google Cloud
    "100.100.100.200/32",  # metadata of Alibaba Cloud
    "192.0.0.192/32",  # metadata of Oracle Cloud
    "224.0.0.0/4",  # multicast
    "ff00::/8",  # multicast
)
_NAT64 = IPv6Network("64:ff9b::/96")


def networks(given: Iterable[str]) -> tuple[Network, ...]:
    """Networks in CIDR notation, or single addresses. Raises ValueError."""
    return tuple(ip_network(each.strip()) for each in given)


def refuses(refused: Sequence[Network], address: str) -> bool:
    """Whether an IP address, in text, is in one of the networks; what is no address is refused."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return True
    return any(each in network for each in _meant(found) for network in refused)


def _meant(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    yield address
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            yield address.ipv4_mapped
        if address.sixtofour is not None:
            yield address.sixtofour
        if address in _NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)
