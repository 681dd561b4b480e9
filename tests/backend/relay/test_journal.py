"""The history of a relay on disk."""

import io
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from iris_exporter import logs
from iris_exporter.backend.relay.journal import FILE, MAX_AGE_SECONDS, MORE_IDS, Journal, JournalError
from iris_exporter.errors import ConfigError

SOURCE = "http://iris"


def rows(*ids: str) -> list[tuple[str, bytes]]:
    return [(each, b'{"id":"%b"}' % each.encode()) for each in ids]


def opened(directory: Path | None, capacity: int = 100, source: str = SOURCE) -> Journal:
    return Journal.open(directory, source, capacity)


def crash(journal: Journal, directory: Path) -> None:
    """End as `kill -9` does: the files stay as they are, which SQLite would tidy up, and the lock is released."""
    files = {path: path.read_bytes() for path in (directory / FILE, directory / f"{FILE}-wal")}
    journal._connection.close()
    for path, content in files.items():
        path.write_bytes(content)
    assert journal._locks is not None
    journal._locks.close()


@pytest.fixture
def left(tmp_path: Path) -> str:
    """A history that was closed in order, with three events; its epoch."""
    journal = opened(tmp_path)
    journal.record(0, rows("a", "b", "c"), "s-3", 1.0)
    journal.close()
    return journal.epoch


def test_a_history_goes_on_where_it_was(tmp_path: Path, left: str) -> None:
    journal = opened(tmp_path)
    stored = journal.load(2.0)
    assert journal.epoch == left
    assert stored.rows[0] == (1, "a", b'{"id":"a"}')
    assert stored.cursor == "s-3"
    assert [row[:2] for row in journal.record(3, rows("c", "d"), None, 3.0)] == [(4, "d")]
    journal.close()


def test_what_was_committed_unseen_is_returned_next_time(tmp_path: Path, left: str) -> None:
    journal = opened(tmp_path)
    journal.record(3, rows("d"), None, 3.0)
    assert [row[:2] for row in journal.record(3, rows("d", "e"), None, 3.0)] == [(4, "d"), (5, "e")]
    journal.close()


def test_count_and_age_bound_it_and_ids_are_known_longer(tmp_path: Path) -> None:
    journal = opened(tmp_path, capacity=3)
    journal.record(0, rows("a", "b", "c", "d"), None, 0.0)
    assert journal.first == 2
    journal.record(4, rows("e"), None, MAX_AGE_SECONDS + 1)
    assert journal.first == 5
    stored = journal.load(MAX_AGE_SECONDS + 1)
    assert [row.event_id for row in stored.rows] == ["a", "b", "c", "d", "e"]
    assert [row.body is None for row in stored.rows] == [True, True, True, True, False]
    assert journal.record(5, rows("a", "d"), None, MAX_AGE_SECONDS + 1) == []
    many = [f"n{number}" for number in range(MORE_IDS)]
    journal.record(5, rows(*many), None, MAX_AGE_SECONDS + 1)
    assert len(journal.load(MAX_AGE_SECONDS + 1).rows) == 3 + MORE_IDS
    crash(journal, tmp_path)
    journal = opened(tmp_path, capacity=3)
    assert len(journal.load(3 * MAX_AGE_SECONDS).rows) == 3 + MORE_IDS, "all too old, and still known"
    journal.close()


def test_a_killed_relay_has_lost_nothing(tmp_path: Path, left: str) -> None:
    journal = opened(tmp_path)
    journal.record(3, rows("d"), "s-4", 3.0)
    crash(journal, tmp_path)
    journal = opened(tmp_path)
    stored = journal.load(4.0)
    assert (journal.epoch, stored.rows[-1].offset, stored.cursor) == (left, 4, "s-4")
    crash(journal, tmp_path)
    again = opened(tmp_path)
    assert again.epoch == left, "nothing was written in between"
    again.close()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _scramble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 2000] = b"\xff" * 2000
    path.write_bytes(content)


def _change(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()

    return change


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no database at all" * 500),
        _truncate,
        _scramble,
        _change('DELETE FROM events WHERE "offset" = 2'),
        _change("DROP TABLE events"),
        _change("DELETE FROM meta WHERE key = 'epoch'"),
        _change("UPDATE events SET body = '{' WHERE \"offset\" = 2"),
        _change("UPDATE events SET id = 'x' WHERE \"offset\" = 2"),
        _change('UPDATE events SET body = NULL WHERE "offset" = 3'),
        _change("PRAGMA user_version = 99"),
    ],
)
def test_a_history_that_is_lost_or_broken_begins_a_new_epoch(
    tmp_path: Path, left: str, harm: Callable[[Path], None]
) -> None:
    harm(tmp_path / FILE)
    journal = opened(tmp_path)
    assert journal.epoch != left
    assert journal.load(2.0).rows == []
    assert journal.record(0, rows("z"), None, 3.0)[0].offset == 1
    journal.close()
    again = opened(tmp_path)
    assert again.epoch == journal.epoch
    again.close()


def test_a_killed_relay_whose_log_is_gone_has_lost_events(tmp_path: Path, left: str) -> None:
    journal = opened(tmp_path)
    journal.record(3, rows("d"), None, 3.0)
    log = tmp_path / f"{FILE}-wal"
    assert log.stat().st_size > 0
    crash(journal, tmp_path)
    log.unlink()
    again = opened(tmp_path)
    assert again.epoch != left
    again.close()


def test_the_history_of_another_source_is_put_aside(tmp_path: Path, left: str) -> None:
    journal = opened(tmp_path, source="http://other")
    assert journal.epoch != left
    journal.close()
    assert (tmp_path / f"{FILE}.aside").exists()


def test_two_relays_on_one_directory_are_refused(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(ConfigError, match="another relay uses it"):
        opened(tmp_path)
    journal.close()
    opened(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--state\.dir"):
        opened(tmp_path / "file" / "below")


def test_a_disk_that_takes_nothing_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    many = rows(*(f"n{number}" for number in range(1000)))
    with pytest.raises(JournalError, match="full"):
        journal.record(0, many, "s-1", 1.0)
    journal._connection.execute("PRAGMA max_page_count = 100000")
    assert len(journal.record(0, many, "s-1", 1.0)) == 1000
    journal.close()


def test_without_a_directory_it_is_in_memory() -> None:
    journal = opened(None)
    assert journal.record(0, rows("a"), None, 1.0)[0].offset == 1
    journal.close()


def test_a_history_that_cannot_be_closed_says_so(tmp_path: Path) -> None:
    log = io.StringIO()
    logs.setup("info", "logfmt", log)
    try:
        journal = opened(tmp_path)
        journal._connection.close()
        journal.close()
        assert "event=history.not_closed" in log.getvalue()
    finally:
        logs.setup("error", "logfmt", io.StringIO())
