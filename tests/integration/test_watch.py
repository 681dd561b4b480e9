"""`iris-exporter watch` in a real terminal, at a real sidecar of the reference backend."""

import os
import re
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.integration.harness import Sidecar, sidecar
from tests.integration.programs import wait_until
from tests.integration.terminal import terminal
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.needs("tmux")]
QUICK = ("--stream.reconnect-initial=100ms", "--stream.reconnect-attempts=1", "--stream.poll-interval=1s")
PROXY = "--sidecar.proxy=none"


def publish(backend: Backend, *names: str, severity: str = "info") -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    backend.service.publish([Event(name, now, "p", "run", severity, f"text of {name}", {}) for name in names])


async def state_is(exporter: Sidecar, state: str) -> None:
    async def check() -> bool:
        return (await exporter.stream())["state"] == state

    await wait_until(check, f"the API says {state}")


async def test_the_keys_do_what_they_say(tmp_path: Path) -> None:
    """Checked at the API of the sidecar, and on the screen."""
    async with (
        Backend(BackendSettings(port=0, rate=0)) as backend,
        sidecar(f"--stream.url={backend.url}/api/stream") as exporter,
    ):
        await exporter.reaches("live")
        async with terminal(tmp_path, "watch", exporter.url, PROXY) as screen:
            await screen.shows("● Live", "Active Runs", "Projects")
            publish(backend, "e1", "e2")
            publish(backend, "e3", severity="critical")
            await screen.shows("critical p run: text of e3", "info p run: text of e2")

            await screen.press("d")
            await state_is(exporter, "disconnected")
            await screen.shows("○ Disconnected")
            await screen.press("r")
            await state_is(exporter, "live")
            await screen.shows("● Live")
            await screen.press("x")
            await exporter.logged(event="stream.switched", action="reset")
            await state_is(exporter, "live")
            actions = [line["action"] for line in exporter.log(event="stream.switched")]
            assert actions == ["disconnect", "connect", "reset"]

            await screen.press("1")
            await screen.shows("Events without info, other", "text of e3")
            await screen.never_shows("text of e2")
            await screen.press("1", "4")
            await screen.shows("Events without critical", "text of e2")
            await screen.never_shows("text of e3")
            await screen.press("0", "/", "text of e1", "Enter")
            await screen.shows("Events with 'text of e1'", "info p run: text of e1")
            await screen.never_shows("run: text of e2")
            await screen.press("/", "Escape")
            await screen.shows("run: text of e2")

            await screen.press("p")
            await screen.shows("Paused")
            publish(backend, "e4")
            await screen.shows("Paused, 1 new events")
            assert "text of e4" in str(await exporter.events())
            assert "run: text of e4" not in await screen.screen()
            await screen.press("p")
            await screen.shows("run: text of e4")
            assert len(exporter.log(event="stream.switched")) == 3

            await screen.press("q")
            assert await screen.exit_code() == 0


@pytest.mark.parametrize(
    "end",
    ["C-c", *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))],
)
async def test_it_ends_at_once_and_leaves_the_terminal_as_it_was(end: str | signal.Signals, tmp_path: Path) -> None:
    async with terminal(tmp_path, "watch", f"http://127.0.0.1:{free_port()}", PROXY) as screen:
        await screen.shows("✖ No sidecar", "nothing listens there")
        if isinstance(end, str):
            await screen.press(end)
        else:
            os.kill(await screen.pid(), end)
        assert await screen.exit_code() == (130 if end in ("C-c", signal.SIGINT) else 0)
        assert "No sidecar" not in await screen.screen()
        assert (await screen.tmux("display-message", "-p", "#{alternate_on} #{mouse_any_flag}")).split() == ["0", "0"]


STATES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    # state: faults of the backend, options of the sidecar, what the screen shows
    "live": ((), (), ("● Live websocket", "Checkout Assistant")),
    "connecting": (("refuse",), ("--stream.reconnect-initial=50s",), ("◌ Connecting attempt 1, next in ", "Unreach")),
    "polling": (("refuse",), QUICK, ("◐ Polling attempt ", "poll", "Checkout Assistant")),
    "error": (("all:401",), QUICK, ("✖ Error attempt 1, next in ", "Refused unauthorized: HTTP status 401")),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("state", STATES)
