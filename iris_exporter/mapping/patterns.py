"""Regular expressions that no text can make slow.

Python's `re` tries all ways in which a text may match, and a source may send the text that has the most of them. A
pattern with too many is refused at load. `cost` bounds the tries from the parsed pattern: repetitions that follow one
another multiply where both can match the same characters, since a text of those can be divided between them in many
ways; something between them that neither can match keeps them apart. A search that is not anchored tries each
beginning. What is last needs no second try: where all before it has matched, it matches as well.

No repetition within a repetition, and no alternative within one: their ways multiply without a bound.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from re import _constants as sre  # type: ignore[attr-defined]  # `sre_parse` is deprecated, and there is no other name
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

MAX_SEARCHED = 1_000
"""Characters of a text that are searched."""

_MAX_CHARS = 500
# Some 20 ms on a machine of today.
_MAX_COST = 2_000_000

# Characters stand for all: those of Latin-1, and one for the rest.
_SAMPLE = [chr(code) for code in range(256)] + ["\u4e00"]
_ALL = frozenset(_SAMPLE)
_CASED = frozenset(c for c in _SAMPLE if c.lower() != c.upper())
# Of Latin-1, but the same without case as one that is not: i and the dotless one, k and kelvin, s and the long one, ...
_CASED_BEYOND = frozenset("iIkKsS\u00b5\u00df\u00c5\u00e5\u00ff")

_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)


class PatternError(ValueError):
    """A text that is no regular expression, or none that is allowed; completes "expected ..."."""


def read_pattern(text: str) -> re.Pattern[str]:
    """Return the compiled pattern.

    Raises:
        PatternError: It is none, or some text would take too long.
    """
    if len(text) > _MAX_CHARS:
        raise PatternError(f"a regular expression of at most {_MAX_CHARS} characters")
    try:
        pattern = re.compile(text)
        items = list(sre_parser.parse(text))
        folds = bool(pattern.flags & re.IGNORECASE) or _folds(items)
    except (re.error, RecursionError, OverflowError) as error:
        reason = str(error) if isinstance(error, re.error) else "it is too deep or too large"
        raise PatternError(f"a regular expression ({reason})") from None
    _refuse_nested(items, inside=False)
    if cost(items, folds=folds) > _MAX_COST:
        raise PatternError(
            "a regular expression that is quick for any text: repetitions that can match the same characters one after "
            "another are too many; anchor it with ^, or repeat only what may be there ([^ ]* for .*)"
        )
    return pattern


def _folds(items: Iterable[Any]) -> bool:
    """Whether some group asks for letters of either case, (?i:...)."""
    for op, argument in items:
        if op is sre.SUBPATTERN and argument[1] & re.IGNORECASE:
            return True
        branches = argument[1] if op is sre.BRANCH else [argument[2] if op in _REPEATS else _below(op, argument)]
        if any(map(_folds, branches)):
            return True
    return False


def _refuse_nested(items: Iterable[Any], *, inside: bool) -> None:
    for op, argument in items:
        if op in _REPEATS:
            least, most, inner = argument
            if inside and least != most:
                raise PatternError("a regular expression without a repetition inside a repetition")
            _refuse_nested(inner, inside=inside or most > 1)
        elif op is sre.BRANCH:
            if inside:
                raise PatternError("a regular expression without an alternative (|) inside a repetition")
            for branch in argument[1]:
                _refuse_nested(branch, inside=False)
        elif op in (sre.GROUPREF, sre.GROUPREF_EXISTS):
            raise PatternError("a regular expression without references to its groups")
        else:
            _refuse_nested(_below(op, argument), inside=inside)


def _below(op: Any, argument: Any) -> Any:
    """The items within a group or a look around, nothing for a single character."""
    if op is sre.SUBPATTERN:
        return argument[3]
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return argument[1]
    return argument if op is sre.ATOMIC_GROUP else ()


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the pattern that takes between `least` and `most` times one of `characters`."""

    characters: frozenset[str]
    least: int
    most: int
    ways: int = 1  # besides: of alternatives


