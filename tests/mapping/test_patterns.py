"""Regular expressions that no text can make slow."""

import re
import time

import pytest

from iris_exporter.mapping.patterns import MAX_SEARCHED, PatternError, read_pattern


@pytest.mark.parametrize(
    "text",
    [
        r"^([a-z_]+)\.",
        r"^([0-9.]+) ?Mbps$",
        r"([0-9.]+) ?Mbps",
        r"^(light|switch)\.",
        '"timestamp":([0-9]+)',
        r"^([^/]+)/([^/]+)/([^/]+)$",
        r"^\s*(\w+)\s*=\s*(\w+)\s*$",
        r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})",
        r"^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$",
        r"^-?[0-9]+\.?[0-9]*$",
        r"error: .*",
        r"(?i)warn|error",
        r"(?i)^[a-z]+ [A-Z]+$",
        r"^[a-z]+[A-Z]+[a-z]+$",
        r"^.*,.*$",
        r"\berror\b",
        "",
    ],
)
def test_what_people_write_is_taken(text: str) -> None:
    assert read_pattern(text).pattern == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(a+)+$", "repetition inside a repetition"),
        ("(a*)*b", "repetition inside a repetition"),
        ("(?:a?){30}a{30}", "repetition inside a repetition"),
        ("(?:(?:a{1,2})b)+", "repetition inside a repetition"),
        ("(a|aa)+$", "alternative"),
        ("([ab]|[bc]x?)*d", "alternative"),
        ("a?" * 25 + "a" * 25, "quick for any text"),
        (r".*.*.*x", "quick for any text"),
        (r".*,.*x", "quick for any text"),
        (r"^\w*\w*\w*!", "quick for any text"),
        (r"^[ab]+[bc]*[bd]*x", "quick for any text"),
        ("^" + ".{0,20}" * 6 + "x", "quick for any text"),
        ("^" + "(?:aa|[ab]a)" * 25 + "$", "quick for any text"),
        ("(?i)s*S*\u017f*!", "quick for any text"),
        ("(?i)k*K*\u212a*!", "quick for any text"),
        ("(?i)\u00e5*\u00c5*\u212b*!", "quick for any text"),
        ("(?i:[a-m]*[A-M]*)!", "quick for any text"),
        ("x(?:y(?i:a*)|z)A*a*!", "quick for any text"),
        (r"^(a+)x?\1$", "references"),
        ("(", "a regular expression"),
        ("[z-a]", "a regular expression"),
        ("a{99999999999}", "a regular expression"),
        ("(" * 400, "a regular expression"),
        ("a" * 501, "at most 500"),
    ],
)
def test_what_a_text_could_make_slow_is_refused(text: str, why: str) -> None:
    with pytest.raises(PatternError, match=re.escape(why)):
        read_pattern(text)


@pytest.mark.parametrize(
    "text", [r"^.*,.*x", r"(\w+)@", r"^[ab]+[bc]*x", "(?:aa|[ab]a)(?:aa|[ab]a)(?:aa|[ab]a)x", r".*x"]
)
def test_what_is_taken_ends_soon_for_its_worst_text(text: str) -> None:
    """The bound is of tries, and this is far above what they take on a slow machine."""
    pattern = read_pattern(text)
    began = time.process_time()
    for character in "ab,1@ ":
        pattern.search(character * MAX_SEARCHED)
    assert time.process_time() - began < 5


def test_what_is_the_same_without_case_is_known() -> None:
    """Of each pair of characters that `re` takes for the same, the bound does, too."""
    characters = [chr(code) for code in (*range(0x250), 0x3BC, 0x1E9E, 0x212A, 0x212B)]
    pairs = [(a, b) for a in characters[:256] for b in characters if a != b and re.fullmatch(f"(?i){re.escape(a)}", b)]
    assert len(pairs) > 100
    for a, b in pairs:
        with pytest.raises(PatternError, match="quick for any text"):
            read_pattern(f"(?i){re.escape(a)}*{re.escape(b)}*!")