async def test_each_state_at_each_width(state: str, width: int, tmp_path: Path) -> None:
    faults, options, wanted = STATES[state]
    async with Backend(BackendSettings(port=0, rate=5, faults=faults)) as backend:
        url = f"--stream.url={backend.url.replace('http', 'ws')}/api/stream/overview"
        async with sidecar(url, *options) as exporter:
            await exporter.reaches(state)
            async with terminal(tmp_path, "watch", exporter.url, PROXY, width=width) as screen:
                found = (await screen.shows(*wanted)).splitlines()
                assert all(len(line) <= width for line in found)
                titles = next(line for line in found if "Active Runs" in line)
                assert all(title in titles for title in ("Success Rate", "Active Experts", "Total Projects"))
                assert any(re.search(r"Projects +\d* +Events", line) for line in found) == (width == 140), "\n".join(
                    found
                )
                flat = " ".join(" ".join(found).split())
                assert re.search(r"r retry d disconnect x reset p pause 1-4 severities / filter n/N stream i", flat)
                await screen.press("q")
                assert await screen.exit_code() == 0


@pytest.mark.slow
async def test_a_sidecar_that_is_restarted_is_followed_again(tmp_path: Path) -> None:
    """The badge says that it is away; no event is shown twice, and the gap is said."""
    async with Backend(BackendSettings(port=0, rate=0)) as backend:
        options = (f"--stream.url={backend.url}/api/stream", f"--web.listen-address=127.0.0.1:{free_port()}")
        address = f"http://{options[1].partition('=')[2]}"
        async with terminal(tmp_path, "watch", address, PROXY) as screen:
            await screen.shows("✖ No sidecar", "next in")
            async with sidecar(*options):
                await screen.press("r")
                await screen.shows("● Live")
                publish(backend, "e1", "e2")
                await screen.shows("run: text of e2")
            await screen.shows("✖ No sidecar", "run: text of e2")
            async with sidecar(*options) as exporter:
                await exporter.reaches("live")
                publish(backend, "e3")
                await screen.press("r")
                found = await screen.shows("● Live", "Events some were missed", "run: text of e3")
                assert len(re.findall("run: text of e2", found)) == 1
                await screen.press("q")
                assert await screen.exit_code() == 0


@pytest.mark.slow
async def test_hostile_messages_and_a_small_terminal(tmp_path: Path) -> None:
    """Sequences of a source reach no terminal, nor does markup; 40 columns do."""
    async with (
        Backend(BackendSettings(port=0, rate=0)) as backend,
        sidecar(f"--stream.url={backend.url}/api/stream") as exporter,
    ):
        await exporter.reaches("live")
        async with terminal(tmp_path, "watch", exporter.url, PROXY, width=40, height=60, NO_COLOR="1") as screen:
            await screen.shows("● Live")
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            text = "\x1b]0;title\x07 \x1b[2J [red]markup[/red] \x9b31m end"
            backend.service.publish([Event("h", now, "p", "run", "error", text, {})])
            await screen.shows("[red]markup[/red]", "end")
            assert (await screen.tmux("display-message", "-p", "#{pane_title}")).strip() != "title"
            raw = await screen.raw_screen()
            styles = {code for part in re.findall(r"\x1b\[([\d;]*)m", raw) for code in part.split(";")}
            assert styles <= {"", "0", "1", "2", "7", "39", "49"}  # none of a colour
            await screen.press("C-c")
            assert await screen.exit_code() == 130


@pytest.mark.slow
async def test_a_stream_without_a_sidecar(tmp_path: Path) -> None:
    async with Backend(BackendSettings(port=0, rate=0)) as backend:
        options = (f"--stream.url={backend.url}/api/stream", "--stream.proxy=none", "--stream.name=direct")
        async with terminal(tmp_path, "watch", *options) as screen:
            await screen.shows("stream direct", "● Live", "Checkout Assistant")
            publish(backend, "e1")
            await screen.shows("run: text of e1")
            await screen.press("d")
            await screen.shows("○ Disconnected")
            await screen.press("q")
            assert await screen.exit_code() == 0
