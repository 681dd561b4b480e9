"""Which proxy: the variables that programs have in common, and no password in what is passed on."""

import pytest

from iris_exporter.core.failures import Failure
from iris_exporter.core.proxies import Proxy, proxy_for


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
    assert found == (None if proxy is None else Proxy(proxy))


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
    ],
)
def test_no_proxy_names_what_is_reached_directly(no_proxy: str, host: str, direct: bool) -> None:
    found = proxy_for(f"http://{host}/x", {"HTTP_PROXY": "http://p", "NO_PROXY": no_proxy})
    assert (found is None) is direct


def test_user_and_password_become_a_header_and_are_named_as_secrets() -> None:
    found = proxy_for("http://h/", {"HTTP_PROXY": "http://me:hidden%40word@p:3128/"})
    assert isinstance(found, Proxy)
    assert found.url == "http://p:3128"
    assert found.authorization == "Basic bWU6aGlkZGVuQHdvcmQ="
    assert set(found.secrets) == {"hidden@word", "bWU6aGlkZGVuQHdvcmQ="}
    assert "hidden" not in repr(found)
    assert "bWU6" not in repr(found)


@pytest.mark.parametrize(
    "value", ["socks5://p:1080", "http://", "http://p:99999", "http://[::1", "http://me:hidden@", "ftp://me:hidden@p"]
)
def test_a_variable_that_is_no_proxy_is_a_failure_without_its_value(value: str) -> None:
    found = proxy_for("https://h/", {"HTTPS_PROXY": value})
    assert isinstance(found, Failure)
    assert found.reason == "proxy"
    assert "HTTPS_PROXY" in found.detail
    assert "hidden" not in found.detail
