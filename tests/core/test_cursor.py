"""The cursor: where a source has been read to, whatever order live messages and replays come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.cursor import Cursor
from iris_exporter.core.positions import CursorState, Outcome, Position, parse_position


def at(offset: int, epoch: str = "e", *, confirmed: bool = True) -> Cursor:
    return Cursor(CursorState(epoch, offset, confirmed))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e-1", Position("e", 1)),
        ("9f31c2-1042", Position("9f31c2", 1042)),
        ("a-b-3", Position("a-b", 3)),
        ("e-007", Position("e", 7)),
        ("-1", None),
        ("e-", None),
        ("17", None),
        ("", None),
        ("e-1.5", None),
        ("e-\u00b2", None),
        ("e-" + "9" * 19, None),
    ],
)
def test_a_position_is_an_epoch_and_digits(text: str, expected: Position | None) -> None:
    assert parse_position(text) == expected


def test_a_fresh_cursor_has_nothing_to_go_on_from() -> None:
    assert Cursor().resume_from == ""


def test_live_messages_move_the_cursor_and_a_jump_is_a_gap() -> None:
    cursor = at(10)
    assert cursor.live("e-11", 1) == 0
    assert cursor.live("e-14", 3) == 0
    assert cursor.live("e-14", 1) == 0, "a repetition moves nothing"
    assert cursor.resume_from == "e-14"
    assert cursor.live("e-20", 1) == 5
    assert cursor.resume_from == "e-14", "a crash now must ask for what is missing"


def test_a_gap_is_filled_by_pages_while_live_messages_go_on() -> None:
    cursor = at(10)
    assert (cursor.has_gap, cursor.gap_after) == (False, None)
    assert cursor.live("e-20", 2) == 8
    assert cursor.gap_after == "e-10"
    assert cursor.live("e-21", 1) == 0
    cursor.page("e-15", 0)
    assert cursor.gap_after == "e-15"
    assert cursor.live("e-25", 1) == 3, "another one"
    cursor.page("e-24", 0)
    assert (cursor.has_gap, cursor.resume_from) == (False, "e-25")
    assert cursor.abandon() == 0


def test_a_gap_in_a_numbering_that_began_after_the_connection() -> None:
    cursor = Cursor()
    cursor.document("e-2", 2, polling=False)
    assert cursor.live("e-9", 1) == 6
    assert cursor.abandon() == 6
    assert cursor.resume_from == "e-9"


def test_what_cannot_be_had_is_counted_and_left_behind() -> None:
    cursor = at(10)
    cursor.live("e-20", 2)
    cursor.page("e-13", 0)
    assert cursor.abandon() == 5
    assert (cursor.has_gap, cursor.resume_from) == (False, "e-20")
    assert cursor.live("e-21", 1) == 0


def test_a_gap_that_a_reconnect_interrupts_is_part_of_its_resume() -> None:
    cursor = at(10)
    cursor.live("e-20", 1)
    cursor.begin(asked=True)
    assert (cursor.has_gap, cursor.resume_from) == (False, "e-10")


def test_a_page_from_another_history_ends_the_gap() -> None:
    cursor = at(10)
    cursor.live("e-20", 1)
    cursor.page("f-3", 0)
    assert (cursor.has_gap, cursor.resume_from) == (False, "f-3")


def test_a_message_may_carry_more_than_what_is_new() -> None:
    """The first update of a connection carries events from before it."""
    cursor = at(10)
    assert cursor.live("e-15", 100) == 0
    assert cursor.resume_from == "e-15"


def test_ids_that_look_like_positions_make_no_gaps_until_the_source_confirms_them() -> None:
    cursor = Cursor()
    assert cursor.live("order-20251101", 1) == 0
    assert cursor.live("order-20251205", 1) == 0
    assert cursor.document("order-20251205", 0, polling=False) == 0
    assert cursor.live("order-20251207", 1) == 1


def test_other_ids_are_sent_back() -> None:
    cursor = Cursor()
    assert cursor.live("17", 1) == 0
    cursor.note_id("18")
    assert cursor.resume_from == "18"
    cursor.note_id("")
    assert cursor.resume_from == "", "an empty id resets"
    known = at(3)
    known.note_id("18")
    assert known.resume_from == "e-3"


def test_the_cursor_follows_the_replay_and_not_the_live_messages_before_it() -> None:
    cursor = at(10)
    cursor.begin(asked=True)
    assert cursor.live("e-21", 1) == 0
    assert cursor.live("e-22", 1) == 0
    assert cursor.resume_from == "e-10"
    assert cursor.answered(Outcome.FULL, 10, 0, "e", "e-20") == 0
    for offset in range(11, 20):
        cursor.replayed(f"e-{offset}")
        assert cursor.resume_from == f"e-{offset}"
    assert cursor.live("e-23", 1) == 0
    cursor.replayed("e-20")
    assert cursor.resume_from == "e-23"
    assert cursor.live("e-24", 1) == 0


def test_live_messages_that_jump_during_a_replay_are_a_gap() -> None:
    cursor = at(10)
    cursor.begin(asked=True)
    cursor.live("e-21", 1)
    assert cursor.live("e-25", 1) == 3
    assert cursor.gap_after is None, "the replay comes first"
    cursor.answered(Outcome.FULL, 10, 0, "e", "e-20")
    cursor.replayed("e-20")
    assert cursor.gap_after == "e-21", "events that came live after the replay are handled"
    cursor.page("e-25", 0)
    assert (cursor.has_gap, cursor.resume_from) == (False, "e-25")


def test_nothing_to_replay() -> None:
    cursor = at(10)
    cursor.begin(asked=True)
    cursor.live("e-11", 1)
    cursor.answered(Outcome.FULL, 0, 0, "e", "e-10")
    assert cursor.resume_from == "e-11"


def test_what_the_source_has_lost_is_a_gap() -> None:
    cursor = at(10)
    cursor.begin(asked=True)
    assert cursor.answered(Outcome.PARTIAL, 5, 85, "e", "e-100") == 85
    for offset in range(96, 101):
        cursor.replayed(f"e-{offset}")
    assert cursor.live("e-101", 1) == 0
    assert cursor.resume_from == "e-101"


def test_what_was_counted_already_is_not_lost_as_well() -> None:
    """A snapshot brings 151 to 200, the link is lost before the answer, and the next answer says that 400 are lost."""
    cursor = at(100)
    cursor.begin(asked=True)
    cursor.document("e-200", 50, polling=False)
    cursor = Cursor(cursor.state)  # and the process is another one by then
    cursor.begin(asked=True)
    assert cursor.answered(Outcome.PARTIAL, 500, 400, "e", "e-1000") == 350
    assert cursor.resume_from == "e-500", "an answer that comes once more must not tell of the same loss"
    cursor.begin(asked=True)
    assert cursor.answered(Outcome.PARTIAL, 400, 100, "e", "e-1000") == 100


def test_what_a_page_misses_and_what_is_abandoned_leaves_out_what_was_counted() -> None:
    cursor = at(100)
    cursor.begin(asked=False)
    cursor.document("e-200", 50, polling=False)
    cursor.live("e-301", 1)
    assert cursor.gap_after == "e-100"
    assert cursor.page("e-180", 70) == 50
    assert cursor.gap_after == "e-200"
    assert cursor.abandon() == 100
    assert (cursor.has_gap, cursor.resume_from) == (False, "e-301")


def test_a_polled_document_after_a_link_that_ended_before_its_answer_can_be_completed() -> None:
    cursor = at(100)
    cursor.begin(asked=True)
    assert cursor.document("e-200", 50, polling=True) == 50
    assert cursor.gap_after == "e-100", "the answer will never come"


def test_a_restarted_source_replays_what_it_has_in_its_new_numbering() -> None:
    cursor = at(1000)
    cursor.begin(asked=True)
    assert cursor.live("f-4", 1) == 0
    assert cursor.resume_from == "e-1000", "a crash now must ask for the replay again"
    assert cursor.answered(Outcome.RESTARTED, 3, 0, "f", "f-3") == 0
    assert cursor.resume_from == "f-0"
    for offset in (1, 2, 3):
        cursor.replayed(f"f-{offset}")
    assert cursor.resume_from == "f-4"
    assert cursor.live("f-6", 1) == 1
    assert cursor.abandon() == 1
    assert cursor.resume_from == "f-6"


def test_a_source_that_loses_its_history_while_connected() -> None:
    cursor = at(1000)
    assert cursor.live("f-4", 1) == 0
    assert cursor.live("f-9", 1) == 0, "not confirmed yet"
    assert cursor.resume_from == "f-9"


def test_a_position_from_the_future_is_corrected() -> None:
    cursor = at(1000)
    cursor.begin(asked=True)
    cursor.answered(Outcome.NONE, 0, 0, "e", "e-20")
    assert cursor.resume_from == "e-20"


def test_a_source_that_never_answers_is_given_up_on() -> None:
    cursor = at(10)
    cursor.begin(asked=True)
    assert cursor.document("e-14", 1, polling=False) == 0
    cursor.live("e-15", 1)
    assert cursor.awaiting_answer
    assert cursor.give_up() == 3, "one of the four was in the document"
    assert cursor.gap_after == "e-10"
    cursor.page("e-15", 0)
    assert cursor.resume_from == "e-15"
    assert cursor.give_up() == 0
    other = at(10)
    other.begin(asked=True)
    other.live("f-3", 1)
    assert other.give_up() == 0
    assert other.resume_from == "f-3"


def test_a_document_beside_a_live_connection_gives_only_the_first_cursor() -> None:
    cursor = Cursor()
    assert cursor.document("e-50", 100, polling=False) == 0
    assert cursor.resume_from == "e-50"
    assert cursor.document("e-90", 0, polling=False) == 0
    assert cursor.resume_from == "e-50"


def test_a_polled_document_says_what_is_missing_between() -> None:
    cursor = at(10)
    assert cursor.document("e-40", 30, polling=True) == 0
    assert cursor.resume_from == "e-40"
    assert cursor.document("e-400", 100, polling=True) == 260
    assert cursor.resume_from == "e-40"
    cursor.page("e-300", 0)
    cursor.page("e-400", 0)
    assert cursor.resume_from == "e-400"
    assert cursor.document("f-7", 7, polling=True) == 0
    assert cursor.resume_from == "f-7"


def test_a_gap_that_could_not_be_asked_for_is_asked_for_after_the_next_document() -> None:
    cursor = at(10)
    assert cursor.document("e-200", 100, polling=True) == 90
    assert cursor.document("e-250", 50, polling=True) == 0
    assert cursor.gap_after == "e-10"
    assert cursor.document("e-400", 100, polling=True) == 50
    cursor.page("e-400", 0)
    assert (cursor.has_gap, cursor.resume_from) == (False, "e-400")
    cursor.document("e-600", 100, polling=True)
    cursor.document("e-650", 50, polling=True)
    assert cursor.abandon() == 100
    assert cursor.resume_from == "e-650"


def test_the_state_survives_a_restart() -> None:
    cursor = at(10)
    cursor.live("e-11", 1)
    again = Cursor(cursor.state)
    assert again.resume_from == "e-11"
    assert again.live("e-13", 1) == 1


@given(
    start=st.integers(0, 50),
    replay=st.integers(0, 50),
    live=st.integers(0, 50),
    early=st.integers(0, 50),
    data=st.data(),
)
def test_no_false_gap_and_no_lost_event_whatever_the_interleaving(
    start: int, replay: int, live: int, early: int, data: st.DataObject
) -> None:
    """The server replays start+1..began and goes on; a crash at any time asks for all that are not handled."""
    began = start + replay
    cursor = at(start)
    cursor.begin(asked=True)
    early = min(early, live)
    handled = set(range(1, start + 1))
    lives = list(range(began + 1, began + live + 1))
    replays = list(range(start + 1, began + 1))

    def check() -> None:
        position = parse_position(cursor.resume_from)
        assert position is not None
        assert set(range(1, position.offset + 1)) <= handled

    for offset in lives[:early]:
        handled.add(offset)
        assert cursor.live(f"e-{offset}", 1) == 0
        check()
    cursor.answered(Outcome.FULL, replay, 0, "e", f"e-{began}")
    check()
    rest = lives[early:]
    while replays or rest:
        take_replay = bool(replays) and (not rest or data.draw(st.booleans()))
        offset = (replays if take_replay else rest).pop(0)
        handled.add(offset)
        if take_replay:
            cursor.replayed(f"e-{offset}")
        else:
            assert cursor.live(f"e-{offset}", 1) == 0
        check()
    assert parse_position(cursor.resume_from) == Position("e", began + live)


def test_what_a_document_brought_of_another_numbering_is_no_gap_when_live_messages_follow_it() -> None:
    """The source has started again beside a connection that was not asked to resume."""
    cursor = Cursor(CursorState("e1", 0, confirmed=True))
    assert cursor.document("e3-2", 1, polling=False) == 0
    assert cursor.live("e3-1", 1) == 0
    assert cursor.document("e3-2", 0, polling=True) == 0
    assert cursor.abandon() == 0
