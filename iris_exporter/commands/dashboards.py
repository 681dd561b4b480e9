"""The command `iris-exporter dashboards`: write the files for Grafana, or push them into one."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from iris_exporter import logs
from iris_exporter.commands.arguments import Parser
from iris_exporter.commands.grafana import add_grafana, grafana_token
from iris_exporter.commands.mappings import add_mappings, chosen_mapping, read_mappings
from iris_exporter.core import urls
from iris_exporter.errors import UsageError
from iris_exporter.grafana import files, versions
from iris_exporter.grafana.client import Grafana
from iris_exporter.grafana.push import Action, Change, push


def add_arguments(parser: Parser) -> None:
    """Declare the two commands and their options."""
    parser.example += " export dashboards"
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    export = commands.add_parser("export", help="write dashboards and provisioning files to a directory")
    export.add_argument(
        "directory",
        type=Path,
        metavar="DIR",
        help="where to write; the directory is made if missing, and files are replaced",
    )
    push = commands.add_parser(
        "push",
        help=f"create the dashboards in a Grafana ({versions.NEEDED}), or update those that differ",
        description="Create the dashboards in a Grafana, or update those that differ. "
        f"Needs Grafana {versions.NEEDED}; an older one is left alone.",
    )
    export.example += " dashboards"
    push.example += " --grafana.url=https://grafana.example.com --grafana.token-file=token --dry-run"
    add_grafana(push, "address of the Grafana, as users open it", "Editor; Admin for data sources", required=True)
    push.add_argument(
        "--folder", default="IRIS", metavar="TITLE",
        help="title of the folder, if it has to be created (default: %(default)s)",
    )  # fmt: skip
    push.add_argument(
        "--datasource", action="append", default=[], metavar="KIND=URL",
        help=f"also create or update the data source of this kind ({', '.join(files.KINDS)}) with this address; repeat "
        "the flag for several",
    )  # fmt: skip
    push.add_argument(
        "--dry-run", dest="dry_run", action="store_true", help="show what would change, and change nothing"
    )
    for command in (export, push):
        add_mappings(command)
        command.add_argument(
            "--action.reset-url", dest="reset_url", metavar="URL",
            help="add a button that resets a stream; URL is where browsers find the exporter, at Grafana's own origin; "
            "read docs/dashboards.md first (default: no button)",
        )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run either command; 0 when it is done.

    Raises:
        UsageError: An argument makes no sense, a file cannot be read or written, the extra is missing, or the Grafana
            is too old.
        GrafanaError: Grafana did not do what was asked.
    """
    logs.setup("info", "logfmt")
    reset_url = None if arguments.reset_url is None else _reset_url(arguments.reset_url)
    of_mappings = _of_mappings(arguments, reset_url)
    if arguments.action == "export":
        return _export(arguments.directory, reset_url, of_mappings)
    return _push(arguments, reset_url, of_mappings)


def _of_mappings(arguments: argparse.Namespace, reset_url: str | None) -> list[files.Json]:
    """The dashboards of the mappings that are asked for."""
    if not arguments.mapping:
        return []
    from iris_exporter.grafana import mapped

    read = read_mappings(arguments.config_file)
    found = [mapped.dashboard(chosen_mapping(name, read)) for name in dict.fromkeys(arguments.mapping)]
    return found if reset_url is None else [files.with_reset(dashboard, reset_url) for dashboard in found]


def _reset_url(text: str) -> str:
    as_path = text.startswith("/") and not text.startswith("//")
    wrong = urls.problem(f"http://localhost{text}" if as_path else text, ("http", "https"))
    if wrong or "?" in text:
        raise UsageError("--action.reset-url: expected a path such as /iris-exporter, or http(s)://HOST[:PORT][/PATH]")
    return text.rstrip("/")


def _export(directory: Path, reset_url: str | None, of_mappings: Iterable[files.Json]) -> int:
    written = [*_exported(reset_url), *map(_file_of, of_mappings)]
    try:
        for path, text in written:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"cannot write {str(directory)!r}: {error}") from error
    sys.stdout.write("".join(f"{directory / path}\n" for path, _ in written))
    return 0


def _exported(reset_url: str | None) -> Iterator[tuple[Path, str]]:
    for path, text in files.dashboard_files():
        if reset_url is not None:
            dashboard = files.with_reset(json.loads(text), reset_url)
            text = json.dumps(dashboard, indent=2, sort_keys=True, ensure_ascii=False) + "\n"  # noqa: PLW2901 (the other form of it)
        yield Path("dashboards") / path, text
    for path, text in files.provisioning_files():
        yield Path("provisioning") / path, text


def _file_of(dashboard: files.Json) -> tuple[Path, str]:
    text = json.dumps(dashboard, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return Path("dashboards") / f"{dashboard['uid']}.json", text


def _push(arguments: argparse.Namespace, reset_url: str | None, of_mappings: Iterable[files.Json]) -> int:
    datasources = [_datasource(text) for text in arguments.datasource]
    api = Grafana(arguments.grafana_url, grafana_token(arguments.grafana_token_file), arguments.grafana_ca_file)
    wanted = list(files.dashboards().values())
    if reset_url is not None:
        wanted = [files.with_reset(dashboard, reset_url) for dashboard in wanted]
    wanted += of_mappings
    sys.stdout.write(f"{'Grafana':<12} {versions.checked(api.version())}\n")
    changed = 0

    def report(change: Change) -> None:
        nonlocal changed
        changed += change.action is not Action.UNCHANGED
        _print(change, dry_run=arguments.dry_run)

    try:
        push(api, wanted, datasources, folder_title=arguments.folder, dry_run=arguments.dry_run, report=report)
    finally:
        # After a failure, too: what had been done by then stays done.
        sys.stdout.write(f"{changed or 'nothing'} {'would change' if arguments.dry_run else 'changed'}\n")
        sys.stdout.flush()
    return 0


def _print(change: Change, *, dry_run: bool) -> None:
    word = "unchanged"
    if change.action is not Action.UNCHANGED:
        word = f"would {change.action}" if dry_run else f"{change.action}d"
    sys.stdout.write(f"{word:<12} {change.kind} {change.uid}\n{change.diff}")
    sys.stdout.flush()


def _datasource(text: str) -> files.Json:
    kind, _, url = text.partition("=")
    if kind not in files.KINDS or urls.problem(url, ("http", "https")):
        raise UsageError(
            f"--datasource: expected KIND=URL with a kind of {', '.join(files.KINDS)} and an http(s) address"
        )
    return files.datasource(kind, url)
