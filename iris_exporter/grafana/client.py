"""Grafana's HTTP API as far as a push needs it, over the package grafana-client (extra `grafana`).

That package is imported when a client is made and at no other time: one of its dependencies replaces urllib3 in the
whole environment, which a daemon must not have. Its errors, and those of the HTTP client below it, become
`GrafanaError` with what happened and what to do.
"""

import importlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from iris_exporter import logs
from iris_exporter.core import urls
from iris_exporter.core.failures import TransportError
from iris_exporter.errors import IrisExporterError, UsageError
from iris_exporter.http import tls
from iris_exporter.http.proxies import proxy_for

TIMEOUT_SECONDS = 10.0
"""Saving a large dashboard takes Grafana a second or two on a small machine."""

Json = dict[str, Any]

_ADVICE = {
    400: "Grafana refused what was sent; a provisioned dashboard can only be changed through its files",
    401: "the token is unknown or has expired: make a new one for a service account",
    403: "the token needs the role Editor, and Admin for data sources; what was provisioned from a file is read-only",
    404: "there is no such address: is --grafana.url the one that users open, with its path?",
    409: "another thing has this name already: rename or remove it, or choose another folder",
    412: "it was changed in Grafana in the meantime, or another dashboard there has its title: look, and push again",
}


@dataclass(eq=False)
class GrafanaError(IrisExporterError):
    """Grafana, or the way to it, did not do what was asked. `status` is 0 where there was no answer.

    `is_foreign`: what answered is no Grafana. `is_timeout`: no answer came in time.
    """

    what: str
    status: int
    detail: str
    is_foreign: bool = False
    is_timeout: bool = False

    def __str__(self) -> str:
        if not self.status:
            return f"{self.what}: {self.detail}"
        advice = _ADVICE.get(self.status, "Grafana's log says more")
        return f"{self.what}: status {self.status} ({self.detail}); {advice}"


