"""Passwords and the one decision about control."""

import asyncio
import base64
import threading
import time

import bcrypt
import pytest

from iris_exporter.web import auth
from iris_exporter.web.auth import BusyError, Passwords, control_refusal, credentials, is_loopback

ALICE = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
USERS = {"alice": ALICE, "php": ALICE.replace("$2b$", "$2y$")}


class Counted:
    """Stands in for the hashing and counts how often, and how many at once, it runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashes: list[str] = []
        self.most = self.running = 0
        self.lock = threading.Lock()
        self.original = auth._matches
        monkeypatch.setattr(auth, "_matches", self)

    def __call__(self, hashed: str, password: bytes) -> bool:
        with self.lock:
            self.hashes.append(hashed)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return self.original(hashed, password)
        finally:
            with self.lock:
                self.running -= 1


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [
        ("alice", b"open sesame", True),
        ("php", b"open sesame", True),
        ("alice", b"open sesame!", False),
        ("alice", b"", False),
        ("bob", b"open sesame", False),
        ("alice", b"x" * 72, False),
        ("alice", b"x" * 80, False),
        ("alice", b"open\0sesame", False),
        ("alice", "öffne dich".encode(), False),
    ],
)
async def test_a_password_is_right_or_wrong_and_never_an_error(name: str, password: bytes, right: bool) -> None:
    passwords = Passwords()
    assert await passwords.verify(USERS, name, password) is right
    assert await passwords.verify(USERS, name, password) is right
    passwords.close()


async def test_a_password_longer_than_bcrypt_looks_at_is_wrong_even_when_its_beginning_is_right() -> None:
    users = {"long": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()}
    passwords = Passwords()
    assert await passwords.verify(users, "long", b"x" * 72)
    assert not await passwords.verify(users, "long", b"x" * 73)
    passwords.close()


async def test_results_are_remembered_until_the_hash_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    passwords = Passwords()
    for _ in range(3):
        assert await passwords.verify(USERS, "alice", b"open sesame")
        assert not await passwords.verify(USERS, "alice", b"wrong")
    assert len(counted.hashes) == 2
    other = {"alice": bcrypt.hashpw(b"wrong", bcrypt.gensalt(4)).decode()}
    assert await passwords.verify(other, "alice", b"wrong")
    assert not await passwords.verify(other, "alice", b"open sesame")
    passwords.close()


async def test_results_are_bounded_and_guesses_do_not_push_out_a_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MAX_REMEMBERED", 3)
    counted = Counted(monkeypatch)
    passwords = Passwords()
    assert await passwords.verify(USERS, "alice", b"open sesame")
    for number in range(6):
        await passwords.verify(USERS, "alice", b"guess %d" % number)
    assert (len(passwords._right), len(passwords._wrong)) == (1, 3)
    before = len(counted.hashes)
    assert await passwords.verify(USERS, "alice", b"open sesame")
    assert len(counted.hashes) == before
    passwords.close()


async def test_one_at_a_time_the_same_only_once_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MAX_WAITING_PER_CLIENT", 2)  # and one that is under way
    counted = Counted(monkeypatch)
    passwords = Passwords()
    same = [asyncio.create_task(passwords.verify(USERS, "alice", b"open sesame")) for _ in range(5)]
    others = [asyncio.create_task(passwords.verify(USERS, "alice", b"guess %d" % number)) for number in range(4)]
    results = await asyncio.gather(*same, *others, return_exceptions=True)
    assert results[:5] == [True] * 5
    assert [type(result) for result in results[5:]] == [bool, bool, BusyError, BusyError]
    assert (len(counted.hashes), counted.most) == (3, 1)
    passwords.close()


async def test_a_guesser_waits_behind_himself_and_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MAX_WAITING", 8)
    counted = Counted(monkeypatch)
    passwords = Passwords()
    guesses = [
        asyncio.create_task(passwords.verify(USERS, "alice", b"guess %d" % number, client=f"192.0.2.{number % 3}"))
        for number in range(1400)
    ]
    await asyncio.sleep(0)
    assert await passwords.verify(USERS, "alice", b"open sesame", client="198.51.100.7")
    # The one under way, and at most one of each other client.
    assert len(counted.hashes) <= 6
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert {type(result) for result in results} == {bool, BusyError}
    assert (len(passwords._checks), len(passwords._line)) == (0, 0)
    passwords.close()


async def test_what_waits_ends_with_the_server() -> None:
    passwords = Passwords()
    tasks = [asyncio.create_task(passwords.verify(USERS, "alice", b"guess %d" % number)) for number in range(3)]
    await asyncio.sleep(0)
    passwords.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is False or isinstance(result, asyncio.CancelledError) for result in results)


async def test_a_client_that_leaves_does_not_take_the_result_of_another_with_it() -> None:
    passwords = Passwords()
    one = asyncio.create_task(passwords.verify(USERS, "alice", b"open sesame"))
    other = asyncio.create_task(passwords.verify(USERS, "alice", b"open sesame"))
    await asyncio.sleep(0)
    one.cancel()
    assert await other
    passwords.close()


async def test_the_loop_turns_while_a_password_is_verified() -> None:
    users = {"slow": bcrypt.hashpw(b"x", bcrypt.gensalt(10)).decode()}
    passwords = Passwords()
    verifying = asyncio.create_task(passwords.verify(users, "slow", b"y"))
    turns = 0
    while not verifying.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 100
    passwords.close()


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    users = {"cheap": ALICE, "dear": bcrypt.hashpw(b"x", bcrypt.gensalt(9)).decode()}
    counted = Counted(monkeypatch)
    passwords = Passwords()
    assert not await passwords.verify(users, "nobody", b"guess")
    assert counted.hashes[0][4:6] == "09"
    assert bcrypt.checkpw(b"guess", counted.hashes[0].encode()) is False

    # The hash is a made-up one: it has to take as long as a real one. CPU time of the same process, best of three.
    def cost(hashed: str) -> float:
        taken = []
        for _ in range(3):
            start = time.thread_time()
            bcrypt.checkpw(b"guess", hashed.encode())
            taken.append(time.thread_time() - start)
        return min(taken)

    assert 0.5 < cost(counted.hashes[0]) / cost(users["dear"]) < 2
    passwords.close()


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (basic(b"alice:open:sesame"), ("alice", b"open:sesame")),
        (basic(b":"), ("", b"")),
        (basic("älice:ö".encode()), ("älice", "ö".encode())),
        ("basic   " + base64.b64encode(b"a:b").decode(), ("a", b"b")),
        (basic(b"no colon"), None),
        (basic(b"\xff:x"), None),
        ("Basic %%%", None),
        ("Basic", None),
        ("Bearer abc", None),
        ("", None),
    ],
)
def test_credentials_are_read_or_there_are_none(header: str, expected: tuple[str, bytes] | None) -> None:
    assert credentials(header) == expected


@pytest.mark.parametrize("mode", ["auto", "always", "never"])
@pytest.mark.parametrize("on_loopback", [True, False])
@pytest.mark.parametrize("authenticated", [True, False])
def test_control_is_for_the_machine_itself_and_for_those_who_say_who_they_are(
    mode: str, on_loopback: bool, authenticated: bool
) -> None:
    refusal = control_refusal(mode, on_loopback=on_loopback, authenticated=authenticated, host="127.0.0.1:14747")
    allowed = mode == "always" or (mode == "auto" and (on_loopback or authenticated))
    assert (refusal is None) is allowed
    assert refusal is None or "--web.enable-control" in refusal


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("localhost:14747", True),
        ("app.localhost", True),
        ("127.0.0.1:14747", True),
        ("[::1]:14747", True),
        ("attacker.example:14747", False),
        ("localhost.attacker.example", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_a_foreign_name_for_a_loopback_address_is_refused(host: str, allowed: bool) -> None:
    """A page under a name that was made to point here counts as our own for a browser."""
    assert (control_refusal("auto", on_loopback=True, authenticated=False, host=host) is None) is allowed
    assert control_refusal("auto", on_loopback=True, authenticated=True, host=host) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("fe80::1%eth0", False), ("", False)],
)  # fmt: skip
def test_loopback_addresses_are_recognised(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
