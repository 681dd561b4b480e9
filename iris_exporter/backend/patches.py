"""Changes of objects as JSON Merge Patches. Pure. Source: RFC 7396."""

from collections.abc import Mapping
from typing import Any


def merge_patch(target: object, patch: object) -> Any:
    """Apply a patch and return the result; `target` stays as it is. RFC 7396, section 2."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def make_patch(base: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest patch that makes `wanted` of `base`; null stands for a member that is not there, in both."""
    patch: dict[str, Any] = {}
    for name in base:
        if base[name] is not None and wanted.get(name) is None:
            patch[name] = None
    for name, value in wanted.items():
        before = base.get(name)
        if value is None or (value == before and isinstance(value, bool) == isinstance(before, bool)):
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            patch[name] = make_patch(before, value)
        else:
            patch[name] = value
    return patch
