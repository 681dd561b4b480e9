"""What may stand in a label, and that different names stay different."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.labels import clean_label

UNCHANGED = {
    "plain": "plain",
    "empty": "",
    "several lines, tabs, quotes, braces": 'a\nb\t"{}\\',
    "other scripts": "é проект 项目 مشروع",
    "Persian, spelled with a joiner": "می\u200cشود",
    "an emoji of several": "\U0001f469\u200d\U0001f680\ufe0f",
    "a blank of another width": "a\u00a0b\u3000c",
    "as long as it may be": "x" * 200,
}


@pytest.mark.parametrize("raw", UNCHANGED.values(), ids=UNCHANGED)
def test_what_is_seen_stays_as_it_is(raw: str) -> None:
    assert clean_label(raw) == raw


UNSEEN = {
    "NUL": "\0", "escape": "\x1b", "carriage return": "\r", "delete": "\x7f", "next line": "\x85",
    "soft hyphen": "\xad", "right-to-left mark": "\u200f", "right-to-left override": "\u202e",
    "isolate": "\u2067", "line separator": "\u2028", "zero width blank": "\u200b", "byte order mark": "\ufeff",
    "tag": "\U000e0041", "lone surrogate": "\ud800", "other lone surrogate": "\udfff",
}  # fmt: skip


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_is_replaced_and_the_name_is_marked(character: str) -> None:
    clean = clean_label(f"pay{character}ments")
    assert re.fullmatch("pay\ufffdments~[0-9a-f]{16}", clean)
    clean.encode()


@pytest.mark.parametrize("limit", [32, 200])
def test_what_is_too_long_is_cut_and_marked(limit: int) -> None:
    clean = clean_label("é" * (limit + 1), limit)
    assert len(clean) == limit
    assert re.fullmatch("é+~[0-9a-f]{16}", clean)


def test_different_names_stay_different() -> None:
    long = "x" * 10_000
    names = [
        *UNCHANGED.values(),
        *UNSEEN.values(),
        long,
        long + "y",
        *(long + character for character in UNSEEN.values()),
    ]
    assert len({clean_label(name) for name in names}) == len(names)


@given(st.text(alphabet=st.characters(exclude_categories=[])), st.text(alphabet=st.characters(exclude_categories=[])))
def test_two_names_are_shown_alike_only_when_they_are_the_same(one: str, two: str) -> None:
    assert (clean_label(one) == clean_label(two)) is (one == two)
