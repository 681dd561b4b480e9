"""Ports for servers that go away and come back on the same one."""

import random
import socket
from pathlib import Path

_LOWEST = 15_000
_LENT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _highest() -> int:
    """The last port that the system lends to nobody.

    Above it a port that nobody listens on for a moment may become an outgoing connection's: then the server cannot come
    back, or a client that dials the port is connected to itself.
    """
    try:
        return int(_LENT.read_text().split()[0]) - 1
    except OSError:
        return 32_767


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that nothing listens on now and that no outgoing connection is given."""
    found: dict[int, socket.socket] = {}
    highest = _highest()
    try:
        while len(found) < count:
            port = random.randint(_LOWEST, highest)
            if port not in found:
                found[port] = socket.socket()
                try:
                    found[port].bind(("127.0.0.1", port))
                except OSError:
                    found.pop(port).close()
        return list(found)
    finally:
        for one in found.values():
            one.close()


def free_port() -> int:
    """See `free_ports`."""
    (port,) = free_ports(1)
    return port
