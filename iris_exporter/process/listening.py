"""Sockets to listen on, for what an operator calls an address."""

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack

from iris_exporter.logs import get_logger
from iris_exporter.process.blocking import NAMES

_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""The machine lacks this address or its whole family: `localhost` is `::1` too where IPv6 is switched off."""

_log = get_logger("web")


async def bound_sockets(host: str | None, port: int) -> list[socket.socket]:
    """Bind a socket to each address of this machine that `host` stands for; the caller listens and closes.

    Args:
        host: A name or an address; None is every interface, by IPv4 and IPv6.
        port: The same for all addresses; 0 is one that is free.

    Raises:
        OSError: The name is not known, an address is in use or not permitted, or this machine has none of them.
    """
    found = await NAMES.run(
        lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE), host
    )
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        missing: list[OSError] = []
        for family, address in addresses:
            try:
                made = stack.enter_context(_bind(family, address, sockets))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing.append(error)
                _log.info("web.address_left_out", address=str(address[0]), error=error)
            else:
                sockets.append(made)
        if not sockets:
            raise missing[0]
        stack.pop_all()
    return sockets


def _bind(family: int, address: Sequence[object], before: Sequence[socket.socket]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Or it would take the IPv4 address too, which has a socket of its own.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        port = before[0].getsockname()[1] if before else address[1]
        made.bind((address[0], port, *address[2:]))
    except BaseException:
        made.close()
        raise
    return made
