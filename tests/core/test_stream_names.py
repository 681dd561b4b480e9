"""Names of discovered streams: no secret in them, one for each address, the same in every process."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.config.option_types import NAME
from iris_exporter.core.stream_names import from_address, from_object

PATH = "/api/stream/overview"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (f"http://iris-1:8080{PATH}", "iris-1-8080"),
        (f"http://iris:80{PATH}", "iris-80"),
        (f"http://iris-3{PATH}", "iris-3"),
        (f"http://iris.example.com{PATH}", "iris.example.com"),
        (f"http://10.0.0.7:443{PATH}", "10.0.0.7-443"),
    ],
)
def test_a_host_and_a_usual_port_keep_their_short_name(address: str, name: str) -> None:
    assert from_address(address) == name


@pytest.mark.parametrize(
    ("address", "beginning"),
    [
        ("http://h/a/b", "h-a-b"),
        ("http://h/a-b", "h-a-b"),
        (f"http://h{PATH}?p=1", "h-api-stream-overview"),
        (f"http://h{PATH}?p=2", "h-api-stream-overview"),
        (f"https://h{PATH}", "h-api-stream-overview"),
        (f"http://h-8080{PATH}", "h-8080-api-stream-overview"),
        (f"http://[::1]:80{PATH}", "1-80-api-stream-overview"),
        (f"http://{'x' * 99}{PATH}", "x" * 53),
        ("http://ü/", "stream"),
        ("", "stream"),
        ("http://[::1", "stream"),
        (f"http://h_0123456789{PATH}", "h_0123456789-api-stream-overview"),
    ],
)
def test_names_that_were_cut_or_cleaned_differ_by_a_hash(address: str, beginning: str) -> None:
    name = from_address(address)
    assert re.fullmatch(re.escape(beginning) + "_[0-9a-f]{10}", name)
    assert from_address(address) == name


@pytest.mark.parametrize(
    "address",
    [
        f"http://h{PATH}?api_key=s3cret",
        f"http://me:s3cret@h{PATH}",
        f"http://s3cret@h{PATH}",
        f"http://h{PATH}#s3cret",
        f"http://h{PATH}?s3cret",
        f"http://h:80?x=s3cret{PATH}",
    ],
)
def test_no_part_of_a_name_comes_from_user_query_or_fragment(address: str) -> None:
    assert "s3cret" not in from_address(address)


HOSTS = st.text("ab-_.:/@?#0189Aé", max_size=12)


@given(HOSTS, HOSTS, st.sampled_from(["http", "https", "ws"]), st.sampled_from(["http", "https", "ws"]))
def test_two_addresses_have_two_names_that_every_stream_may_have(a: str, b: str, one: str, other: str) -> None:
    first, second = f"{one}://{a}{PATH}", f"{other}://{b}{PATH}"
    assert (from_address(first) == from_address(second)) is (first == second)
    for address in (first, second, a, b):
        assert NAME.read(from_address(address)) == from_address(address)


def test_objects_of_kubernetes_keep_their_names_as_long_as_those_fit() -> None:
    assert from_object("ops", "first") == "ops.first"
    long, longer = from_object("ops", "x" * 70), from_object("ops", "x" * 71)
    assert long != longer
    assert re.fullmatch(r"ops\.x{49}_[0-9a-f]{10}", long)
    assert len(from_object("ops", "x" * 60)) == 64
