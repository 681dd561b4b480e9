"""How many examples a property is tried with: see the profiles in tests/conftest.py."""

from hypothesis import settings


def examples(times: float, **more: int) -> settings:
    """Settings for a property that takes `times` as many examples as others do, in whatever profile is chosen."""
    return settings(max_examples=int(times * settings().max_examples), **more)
