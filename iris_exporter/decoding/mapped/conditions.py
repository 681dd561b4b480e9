"""Whether a condition of a mapping holds for a plain JSON value. Pure; nothing raises."""

from iris_exporter.decoding import values
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.mapping.patterns import MAX_SEARCHED
from iris_exporter.mapping.spec import Condition, JsonType, is_same


def holds(condition: Condition, value: object) -> bool:
    """Whether all that a condition asks for is true of what is at its path; None for null and for what is missing."""
    return (
        (condition.equals is None or any(is_same(value, constant) for constant in condition.equals))
        and not (condition.unequal is not None and any(is_same(value, constant) for constant in condition.unequal))
        and (condition.exists is None or condition.exists is (value is not None))
        and (condition.type is None or condition.type is json_type(value))
        and (condition.matches is None or _matches(condition, value))
        and _in_range(condition, value)
    )


def json_type(value: object) -> JsonType | None:
    """The type of a JSON value; None for null."""
    if isinstance(value, bool):
        return JsonType.BOOLEAN
    if isinstance(value, int | float):
        return JsonType.NUMBER
    if isinstance(value, str):
        return JsonType.TEXT
    if isinstance(value, list):
        return JsonType.LIST
    return None if value is None else JsonType.OBJECT


def _matches(condition: Condition, value: object) -> bool:
    if condition.matches is None or not isinstance(value, str):
        return False
    return condition.matches.search(value[:MAX_SEARCHED]) is not None


def _in_range(condition: Condition, value: object) -> bool:
    if condition.at_least is None and condition.below is None:
        return True
    try:
        number = values.number(value)
    except UnusableValueError:
        return False
    if number is None:
        return False
    return (condition.at_least is None or number >= condition.at_least) and (
        condition.below is None or number < condition.below
    )
