"""The engine's own bridge, made before it starts and removed after it stops."""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket
import subprocess

from .processes import RigError, system_environment


def _ip(*arguments: str) -> str:
    result = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, env=system_environment()
    )
    if result.returncode:
        raise RigError(f"ip {shlex.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def link_exists(name: str) -> bool:
    """Is there a network interface of this name?"""
    # Not by /sys: that shows the network of whoever mounted it.
    return name in [interface for _, interface in socket.if_nameindex()]


def _networks_in_use() -> list[ipaddress.IPv4Network]:
    """Every IPv4 network this machine has a route or an address for."""
    routes = json.loads(_ip("-4", "-json", "route", "show", "table", "all") or "[]")
    found = []
    for route in routes:
        if route["dst"] != "default":
            found.append(ipaddress.IPv4Network(route["dst"], strict=False))
    return found


def choose_subnet(key: str) -> ipaddress.IPv4Network:
    """A free 172.30.X.0/24; the rig's key chooses where the search begins.

    Raises RigError when all 256 are taken.
    """
    taken = _networks_in_use()
    first = int(key, 16)
    for step in range(256):
        subnet = ipaddress.IPv4Network(f"172.30.{(first + step) % 256}.0/24")
        if not any(subnet.overlaps(network) for network in taken):
            return subnet
    raise RigError("no 172.30.X.0/24 network is free on this machine")


def ensure_bridge(name: str, key: str) -> None:
    """Make the bridge with an address, or keep the one that an earlier engine left behind."""
    if not link_exists(name):
        subnet = choose_subnet(key)
        _ip("link", "add", name, "type", "bridge")
        _ip("address", "add", f"{subnet[1]}/24", "dev", name)
    _ip("link", "set", name, "up")


def bridge_subnet(name: str) -> ipaddress.IPv4Network | None:
    """The bridge's IPv4 network; None when there is no such bridge or it has no address."""
    if not link_exists(name):
        return None
    for link in json.loads(_ip("-4", "-json", "address", "show", "dev", name) or "[]"):
        for address in link.get("addr_info", []):
            return ipaddress.IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)
    return None


def remove_links(names: list[str]) -> None:
    """Delete interfaces; those that are gone already are not missed."""
    for name in names:
        if link_exists(name):
            _ip("link", "delete", name)
