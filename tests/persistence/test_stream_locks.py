"""Stream locks: one process has a stream, whatever becomes of it, and file systems without locks stop nobody."""

import errno
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from iris_exporter.errors import ConfigError
from iris_exporter.persistence import stream_locks
from iris_exporter.persistence.stream_locks import StreamLocks


def test_a_stream_is_of_one_until_it_is_given_back(tmp_path: Path) -> None:
    a, b = StreamLocks(tmp_path), StreamLocks(tmp_path)
    assert a.acquire(["s", "t"]) == {"s", "t"}
    assert a.acquire(["s"]) == {"s"}, "what we have stays locks"
    assert b.acquire(["s", "t", "u"]) == {"u"}
    a.release(["s"])
    assert b.acquire(["s", "t"]) == {"s"}
    assert a.acquire(["s", "t", "u"]) == {"t"}
    a.close()
    assert b.acquire(["t"]) == {"t"}
    b.close()
    assert [path.name for path in tmp_path.iterdir()] == ["claims.lock"]


def test_a_killed_process_has_nothing_any_more(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, iris_exporter.persistence.stream_locks as c\n"
        f"print(sorted(c.StreamLocks(pathlib.Path({str(tmp_path)!r})).acquire(['s', 't'])), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with Popen([sys.executable, "-c", program], stdin=PIPE, stdout=PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "['s', 't']\n"
        locks = StreamLocks(tmp_path)
        assert locks.acquire(["s", "t"]) == set()
        other.kill()
        other.wait()
        assert locks.acquire(["s", "t"]) == {"s", "t"}
        locks.close()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_every_process_owns_everything_and_one_warning_says_so(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "no locks here")

    monkeypatch.setattr(stream_locks, "_set_lock", refuse)
    a = StreamLocks(tmp_path)
    assert a.acquire(["s", "t"]) == {"s", "t"}
    a.release(["s"])
    assert caplog.messages == ["state.no_locks"]
    a.close()


def test_an_error_of_the_file_server_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(stream_locks, "_set_lock", fail)
    a = StreamLocks(tmp_path)
    assert a.acquire(["s"]) == set()
    assert caplog.messages == ["state.claim_failed"]
    a.close()


def test_the_file_has_to_be_writable(tmp_path: Path) -> None:
    (tmp_path / "claims.lock").mkdir()
    with pytest.raises(ConfigError, match="a file to write to"):
        StreamLocks(tmp_path)


def test_names_have_bytes_of_their_own() -> None:
    offsets = {stream_locks._byte_of(f"stream-{n}") for n in range(10_000)}
    assert len(offsets) == 10_000
    assert all(0 <= offset < 2**62 for offset in offsets)
