"""Text from outside as it may be shown: nothing in it steers a terminal, hides, or turns what stands beside it. Pure.

Letters of every script and every sign that is seen stay. Joiners (U+200C, U+200D) and variation selectors stay too,
because Persian, Indic scripts and emoji are spelled with them.
"""

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
"""Categories Cc (less tab and line feed), Cs, Zl and Zp, and those of Cf that are not seen and join nothing."""
_BLANKS = re.compile(r"[ \t\r\n]+")


def one_line(text: str, limit: int) -> str:
    """`text` on one line of a terminal, at most `limit` characters; what is cut ends in an ellipsis.

    Blanks and line ends become one blank each, so that no message fills a screen with them.
    """
    if len(text) <= limit and text.isprintable() and "  " not in text:
        return text.strip()
    # Not much more than what is shown is gone through, however long a message is.
    begin = text[: 4 * limit]
    shown = UNSEEN.sub(REPLACEMENT, _BLANKS.sub(" ", begin)).strip()
    return shown if len(shown) <= limit and begin == text else f"{shown[: limit - 1]}…"
