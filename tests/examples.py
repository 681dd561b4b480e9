"""How much is tried: examples of a property (see the profiles in tests/conftest.py), and cases of a table."""

from collections.abc import Collection, Iterable

import pytest
from hypothesis import settings


def examples(times: float, **more: int) -> settings:
    """Settings for a property that takes `times` as many examples as others do, in whatever profile is chosen."""
    return settings(max_examples=int(times * settings().max_examples), **more)


def cases(names: Iterable[str], *, quick: Collection[str]) -> list[object]:
    """Parameters for the cases of a table, of which `make test` runs those that are named as quick alone.

    For tests that start programs: the others are further cases of what those prove.
    """
    all_names = list(names)
    unknown = set(quick) - set(all_names)
    if unknown:
        raise ValueError(f"no such cases: {unknown}")
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow, id=name) for name in all_names]
