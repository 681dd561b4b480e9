"""Cursors on disk: committed as a whole or not at all, and whatever lies there instead ends nothing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.positions import CursorState
from iris_exporter.errors import ConfigError
from iris_exporter.persistence.cursor_store import CursorRecord, CursorStore

RECORD = CursorRecord("s", "http://h/x", CursorState("e", 7, confirmed=True), ["1", "2"])


def test_what_is_committed_is_loaded(tmp_path: Path) -> None:
    store = CursorStore(tmp_path / "new" / "dir")
    assert store.load("s", "http://h/x") is None
    staged = store.stage([RECORD, CursorRecord("t", "http://h/y", CursorState(opaque="17"), [])])
    assert not (tmp_path / "new/dir/s.cursor").exists(), "staged is not committed"
    staged.commit()
    again = CursorStore(tmp_path / "new" / "dir")
    assert again.load("s", "http://h/x") == RECORD
    assert again.load("t", "http://h/y") == CursorRecord("t", "http://h/y", CursorState(opaque="17"), [])


def test_what_is_discarded_or_left_staged_by_a_crash_is_gone(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    store.stage([RECORD]).commit()
    store.stage([CursorRecord("s", "http://h/x", CursorState("e", 8), [])]).discard()
    store.stage([CursorRecord("s", "http://h/x", CursorState("e", 9), [])])
    assert CursorStore(tmp_path).load("s", "http://h/x") == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["s.cursor"]


def test_a_process_that_starts_leaves_alone_what_others_of_the_directory_have_staged(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    staged = store.stage([RECORD])
    other = CursorStore(tmp_path)
    assert other.load("t", "http://h/y") is None
    staged.commit()
    assert other.load("s", "http://h/x") == RECORD


def test_processes_that_start_at_once_do_not_take_the_directory_for_one_they_cannot_write(tmp_path: Path) -> None:
    def start(_: int) -> bool:
        return CursorStore(tmp_path).load("s", "http://h/x") is None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(start, range(400)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content.replace(b'"offset":7', b'"offset":8'),
        lambda content: content.replace(b"cursor 1 ", b"cursor 2 "),
        lambda content: b"\x00" * len(content),
        lambda content: b"[]",
    ],
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: "type[bytes]", capsys: pytest.CaptureFixture[str]) -> None:
    store = CursorStore(tmp_path)
    store.stage([RECORD]).commit()
    file = tmp_path / "s.cursor"
    file.write_bytes(damage(file.read_bytes()))
    assert store.load("s", "http://h/x") is None
    assert (tmp_path / "s.cursor.aside").exists()
    assert not file.exists()
    store.stage([RECORD]).commit()
    assert store.load("s", "http://h/x") == RECORD


def test_a_file_of_another_endpoint_is_set_aside(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    store.stage([RECORD]).commit()
    assert store.load("s", "http://elsewhere/x") is None
    assert (tmp_path / "s.cursor.aside").exists()


@pytest.mark.parametrize("other", ["http://h:80/y", "https://h/x", "wss://h/x"])
def test_a_change_of_transport_keeps_the_cursor_and_one_of_the_endpoint_does_not(tmp_path: Path, other: str) -> None:
    store = CursorStore(tmp_path)
    store.stage([RECORD]).commit()
    assert store.load("s", "ws://h/x") == RECORD
    assert store.load("s", other) is None


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("http://h/api/stream/events", "http://h/api/stream", True),
        ("ws://h/api/iris/ws", "http://h/api/stream/overview", True),
        ("http://h/p/api/overview", "wss://h/p/api/graphql", False),
        ("https://h/p/api/overview", "wss://h/p/api/graphql", True),
        ("http://h/p/api/stream", "http://h/api/stream", False),
        ("http://h/p/api/stream", "http://h/q/api/stream", False),
        ("http://h/api/stream", "http://g/api/stream", False),
        ("http://h/api/stream", "http://h/api/stream/other", False),
        ("http://h/api/stream", "http://h/api/", False),
        ("http://h/api/stream", "http://h", False),
        ("http://h/api/a/stream", "http://h/api/b/stream", False),
    ],
)
def test_all_endpoints_of_an_iris_have_one_cursor(before: str, after: str, is_same: bool, tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    record = msgspec.structs.replace(RECORD, endpoint=before)
    store.stage([record]).commit()
    assert store.load("s", after) == (record if is_same else None)


def test_a_mapping_may_mean_something_else_at_each_endpoint(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    endpoint = "http://h/api/stream"
    store.stage([msgspec.structs.replace(RECORD, endpoint=endpoint, mapping="m", fingerprint="f")]).commit()
    assert store.load("s", f"{endpoint}/events", "f") is None


def test_a_directory_that_cannot_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"state\.dir"):
        CursorStore(tmp_path / "file" / "dir")


def test_staging_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    (tmp_path / "t.cursor.next").mkdir()
    with pytest.raises(OSError, match="directory"):
        store.stage([RECORD, CursorRecord("t", "e", CursorState(), [])])
    assert not (tmp_path / "s.cursor.next").exists()


@given(content=st.binary(max_size=300))
def test_any_content_is_a_record_or_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.mktemp("state")
    (directory / "s.cursor").write_bytes(content)
    assert CursorStore(directory).load("s", "http://h/x") is None


def test_two_streams_whose_names_differ_in_capitals_have_two_files_on_every_file_system(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    names = ["s", "S", "st", "ST", "sT"]
    records = [
        CursorRecord(name, f"http://h/{number}", CursorState("e", number), []) for number, name in enumerate(names)
    ]
    store.stage(records).commit()
    assert len({path.name.lower() for path in tmp_path.iterdir()}) == len(names)
    assert (tmp_path / "s.cursor").exists(), "without capitals the name is that of earlier versions"
    again = CursorStore(tmp_path)
    assert [again.load(record.stream, record.endpoint) for record in records] == records


def test_the_file_of_an_earlier_version_is_found_and_renamed(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    record = CursorRecord("EU.one", "http://h/x", CursorState("e", 7), ["1"])
    store.stage([record]).commit()
    (written,) = tmp_path.iterdir()
    former = written.rename(tmp_path / "EU.one.cursor")
    assert CursorStore(tmp_path).load("EU.one", "http://h/x") == record
    assert list(tmp_path.iterdir()) == [written]
    written.rename(former)
    assert CursorStore(tmp_path).load("eu.one", "http://h/x") is None
    former.rename(tmp_path / "Eu.one.cursor")
    assert CursorStore(tmp_path).load("Eu.one", "http://h/x") is None, "the file says that it is another stream's"
