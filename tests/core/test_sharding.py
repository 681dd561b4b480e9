"""Every stream on exactly one shard, and few of them move when the number changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.sharding import ordinal_of, owner


@given(st.sets(st.text(min_size=1, max_size=30)), st.integers(1, 30))
def test_the_union_of_the_shards_is_the_whole_and_no_stream_is_on_two(streams: set[str], total: int) -> None:
    for stream in streams:
        assert sum(owner(stream, total) == ordinal for ordinal in range(total)) == 1


@given(st.text(max_size=30), st.integers(1, 30))
def test_a_stream_moves_to_the_new_shard_or_not_at_all(stream: str, total: int) -> None:
    before, after = owner(stream, total), owner(stream, total + 1)
    assert after in (before, total)


@pytest.mark.parametrize("total", [1, 2, 8, 9])
def test_shards_are_filled_evenly_and_about_one_in_n_moves(total: int) -> None:
    streams = [f"stream-{number}" for number in range(2000)]
    filled = [sum(owner(stream, total) == ordinal for stream in streams) for ordinal in range(total)]
    assert min(filled) > 0.75 * len(streams) / total
    moved = sum(owner(stream, total) != owner(stream, total + 1) for stream in streams)
    assert 0.8 < moved * (total + 1) / len(streams) < 1.2


def test_the_answer_never_changes_between_versions() -> None:
    """Two versions of the exporter run side by side while a fleet is rolled: they must agree."""
    assert [owner(f"s{number}", 8) for number in range(12)] == [5, 4, 2, 7, 0, 5, 2, 6, 0, 7, 4, 6]


@pytest.mark.parametrize(
    ("name", "ordinal"),
    [
        ("iris-exporter-3", 3),
        ("iris-0", 0),
        ("a-b-12.iris.ns.svc.cluster.local", 12),
        ("iris", None),
        ("iris-x", None),
        ("laptop3", None),
        ("iris-exporter-7d9f8b6c5-x2x4z", None),
        ("", None),
    ],
)
def test_the_ordinal_of_a_pod(name: str, ordinal: int | None) -> None:
    assert ordinal_of(name) == ordinal
