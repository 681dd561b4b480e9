"""When a watched file is read again."""

from iris_exporter.core.file_watch import RETRY_CHECKS, FileWatch


def test_what_has_not_changed_is_not_read() -> None:
    watch = FileWatch("a")
    assert not any(watch.check("a") for _ in range(100))


def test_a_change_is_read_when_two_checks_agree() -> None:
    """A file that is being written is another one at each check."""
    watch = FileWatch("a")
    assert [watch.check(mark) for mark in ("b", "c", "d", "d")] == [False, False, False, True]
    watch.loaded("d", accepted=True)
    assert not watch.check("d")


def test_a_file_that_is_being_replaced_is_not_missed() -> None:
    """It is away for a moment, and then the same or another one; what stays away is read, and refused."""
    watch = FileWatch("a")
    assert [watch.check(mark) for mark in (None, "a", "a", None, "b", "b")] == [False] * 5 + [True]
    watch.loaded("b", accepted=True)
    assert [watch.check(None), watch.check(None)] == [False, True]


def test_a_refused_content_is_tried_again_at_times() -> None:
    """What it names may arrive after it; and the content before it is a change again, though it is in force."""
    watch = FileWatch("a")
    assert [watch.check("bad"), watch.check("bad")] == [False, True]
    watch.loaded("bad", accepted=False)
    assert [watch.check("bad") for _ in range(RETRY_CHECKS)] == [False] * (RETRY_CHECKS - 1) + [True]
    watch.loaded("bad", accepted=False)
    assert [watch.check("a"), watch.check("a")] == [False, True]


def test_what_somebody_else_has_read_is_not_read_again() -> None:
    """A reload on request comes first."""
    watch = FileWatch("a")
    assert not watch.check("b")
    watch.loaded("b", accepted=True)
    assert not watch.check("b")
