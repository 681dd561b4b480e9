"""What is printed of several sources, as text and as JSON: each step with its time, and each measured row."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iris_exporter.check import report
from iris_exporter.check.diagnosis import diagnose
from iris_exporter.check.probes import examine
from iris_exporter.clock import SystemClock
from tests.check.sources import Source, backend, keyed, over_tls

WAY = ["configuration", "key", "proxy", "dns", "tcp"]
LINK = {"clock", "authentication", "in between", "protocol", "snapshot", "messages by type", "unusable", "shape",
        "fields known", "fields unknown", "first byte", "first message", "rate", "heartbeat", "limits"}  # fmt: skip


async def of(source: Source, directory: Path) -> tuple[str, dict[str, Any]]:
    async with source(directory) as settings:
        seen = await examine(settings, 0.5, SystemClock(), lambda _: None)
    found = diagnose(seen, settings)
    text, values = report.as_text(seen, found, settings), report.as_values(seen, found, settings)
    for name, row in values["measured"].items():
        assert re.search(rf"^  {re.escape(name)} +{re.escape(row)}$", text, re.MULTILINE), name
    for step in values["steps"]:
        timed = "" if step["seconds"] is None else r"\d+ ms"
        assert re.search(rf"^  {step['name']} +(ok|FAILED) +{timed} +{re.escape(step['text'])}$", text, re.MULTILINE)
    return text, values


@pytest.mark.parametrize(
    ("source", "steps", "rows"),
    [
        (
            backend(path="/api/stream", protocol="websocket"),
            [*WAY, "http", "messages", "resume"],
            {*LINK, "extensions", "resume", "figures", "success share", "scale of shares", "delay"},
        ),
        (
            keyed(True, protocol="sse"),
            [*WAY, "http", "messages", "resume"],
            {*LINK, "resume", "figures", "success share", "scale of shares", "delay"},
        ),
        (over_tls(), [*WAY, "tls", "http", "messages"], {*LINK, "resume", "figures"}),
        (
            backend(path="/api/overview", protocol="poll"),
            [*WAY, "poll"],
            {"clock", "authentication", "in between", "snapshot", "shape", "fields known", "fields unknown",
             "figures", "success share", "scale of shares", "limits"},
        ),
    ],
    ids=["subscription", "key", "tls", "poll"],
)  # fmt: skip
async def test_every_step_and_row(source: Source, steps: list[str], rows: set[str], tmp_path: Path) -> None:
    _, values = await of(source, tmp_path)
    assert [step["name"] for step in values["steps"]] == steps
    assert set(values["measured"]) == rows
    assert all(step["seconds"] is not None for step in values["steps"] if step["name"] in ("tcp", "tls", "http"))


async def test_what_a_subscription_is_offered_and_granted(tmp_path: Path) -> None:
    _, values = await of(backend(path="/api/stream", protocol="websocket"), tmp_path)
    rows = values["measured"]
    assert rows["protocol"] == (
        "websocket, encoding protobuf, subprotocol iris.v1+protobuf, chosen of iris.v1+protobuf, iris.v1+json"
    )
    assert rows["extensions"] == "batch debounce delta fields priority"
    assert rows["resume"] == "offered: events are numbered; tried, with the outcome full"
    assert re.fullmatch(r"subscribed, after \d+\.\d{3} s", rows["first message"])
    used = {each["what"]: each for each in values["limits"]}
    assert used["projects"] == {
        "what": "projects", "used": 6, "limit": 10000, "option": "max-projects", "is_size": False,
    }  # fmt: skip


async def test_the_chain_of_certificates_with_days(tmp_path: Path) -> None:
    text, _ = await of(over_tls(ends_days=100.5), tmp_path)
    assert re.search(
        r"TLSv1\.3, verified, for 127\.0\.0\.1, by Test authority, expires in 100 days, "
        r"chain: source < Test authority \(expires in \d+ days\)",
        text,
    )


@pytest.mark.parametrize(
    ("source", "presented"),
    [
        (over_tls(begins_days=-20, ends_days=-3.4), "for 127.0.0.1, by Test authority, expired 3 days ago"),
        (over_tls(begins_days=3.4), "not valid before 3 days have passed"),
        (over_tls(name="iris.example"), "for iris.example, by Test authority, expires in 100 days"),
        (over_tls(self_signed=True), "for 127.0.0.1, by source, expires in 100 days"),
    ],
    ids=["expired", "not yet valid", "another name", "self-signed"],
)
async def test_a_refused_certificate_is_shown_too(source: Source, presented: str, tmp_path: Path) -> None:
    text, values = await of(source, tmp_path)
    assert presented in text
    assert values["steps"][-1]["name"] == "tls"
    assert not values["steps"][-1]["ok"]


async def test_all_addresses_of_a_name(tmp_path: Path) -> None:
    async with backend(protocol="sse")(tmp_path) as settings:
        named = replace(settings, url=settings.url.replace("127.0.0.1", "localhost"))
        seen = await examine(named, 0.2, SystemClock(), lambda _: None)
    (dns,) = [step.text for step in seen.steps if step.name == "dns"]
    assert "127.0.0.1 (IPv4)" in dns
    assert [step.text for step in seen.steps if step.name == "tcp" and step.is_ok]
