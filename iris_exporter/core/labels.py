"""What may stand in a label. Pure.

Letters of every script and every sign that is seen stay as they are. What is not seen and changes how its neighbours
are shown becomes U+FFFD: control characters except line feed (which the formats escape) and tab, marks and overrides of
the writing direction, line and paragraph separators, invisible blanks, lone surrogates (which no UTF-8 can hold).
Joiners (U+200C, U+200D) and variation selectors stay, because Persian, Indic scripts and emoji are spelled with them. A
value that was changed or cut ends in `~` and its hash, so that two different names stay two series.
"""

from iris_exporter.core.shorten import marked
from iris_exporter.core.visible_text import REPLACEMENT, UNSEEN

MAX_LABEL_CHARS = 200
"""Longer label values are cut: identifiers are shorter, and a scraper drops a whole scrape over one value too long."""


def clean_label(value: str, limit: int = MAX_LABEL_CHARS) -> str:
    """Return `value` as it may stand in a label: at most `limit` characters (17 or more), none of them unseen."""
    if len(value) <= limit and value.isprintable():
        return value
    clean = UNSEEN.sub(REPLACEMENT, value)
    return clean if len(clean) <= limit and clean == value else marked(clean, value, limit)
