"""Whether a Grafana has the shipped dashboards, and whether their data source answers it.

Source: Grafana, HTTP API: Dashboard, Data source (health by uid).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from iris_exporter.check.diagnosis import EXPIRES_SOON_DAYS
from iris_exporter.check.findings import Found
from iris_exporter.check.observations import Service, Way
from iris_exporter.check.reaching import Progress, Reaching, Steps
from iris_exporter.check.ways import service_finding
from iris_exporter.clock import Clock
from iris_exporter.core.failures import TransportError
from iris_exporter.errors import UsageError
from iris_exporter.grafana import files, versions
from iris_exporter.grafana.client import TIMEOUT_SECONDS, Grafana, GrafanaError, Json
from iris_exporter.grafana.revision import board_list, is_shipped
from iris_exporter.http import tls
from iris_exporter.http.redirects import origin
from iris_exporter.process.blocking import BlockedError, Pool

KIND = "prometheus"
"""The kind of data source without which a dashboard shows nothing; the others add to some of its panels."""
VARIABLE = "prometheus_datasource"
"""The dashboards' variable that chooses it."""
_ALL_SECONDS = 120.0
"""For all questions together: each has a limit of its own."""
_WORDS = 200

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Dashboards:
    """Uids of the shipped dashboards that are not there, and that are there in another revision; and those there."""

    missing: tuple[str, ...]
    different: tuple[str, ...]
    there: tuple[Json, ...]


async def examine_grafana(
    url: str, grafana: Grafana, ca_file: Path | None, *, direct: bool, clock: Clock, progress: Progress
) -> Service:
    """Ask the Grafana at `url`; `direct` when no proxy is in between, so that the way to it can be gone."""
    service, way = Service("grafana", url), Way()
    steps = Steps(service.steps, clock, progress)
    _, host, port = origin(url)
    reaching = Reaching(steps, way, clock, host, port, TIMEOUT_SECONDS)
    try:
        if direct:
            await _approach(url, ca_file, reaching)
            if way.certificate_days is not None and way.certificate_days < EXPIRES_SOON_DAYS:
                service.found.append(Found("grafana_tls_expires_soon", f"in {way.certificate_days:.0f} days"))
        await _ask_all(grafana, service, steps)
    except TransportError as error:
        steps.failed(error.failure)
        service.found.append(Found(service_finding("grafana", error.failure, steps.current), error.failure.detail))
    except GrafanaError as error:
        steps.done(str(error), ok=False)
        speaks_tls = direct and not error.status and url.startswith("http:") and await reaching.is_tls()
        service.found.append(Found("grafana_tls_expected") if speaks_tls else _of_error(error))
    except BlockedError as error:
        steps.done(str(error.strerror), ok=False)
        service.found.append(Found("grafana_timeout", str(error.strerror)))
    return service


async def _approach(url: str, ca_file: Path | None, reaching: Reaching) -> None:
    scheme, host, _ = origin(url)
    await reaching.connect(await reaching.resolve(), to_proxy=False)
    if scheme == "https":
        await reaching.secure(tls.build(tls.Files(ca_file)), host)


async def _ask_all(grafana: Grafana, service: Service, steps: Steps) -> None:
    """Ask for version, dashboards and data source. Raises GrafanaError and BlockedError."""
    pool = Pool("grafana-check", 1, _ALL_SECONDS)

    async def ask(work: Callable[[], Answer]) -> Answer:
        return await pool.run(work, service.url)

    steps.begin("version", "asking for the version")
    of_version = _of_version(await ask(grafana.version), steps)
    steps.begin("dashboards", "reading the dashboards")
    boards = await ask(lambda: _dashboards(grafana))
    service.found += [*of_version, *_of_dashboards(boards)]
    wanted = len(boards.missing) + len(boards.there)
    text = f"{len(boards.there) - len(boards.different)} of {wanted} are there as shipped"
    steps.done(text, ok=not (boards.missing or boards.different))
    steps.begin("data source", "asking whether the data source answers")
    source = chosen(await ask(grafana.datasources), boards.there)
    if source is None:
        steps.done(f"there is none of the kind {KIND}", ok=False)
        service.found.append(Found("grafana_datasource_missing"))
        return
    name = f"{source.get('name', '')} ({source.get('uid', '')})"[:_WORDS]
    answers, words = await ask(lambda: grafana.datasource_health(str(source.get("uid", ""))))
    steps.done(f"{name}: {words[:_WORDS] or 'no word'}", ok=answers is not False)
    if answers is None:
        service.found.append(Found("grafana_datasource_untested", name))
    elif not answers:
        service.found.append(Found("grafana_datasource_fails", f"{name}: {words[:_WORDS]}"))


def _of_version(version: str | None, steps: Steps) -> list[Found]:
    try:
        sentence = versions.checked(version)
    except UsageError as error:
        steps.done(str(error), ok=False)
        return [Found("grafana_too_old", f"{versions.NEEDED} are needed")]
    steps.done(sentence)
    return [Found("grafana_no_version", sentence)] if version is None or versions.is_newer(version) else []


def _dashboards(grafana: Grafana) -> Dashboards:
    missing, different, there = [], [], []
    for uid, wanted in files.dashboards().items():
        found = grafana.dashboard(uid)
        if found is None:
            missing.append(uid)
            continue
        board = found.get("dashboard")
        if not isinstance(board, dict):
            raise GrafanaError(f"dashboard {uid}", 0, "the answer has no dashboard", is_foreign=True)
        there.append(board)
        if not is_shipped(wanted, board):
            different.append(uid)
    return Dashboards(tuple(missing), tuple(different), tuple(there))


def _of_dashboards(boards: Dashboards) -> Iterator[Found]:
    if boards.missing:
        yield Found("grafana_dashboard_missing", ", ".join(boards.missing))
    if boards.different:
        yield Found("grafana_dashboard_differs", ", ".join(boards.different))


def chosen(sources: list[Json], boards: tuple[Json, ...]) -> Json | None:
    """The data source that the dashboards open with: the saved one, the shipped one, the default, or the first."""
    known = [each for each in sources if each.get("type") == KIND]
    shipped = files.datasource(KIND, "")["uid"]
    for uid in (*map(_saved, boards), shipped):
        for each in known:
            if uid and each.get("uid") == uid:
                return each
    return next((each for each in known if each.get("isDefault")), known[0] if known else None)


def _saved(board: Json) -> str | None:
    """The data source that a dashboard was saved with; whoever has saved it, it may have any shape."""
    for variable in board_list(board, "templating", "list"):
        if variable.get("name") == VARIABLE:
            current = variable.get("current")
            value = current.get("value") if isinstance(current, dict) else None
            return value if isinstance(value, str) else None
    return None


def _of_error(error: GrafanaError) -> Found:
    detail = f"{error.what}: {error.detail}"[:_WORDS]
    if error.status >= 500:
        return Found("grafana_server_error", f"{detail} (status {error.status})")
    if error.is_foreign or error.status in (404, 405):
        return Found("grafana_not_grafana", detail)
    if error.status in (401, 403):
        return Found("grafana_unauthorized" if error.status == 401 else "grafana_forbidden", detail)
    return Found("grafana_timeout" if error.is_timeout else "grafana_failed", detail)
