"""`localhost` on a machine whose hosts file knows its IPv6 address, and whose IPv6 is switched off."""

import json
import sys
from pathlib import Path

import pytest

from tests.integration.harness import HERE
from tests.integration.programs import running

pytestmark = [pytest.mark.integration, pytest.mark.needs("user-namespaces", "ip", "sysctl", "nsenter")]

SCRIPT = """
mount --bind "$0" /etc/hosts && ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && exec "$@"
"""
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


async def test_the_exporter_starts_on_localhost_and_leaves_ipv6_out(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n::1 localhost\n")
    machine = ("unshare", "--map-root-user", "--net", "--mount", "sh", "-c", SCRIPT, str(hosts))
    options = ("--stream.url=http://127.0.0.1:1/", "--web.listen-address=localhost:0", "--log.format=json")
    async with running(*machine, *HERE, *options) as program:

        def listening(line: str) -> str | None:
            return str(json.loads(line)["address"]) if '"web.listening"' in line else None

        url = await program.printed(listening)
        assert url.startswith("http://127.0.0.1:")
        (left_out,) = [json.loads(line) for line in program.stderr if "web.address_left_out" in line]
        assert left_out["address"] == "::1"
        inside = ("nsenter", f"--target={program.pid}", "--user", "--preserve-credentials", "--net")
        async with running(*inside, sys.executable, "-c", ASK, f"{url}/-/healthy") as asking:
            assert await asking.printed(lambda line: line or None) == "iris-exporter is healthy"
        assert await program.stop() == 0
