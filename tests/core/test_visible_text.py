"""Text that may be shown on a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.core.visible_text import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand  blanks ", "two lines and blanks"),
        ("\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),
        ("\x9b31mred", "\ufffd31mred"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("right\u202eleft", "right\ufffdleft"),
        ("a\ud800b", "a\ufffdb"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("日本 👩\u200d🔬", "日本 👩\u200d🔬"),
        ("x" * 30, "x" * 21 + "…"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text, 22) == shown


@given(st.text(st.characters(codec=None), max_size=60))
def test_nothing_in_it_steers_a_terminal(text: str) -> None:
    shown = one_line(text, 40)
    assert len(shown) <= 40
    assert not [each for each in shown if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]
    assert one_line(shown, 40) == shown
