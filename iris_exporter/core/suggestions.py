"""Which known name somebody meant who wrote an unknown one.

Names of options have a group in front (`stream.url`, `STREAM_URL`), which many of them share. Compared as a whole,
`stream.xyz` would be near to `stream.url` for the sake of the group alone; so group and rest are compared apart.
"""

import re
from collections.abc import Iterable

_CUTOFF = 0.6
# A name that lacks its group, or has a wrong one, is a worse match than one with a slip of the fingers.
_NO_GROUP, _WRONG_GROUP = 0.9, 0.8
# Of a name, the group alone or the first words alone.
_ONLY_GROUP, _FIRST_WORDS = 0.7, 0.75
_SEPARATORS = re.compile(r"[._]")


def nearest(name: str, known: Iterable[str], group: str = ".") -> str | None:
    """Return the known name that is nearest to `name`; None where none is near. The first of equally near ones wins.

    Args:
        group: What separates a known name's group from the rest of it.
    """
    best, best_score = None, _CUTOFF
    for each in known:
        if (score := _score(name, each, group)) > best_score or (best is None and score >= _CUTOFF):
            best, best_score = each, score
    return best


def did_you_mean(name: str, known: Iterable[str], group: str = ".") -> str:
    """Return ` (did you mean X?)` when one of `known` is near to `name`, else nothing; `group` is `nearest`'s."""
    close = nearest(name, known, group)
    return f" (did you mean {close}?)" if close else ""


def _score(name: str, known: str, separator: str) -> float:
    given = _plain(name)
    group, _, rest = known.lstrip("-").partition(separator)
    group, rest = _plain(group), _plain(rest)
    if not rest:
        return _closeness(given, group)
    if _letters(given) == _letters(group + rest):
        return 1.0
    given_group, _, given_rest = given.partition("-")
    scores = [_closeness(given, rest) * _NO_GROUP]
    if given_rest:
        same_group = _ratio(given_group, group)
        if same_group >= _CUTOFF:
            scores.append(_closeness(given_rest, rest) * (_NO_GROUP + (1 - _NO_GROUP) * same_group))
        elif given_rest == rest:
            scores.append(_WRONG_GROUP)
    elif given == group:
        scores.append(_ONLY_GROUP)
    return max(scores)


def _plain(name: str) -> str:
    """The name without what people confuse: dashes in front, upper case, which sign separates words."""
    return _SEPARATORS.sub("-", name.lstrip("-").lower())


def _letters(name: str) -> str:
    return name.replace("-", "")


def _closeness(given: str, known: str) -> float:
    """How alike two names are, 0 to 1; the beginning of a name is near to it."""
    begins = given != "" and known.startswith(given)
    words = known.startswith(f"{given}-")
    return max(_ratio(given, known), begins * _CUTOFF, words * _FIRST_WORDS)


def _ratio(one: str, other: str) -> float:
    import difflib  # for mistakes alone

    return difflib.SequenceMatcher(None, one, other).ratio()