class Grafana:
    """A Grafana that a token opens. Every method may raise `GrafanaError`."""

    def __init__(self, url: str, token: str, ca_file: Path | None = None) -> None:
        """Make a client; nothing is sent yet.

        Args:
            url: As users open it, with a path where there is one.
            token: Of a service account; never in a log or an error.
            ca_file: Certificates to trust for https; None takes the system's.
        Raises:
            UsageError: The address or the file makes no sense, or the extra is not installed.
        """
        wrong = urls.problem(url, ("http", "https")) or ("there is a query" if "?" in url else None)
        if wrong:
            raise UsageError(f"--grafana.url: expected http(s)://HOST[:PORT][/PATH], without user and query ({wrong})")
        parts = urlsplit(url)
        if ca_file is not None:
            try:
                tls.build(tls.Files(ca_file))
            except (tls.UnusableFileError, ValueError) as error:
                raise UsageError(f"--grafana.ca-file: {error}") from error
        try:
            package = importlib.import_module("grafana_client")
            self._errors = importlib.import_module("grafana_client.client")
            self._transport_error = importlib.import_module("niquests.exceptions").RequestException
        except ImportError as error:
            raise UsageError(
                "asking Grafana needs the extra `grafana`: pip install 'iris-exporter[grafana]', best in an "
                f"environment of its own ({error})"
            ) from error
        logs.protect(token)
        path = parts.path.strip("/")
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._api: Any = package.GrafanaApi(
            auth=token,
            host=parts.hostname if parts.hostname is None or ":" not in parts.hostname else f"[{parts.hostname}]",
            port=parts.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=parts.scheme,
            verify=str(ca_file) if ca_file else True,
            timeout=TIMEOUT_SECONDS,
        )
        self._use_proxy(url)

    def _use_proxy(self, url: str) -> None:
        """Give the library the proxy, instead of letting it read the variables in its own way."""
        try:
            proxy = proxy_for(url, os.environ)
        except TransportError as error:
            raise UsageError(f"--grafana.url: {error.failure.detail}") from None
        session = self._api.client.s
        session.trust_env = False
        if proxy is not None:
            session.proxies = dict.fromkeys(("http", "https"), proxy.full_url)

    def version(self) -> str | None:
        """What this Grafana calls its version; None where it hides that (`hide_version`) or lets nobody ask."""
        for path, inside in (("/frontend/settings", "buildInfo"), ("/health", None)):
            try:
                answer = self._ask("version", self._api.client.GET, path)
            except GrafanaError as error:
                if error.status in (403, 404):
                    continue
                raise
            about = answer if inside is None else answer.get(inside)
            if isinstance(about, dict) and about.get("version"):
                return str(about["version"])
        return None

    def folder(self, uid: str) -> Json | None:
        """A folder, None when there is none with this uid."""
        return self._find(f"folder {uid}", self._api.folder.get_folder, uid)

    def create_folder(self, uid: str, title: str) -> None:
        """Make a folder at the top."""
        self._ask(f"create folder {uid}", partial(self._api.folder.create_folder, title, uid=uid))

    def dashboard(self, uid: str) -> Json | None:
        """`dashboard` and `meta` of a dashboard, None when there is none with this uid."""
        return self._find(f"dashboard {uid}", self._api.dashboard.get_dashboard, uid)

    def save_dashboard(self, dashboard: Json, folder_uid: str, version: int | None, message: str) -> None:
        """Create a dashboard, or with the `version` that was read, change that one and no other."""
        books = {"id": None} if version is None else {"version": version}
        body = {"dashboard": {**dashboard, **books}, "folderUid": folder_uid, "message": message, "overwrite": False}
        self._ask(f"save dashboard {dashboard['uid']}", self._api.dashboard.update_dashboard, body)

    def datasource(self, uid: str) -> Json | None:
        """A data source, None when there is none with this uid."""
        return self._find(f"data source {uid}", self._api.datasource.get_datasource_by_uid, uid)

    def create_datasource(self, source: Json) -> None:
        """Make a data source."""
        self._ask(f"create data source {source['uid']}", self._api.datasource.create_datasource, source)

    def update_datasource(self, source: Json) -> None:
        """Replace the data source of that uid."""
        uid = source["uid"]
        self._ask(f"change data source {uid}", self._api.datasource.update_datasource_by_uid, uid, source)

    def datasources(self) -> list[Json]:
        """All data sources that the token may see."""
        found = self._answer("data sources", self._api.datasource.list_datasources)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._foreign("data sources")
        return found

    def datasource_health(self, uid: str) -> tuple[bool | None, str]:
        """Whether a data source answers Grafana's own test, and what it says; None where there is no test of it."""
        try:
            answer = self._ask(f"test of data source {uid}", self._api.datasource.health, uid)
        except GrafanaError as error:
            if error.status in (404, 501) and not error.is_foreign:
                return None, error.detail
            if error.status in (400, 500, 502, 503, 504) and not error.is_foreign:
                return False, error.detail
            raise
        return answer.get("status") == "OK", str(answer.get("message", ""))

    def _find(self, what: str, call: Callable[..., Any], uid: str) -> Json | None:
        try:
            return self._ask(what, call, uid)
        except GrafanaError as error:
            # A wrong address is answered by 404 too, but not by Grafana's sentence about the thing.
            if error.status == 404 and "not found" in error.detail.lower():
                return None
            raise

    def _ask(self, what: str, call: Callable[..., Any], *arguments: object) -> Json:
        answer = self._answer(what, call, *arguments)
        if not isinstance(answer, dict):
            raise self._foreign(what)
        return answer

    def _foreign(self, what: str) -> GrafanaError:
        detail = f"{self._url} does not answer like Grafana: is it a login page or a proxy?"
        return GrafanaError(what, 0, detail, is_foreign=True)

    def _answer(self, what: str, call: Callable[..., Any], *arguments: object) -> Any:
        try:
            return call(*arguments)
        except self._errors.GrafanaException as error:
            if not error.status_code:
                is_timeout = isinstance(error, self._errors.GrafanaTimeoutError)
                detail = f"no answer from {self._url}: {error.message}"
                raise GrafanaError(what, 0, detail, is_timeout=is_timeout) from error
            response = error.response
            is_foreign = not isinstance(response, dict)
            detail = "not an answer of Grafana's API" if is_foreign else response.get("message")
            raise GrafanaError(what, error.status_code, str(detail), is_foreign=is_foreign) from error
        except (self._transport_error, OSError, ValueError) as error:
            inner = _innermost(error)
            if isinstance(inner, json.JSONDecodeError):
                raise self._foreign(what) from error
            # The client does not wrap everything: a name that cannot be encoded, a proxy's address, a broken answer.
            words = str(inner) or type(inner).__name__
            is_timeout = isinstance(inner, TimeoutError) or "timed out" in words
            detail = f"no answer from {self._url}: {words}"
            raise GrafanaError(what, 0, detail, is_timeout=is_timeout) from error


def _innermost(error: BaseException) -> BaseException:
    """The error below all wrappers, whose texts are longer and mean the same."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error
