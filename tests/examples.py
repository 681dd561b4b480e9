"""How much is tried: examples of a property (see the profiles in tests/conftest.py), and cases of a table."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

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


def every(rows: Iterable[Any], named: Callable[[Any], str]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """One test of all rows (a tuple is several arguments), for a statement that takes less than pytest does for a test.

    Each row is tried, also after one that fails, and the failure has its name.
    """
    all_rows = list(rows)

    def decorate(test: Callable[..., None]) -> Callable[[], None]:
        def run() -> None:
            assert all_rows, "no row"
            errors = []
            for row in all_rows:
                try:
                    test(*row) if type(row) is tuple else test(row)
                except Exception as error:  # noqa: BLE001 (raised below, with its fellows)
                    error.add_note(named(row))
                    errors.append(error)
            if errors:
                raise ExceptionGroup(f"{len(errors)} of {len(all_rows)} rows", errors)

        run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
        run.__module__ = test.__module__
        vars(run)["of_one"] = test
        return run

    return decorate


def of_one(test: Callable[..., None]) -> Callable[..., None]:
    """What a test says of one row, for rows of others; a test that is not of `every` is about one already."""
    return getattr(test, "of_one", test)
