"""What is suggested for an unknown name, and that nothing is where nothing is near."""

import pytest

from iris_exporter.config import OPTIONS
from iris_exporter.config.options import PREFIX
from iris_exporter.core.suggestions import nearest

FLAGS = [option.flag for option in OPTIONS]
VARIABLES = [option.variable.removeprefix(PREFIX) for option in OPTIONS]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("--stream.ulr", "--stream.url"),
        ("--steam.url", "--stream.url"),
        ("-stream.url", "--stream.url"),
        ("--STREAM.URL", "--stream.url"),
        ("--stream-url", "--stream.url"),
        ("--stream_url", "--stream.url"),
        ("--streamurl", "--stream.url"),
        ("--url", "--stream.url"),
        ("--stream.listen-address", "--web.listen-address"),
        ("--stream.reconnect-intial", "--stream.reconnect-initial"),
        ("--log-level", "--log.level"),
        ("--config", "--config.file"),
        ("--leader", "--leader-election"),
        ("--total-shard", "--total-shards"),
        ("--stream.tls-ca", "--stream.tls-ca-file"),
        # Their groups are alike, and nothing else is.
        ("--stream.xyzzy", None),
        ("--discovery.abc", None),
        ("--web.port", None),
        ("--verbose", None),
        ("--", None),
        ("", None),
        ("-z", None),
    ],
)
def test_a_flag(name: str, expected: str | None) -> None:
    assert nearest(name, FLAGS) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("STREAM_ULR", "STREAM_URL"),
        ("STREM_URL", "STREAM_URL"),
        ("LISTEN_ADDRESS", "WEB_LISTEN_ADDRESS"),
        ("LEADER_ELECTON", "LEADER_ELECTION"),
        ("STREAM_XYZZY", None),
        ("FOO", None),
    ],
)
def test_a_variable(name: str, expected: str | None) -> None:
    assert nearest(name, VARIABLES, "_") == expected


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_a_name_without_one_of_its_letters_is_near_to_itself(every: int) -> None:
    """Whichever is lost; names that are short, or one letter from another, may be taken for that one."""
    lost = [
        (flag, wrong, found)
        for number, flag in enumerate(FLAGS)
        for index in range(2 + number % every, len(flag), every)
        if (found := nearest(wrong := flag[:index] + flag[index + 1 :], FLAGS)) != flag and wrong not in FLAGS
    ]
    assert lost == []


def test_the_first_of_names_that_are_equally_near() -> None:
    assert nearest("abx", ["aby", "abz"]) == "aby"
    assert nearest("abx", []) is None