def cost(items: Iterable[Any], *, folds: bool) -> int:
    """Return at most how many tries a search may take; `items` is the parsed pattern.

    With `folds` letters of either case are the same, everywhere: of a pattern that asks so for a part, too.
    """
    pieces = list(_pieces(items, folds=folds))
    anchored = bool(pieces) and pieces[0].most == 0
    while pieces and pieces[-1].most != pieces[-1].least and pieces[-1].ways == 1:
        pieces.pop()
    worst = max((_chain(pieces[start:]) for start in range(len(pieces))), default=1)
    return worst if anchored else worst * MAX_SEARCHED


def _chain(pieces: list[_Piece]) -> int:
    """The tries of the repetitions that can share characters with the first one, from there on."""
    tries = 1
    shared: frozenset[str] = _ALL
    for piece in pieces:
        if piece.most == 0:
            continue
        common = shared & piece.characters
        if not common:
            if piece.least > 0:
                break
            continue  # it may be left out
        if piece.least > 0 or piece.most > 1:
            shared = common
        tries *= piece.ways * min(piece.most - piece.least + 1, MAX_SEARCHED)
    return tries


def _pieces(items: Iterable[Any], *, folds: bool) -> Iterator[_Piece]:
    for op, argument in items:
        if op in _REPEATS:
            least, most, inner = argument
            characters, length = _union(inner, folds=folds)
            possessive = op is sre.POSSESSIVE_REPEAT
            yield _Piece(characters, least * length, least * length if possessive else most * max(length, 1))
        elif op is sre.BRANCH:
            branches = [list(_pieces(branch, folds=folds)) for branch in argument[1]]
            characters = frozenset().union(*(piece.characters for branch in branches for piece in branch))
            ways = sum(max((_chain(branch[start:]) for start in range(len(branch))), default=1) for branch in branches)
            yield _Piece(characters, 0, 0 if not characters else 1, ways)
        elif op is sre.AT:
            # What else takes no character, an end or a boundary, can fail behind any repetition.
            begins = argument in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING)
            yield _Piece(frozenset(), 0, 0) if begins else _Piece(_ALL, 1, 1)
        elif op in (sre.SUBPATTERN, sre.ATOMIC_GROUP, sre.ASSERT, sre.ASSERT_NOT):
            yield from _pieces(_below(op, argument), folds=folds)
        else:
            characters = _characters(op, argument)
            yield _Piece(_both_cases(characters) if folds else characters, 1, 1)


def _union(items: Iterable[Any], *, folds: bool) -> tuple[frozenset[str], int]:
    """All characters that what is repeated can match, and how many of them at least."""
    pieces = list(_pieces(items, folds=folds))
    return frozenset().union(*(piece.characters for piece in pieces)), sum(piece.least for piece in pieces)


def _both_cases(characters: frozenset[str]) -> frozenset[str]:
    """The characters, and all that are the same without case; beyond Latin-1 some are of one within it, such as s."""
    beyond = _SAMPLE[-1]
    if beyond in characters:
        return characters | _CASED
    closed = characters | {c for each in characters & _CASED for c in (each.lower(), each.upper()) if c in _ALL}
    return closed | {beyond} if closed & _CASED_BEYOND else closed


def _characters(op: Any, argument: Any) -> frozenset[str]:
    """The characters of the sample that a single item matches."""
    if op is sre.ANY:
        return _ALL
    if op is sre.LITERAL:
        return frozenset({chr(argument) if argument < 256 else _SAMPLE[-1]})
    if op is sre.NOT_LITERAL:
        return _ALL - {chr(argument)}
    if op is sre.IN:
        negated = argument[0][0] is sre.NEGATE
        found: frozenset[str] = frozenset().union(
            *(_characters(*item) for item in argument if item[0] is not sre.NEGATE)
        )
        # Of what is beyond Latin-1 a set may have a part, and its negation the other.
        return (_ALL - found) | {_SAMPLE[-1]} if negated else found
    if op is sre.RANGE:
        low, high = argument
        beyond = {_SAMPLE[-1]} if high > 255 else set()
        return frozenset(chr(code) for code in range(low, min(high, 255) + 1)) | beyond
    if op is sre.CATEGORY:
        expression = _CATEGORIES.get(argument)
        return _ALL if expression is None else frozenset(c for c in _SAMPLE if re.fullmatch(expression, c))
    return _ALL


_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}
