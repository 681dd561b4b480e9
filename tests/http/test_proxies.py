"""Which proxy: the variables that programs have in common, and no password in what is passed on."""

import pytest

from iris_exporter import logs
from iris_exporter.core.failures import TransportError
from iris_exporter.http.proxies import Proxy, proxy_for, proxy_for_grpc


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://h/x", {}, None),
        ("http://h/x", {"HTTP_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://h/x", {"HTTP_PROXY": "http://p:3128"}, None),
        ("https://h/x", {"HTTPS_PROXY": "http://p:3128/"}, "http://p:3128"),
        ("ws://h/x", {"HTTP_PROXY": "http://p"}, "http://p"),
        ("wss://h/x", {"https_proxy": "https://p:1"}, "https://p:1"),
        ("http://h/x", {"HTTP_PROXY": "http://upper", "http_proxy": "http://lower"}, "http://lower"),
        ("http://h/x", {"HTTP_PROXY": "p:3128"}, "http://p:3128"),
        ("http://h/x", {"HTTP_PROXY": "http://[::1]:3128"}, "http://[::1]:3128"),
        ("http://h/x", {"HTTP_PROXY": ""}, None),
        ("http://h/x", {"ALL_PROXY": "http://p"}, None),
        ("http://h/x", {"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, None),
        ("http://h/x", {"http_proxy": "http://p", "REQUEST_METHOD": "GET"}, "http://p"),
    ],
)
def test_the_scheme_chooses_the_variable(url: str, environment: dict[str, str], proxy: str | None) -> None:
    found = proxy_for(url, environment)
    assert (found and found.url) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("*", "h", True),
        ("h", "h", True),
        ("H", "h", True),
        ("other, h", "h", True),
        ("example.com", "iris.example.com", True),
        (".example.com", "iris.example.com", True),
        (".example.com", "example.com", True),
        ("*.example.com", "iris.example.com", True),
        ("example.com", "notexample.com", False),
        ("example.com.", "example.com", True),
        ("h:8080", "h:8080", True),
        ("h:8080", "h:9090", False),
        ("h:80", "h", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "ten.example.com", False),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]:9", True),
        ("[::1]:9", "[::1]:9", True),
        ("[::1]:8", "[::1]:9", False),
        ("fe80::/10", "[fe80::1]", True),
        (",, ,", "h", False),
        (".", "h", False),
        ("other h", "h", True),
        ("other  h third", "third", True),
        ("other\th", "h", True),
        ("other\nh\n", "h", True),
        ("other, h third", "h", True),
        ("other ,h", "h", True),
        ("10.0.0.0/8 .example.com:8080", "iris.example.com:8080", True),
        ("10.0.0.0/8 .example.com:8080", "iris.example.com", False),
        ("other,*", "h", True),
        ("other *", "h", True),
        ("*:8080", "h:8080", True),
        ("*:8080", "h", False),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]", True),
        ("other 10.1.2.3", "10.1.2.3", True),
        ("other 10.1.2.3", "10.1.2.30", False),
        ("IRIS.Example.COM", "iris.example.com", True),
    ],
)
def test_no_proxy_names_what_is_reached_directly(no_proxy: str, host: str, direct: bool) -> None:
    found = proxy_for(f"http://{host}/x", {"HTTP_PROXY": "http://p", "NO_PROXY": no_proxy})
    assert (found is None) is direct


def test_user_and_password_become_a_header_and_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: set[str] = set()
    monkeypatch.setattr(logs, "protect", hidden.add)
    found = proxy_for("http://h/", {"HTTP_PROXY": "http://me:hidden%40word@p:3128/"})
    assert isinstance(found, Proxy)
    assert found.url == "http://p:3128"
    assert found.authorization == "Basic bWU6aGlkZGVuQHdvcmQ="
    assert hidden == {"hidden@word", "bWU6aGlkZGVuQHdvcmQ="}
    assert "hidden" not in repr(found)
    assert "bWU6" not in repr(found)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_lower_case_goes_before_upper_case_and_an_empty_one_is_not_set(name: str) -> None:
    base = {"http_proxy": "http://p", name: "h"}
    assert proxy_for("http://h/", base) is None
    assert proxy_for("http://h/", {**base, "no_proxy": "other"}) is not None
    assert proxy_for("http://h/", {"HTTP_PROXY": "http://p", "http_proxy": " ", "NO_PROXY": "x"}) == Proxy(
        "http://p", "http://p"
    )


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"http_proxy": "http://a"}, "http://a"),
        ({"http_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "http://b"),
        ({"HTTPS_PROXY": "http://b", "grpc_proxy": "http://c"}, "http://c"),
        ({"HTTPS_PROXY": "http://b", "NO_PROXY": "other h"}, None),
        ({"HTTPS_PROXY": "http://b", "NO_PROXY": "h:4317"}, None),
        ({"HTTPS_PROXY": "http://b", "NO_PROXY": "h:1"}, "http://b"),
        ({"HTTPS_PROXY": "http://b", "NO_PROXY": "h", "no_grpc_proxy": "other"}, "http://b"),
    ],
)
def test_a_channel_of_grpc_has_the_variables_of_grpc(environment: dict[str, str], proxy: str | None) -> None:
    for scheme in ("http", "https"):
        found = proxy_for_grpc(f"{scheme}://h:4317", environment)
        assert (found and found.url) == proxy


def test_user_and_password_can_be_put_back_for_libraries() -> None:
    for text in ("http://me:hidden%40word@p:3128", "https://me:@p", "http://p"):
        found = proxy_for("http://h/", {"HTTP_PROXY": text})
        assert isinstance(found, Proxy)
        assert found.full_url == text


@pytest.mark.parametrize(
    "value", ["socks5://p:1080", "http://", "http://p:99999", "http://[::1", "http://me:hidden@", "ftp://me:hidden@p"]
)
def test_a_variable_that_is_no_proxy_is_a_failure_without_its_value(value: str) -> None:
    with pytest.raises(TransportError) as raised:
        proxy_for("https://h/", {"HTTPS_PROXY": value})
    found = raised.value.failure
    assert found.reason == "proxy"
    assert "HTTPS_PROXY" in found.detail
    assert "hidden" not in found.detail
