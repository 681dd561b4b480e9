"""Routes under a prefix, and a page that works behind proxies that keep or strip the path."""

import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from iris_exporter import config
from iris_exporter.errors import ConfigError
from tests.web.http_servers import http_server
from tests.web.support import FakeContext, serving

URL = "http://iris.test/api/stream/overview"
BAD_PREFIXES = ("", "/a b", "/a//b", "/../x", "/.", "/a?b", "/{name}", "/\u00e9", "/%41")
PATHS = ("/metrics", "/-/healthy", "/-/ready", "/config", "/api/v1/streams", "/api/v1/streams/main/overview", "/")


async def test_every_route_is_below_the_prefix_and_nowhere_else() -> None:
    async with serving(FakeContext(), route_prefix="/a/b") as get:
        for path in PATHS:
            assert (await get("/a/b" + path)).status == 200, path
            if path != "/":
                assert (await get(path)).status == 404, path
        assert (await get("/-/reload", "POST")).status == 404
        assert (await get("/a/b/-/reload", "POST")).status == 200
        unknown = await get("/a/b/api/v2")
        assert (unknown.status, unknown.type) == (404, "application/json; charset=utf-8")


async def test_the_root_and_the_bare_prefix_lead_to_the_page() -> None:
    async with serving(FakeContext(), route_prefix="/a/b") as get:
        for path in ("/", "/a/b"):
            answer = await get(path)
            assert answer.status == 302
            assert urljoin(f"http://h{path}", answer.headers["Location"]) == "http://h/a/b/", path


@pytest.mark.parametrize(("prefix", "seen"), [("", "/"), ("/iris", "/iris/"), ("", "/outer/iris/"), ("/x", "/y/x/")])
async def test_links_and_forms_work_wherever_the_browser_sees_the_page(prefix: str, seen: str) -> None:
    """`seen` is the page's path in the browser; the proxy puts the prefix in the place of it."""
    async with serving(FakeContext(), route_prefix=prefix) as get:
        page = (await get(f"{prefix}/")).text

        def inner(target: str) -> str:
            path = urlsplit(urljoin(f"https://proxy.test{seen}", target)).path
            assert path.startswith(seen), target
            return f"{prefix}/{path.removeprefix(seen)}"

        links = re.findall(r'href="([^"]+)"', page)
        assert len(links) == 7
        for link in links:
            assert (await get(inner(link))).status == 200, link
        form = re.findall(r'action="([^"]+)"', page)[0]
        answer = await get(inner(form), "POST", Accept="text/html")
        assert answer.status == 303
        back = urljoin(urljoin(f"https://proxy.test{seen}", form), answer.headers["Location"])
        assert back == f"https://proxy.test{seen}#stream-main"


async def test_a_browser_at_the_external_address_may_switch() -> None:
    path = "/api/v1/streams/main/connect"
    async with serving(FakeContext(), external_url="https://Proxy.test/iris/") as get:
        assert (await get(path, "POST", Origin="https://proxy.test")).status == 200
        assert (await get(path, "POST", Origin="https://other.test")).status == 403
        assert (await get(path, "POST", Origin="null")).status == 403


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ({}, ""),
        ({"web.external-url": "https://p.test"}, ""),
        ({"web.external-url": "https://p.test/"}, ""),
        ({"web.external-url": "https://p.test/iris/"}, "/iris"),
        ({"web.external-url": "https://p.test:8443/a/b"}, "/a/b"),
        ({"web.external-url": "https://p.test/iris", "web.route-prefix": "/"}, ""),
        ({"web.external-url": "https://p.test/iris", "web.route-prefix": "/other/"}, "/other"),
        ({"web.route-prefix": "iris"}, "/iris"),
        ({"web.route-prefix": "//iris//"}, "/iris"),
    ],
)
def test_the_prefix_is_the_path_of_the_external_address_unless_given(given: dict[str, str], prefix: str) -> None:
    assert config.load({"stream.url": URL, **given}, {}).web.route_prefix == prefix


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("web.route-prefix", value) for value in BAD_PREFIXES),
        *(("web.route-prefix", value) for value in ("https://p.test/iris", "/" + "x" * 300)),
        *(("web.external-url", value) for value in ("", "/iris", "p.test/iris", "ftp://p.test/", "https://", "http://h:x")),
        *(("web.external-url", f"https://p.test/{end}") for end in ("?a=b", "?", "#a", "a b", "../x", "{name}")),
        ("web.external-url", "https://user:secret-word@p.test/"),
    ],
)  # fmt: skip
def test_what_is_no_prefix_or_address_is_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(key)) as caught:
        config.load({"stream.url": URL, key: value}, {})
    assert "secret-word" not in str(caught.value)


async def test_probes_under_the_prefix_are_outside_the_rate_limit(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("rate_limit: {interval: 1h, burst: 1}\n")
    async with http_server(file, route_prefix="/iris") as one:
        statuses = [(await one.ask(path)).status for path in ("/iris/-/healthy", "/iris/-/ready") * 3]
        assert statuses == [200] * 6
        assert [(await one.ask("/-/healthy")).status for _ in range(2)] == [404, 429]
