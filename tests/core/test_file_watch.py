"""When a watched file is read again."""

from iris_exporter.core.file_watch import RETRY_LOOKS, FileWatch


def test_what_has_not_changed_is_not_read() -> None:
    watch = FileWatch("a")
    assert not any(watch.look("a") for _ in range(100))


def test_a_change_is_read_when_two_looks_agree() -> None:
    """A file that is being written is another one at each look."""
    watch = FileWatch("a")
    assert [watch.look(mark) for mark in ("b", "c", "d", "d")] == [False, False, False, True]
    watch.loaded("d", accepted=True)
    assert not watch.look("d")


def test_a_file_that_is_being_replaced_is_not_missed() -> None:
    """It is away for a moment, and then the same or another one; what stays away is read, and refused."""
    watch = FileWatch("a")
    assert [watch.look(mark) for mark in (None, "a", "a", None, "b", "b")] == [False] * 5 + [True]
    watch.loaded("b", accepted=True)
    assert [watch.look(None), watch.look(None)] == [False, True]


def test_a_refused_content_is_tried_again_at_times() -> None:
    """What it names may arrive after it; and the content before it is a change again, though it is in force."""
    watch = FileWatch("a")
    assert [watch.look("bad"), watch.look("bad")] == [False, True]
    watch.loaded("bad", accepted=False)
    assert [watch.look("bad") for _ in range(RETRY_LOOKS)] == [False] * (RETRY_LOOKS - 1) + [True]
    watch.loaded("bad", accepted=False)
    assert [watch.look("a"), watch.look("a")] == [False, True]


def test_what_somebody_else_has_read_is_not_read_again() -> None:
    """A reload on request comes first."""
    watch = FileWatch("a")
    assert not watch.look("b")
    watch.loaded("b", accepted=True)
    assert not watch.look("b")
