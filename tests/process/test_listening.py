"""What is listened on for a name or an address."""

import errno
import socket
from contextlib import closing
from typing import Any

import pytest

from iris_exporter.process import listening
from iris_exporter.process.listening import bound_sockets

Address = tuple[Any, ...]


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: Address) -> None:
    """Let every name stand for these addresses."""
    found = [
        (socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
        for address in addresses
    ]
    monkeypatch.setattr(listening.socket, "getaddrinfo", lambda *_, **__: found)


async def test_an_address_that_this_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `localhost` where the hosts file has `::1` and IPv6 is off; here an address of nobody stands for it."""
    answers(monkeypatch, ("2001:db8::1", 0, 0, 0), ("127.0.0.1", 0))
    (bound,) = await bound_sockets("localhost", 0)
    with closing(bound):
        assert bound.getsockname()[0] == "127.0.0.1"


async def test_a_machine_with_none_of_the_addresses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ("192.0.2.1", 0))
    with pytest.raises(OSError, match="assign") as raised:
        await bound_sockets("somewhere", 0)
    assert raised.value.errno == errno.EADDRNOTAVAIL


async def test_a_family_that_the_system_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return made(family, kind)

    answers(monkeypatch, ("::1", 0, 0, 0), ("127.0.0.1", 0))
    monkeypatch.setattr(listening.socket, "socket", without_ipv6)
    (bound,) = await bound_sockets("localhost", 0)
    bound.close()


async def test_an_address_in_use_is_an_error_although_another_one_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        answers(monkeypatch, ("127.0.0.2", taken.getsockname()[1]), ("127.0.0.1", taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            await bound_sockets("localhost", taken.getsockname()[1])


async def test_all_addresses_of_a_name_have_one_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ("127.0.0.1", 0), ("127.0.0.2", 0))
    sockets = await bound_sockets("localhost", 0)
    assert len({bound.getsockname()[1] for bound in sockets}) == 1
    assert [bound.getsockname()[0] for bound in sockets] == ["127.0.0.1", "127.0.0.2"]
    for bound in sockets:
        bound.close()
