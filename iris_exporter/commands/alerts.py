"""The command `iris-exporter alerts`: write alerting rules for a mapping, and their tests, to files."""

import argparse
import sys
from pathlib import Path

import yaml

from iris_exporter import logs
from iris_exporter.commands.arguments import Parser, reads
from iris_exporter.commands.mappings import add_mapping, chosen_mapping, read_mappings
from iris_exporter.config import option_types
from iris_exporter.errors import UsageError


def add_arguments(parser: Parser) -> None:
    """Declare the command and its options."""
    parser.example += " export --mapping wikimedia rules"
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    export = commands.add_parser("export", help="write rules for Prometheus, and tests of them for promtool")
    export.example += " --mapping wikimedia rules"
    export.add_argument(
        "directory",
        type=Path,
        metavar="DIR",
        help="where to write; the directory is made if missing, and files are replaced",
    )
    add_mapping(export)
    export.add_argument(
        "--web.runbook-base-url", dest="runbooks", type=reads(option_types.BASE_URL), metavar="URL",
        help="address of the page with the runbooks, as of the exporter (default: the one that the dashboards lead to)",
    )  # fmt: skip
    export.add_argument(
        "--web.grafana-url", dest="grafana", type=reads(option_types.BASE_URL), metavar="URL",
        help="address of Grafana, as users open it (default: links to dashboards lead somewhere in Grafana alone)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write the files; 0 when they are there.

    Raises:
        UsageError: There is no such mapping, or a file cannot be written.
        ConfigError: The mapping cannot be used.
    """
    from iris_exporter.grafana import files, mapped
    from iris_exporter.instruments import mapping_alerts

    logs.setup("info", "logfmt")
    mapping = chosen_mapping(arguments.mapping, read_mappings(arguments.config_file))
    dashboard = f"{(arguments.grafana or '').rstrip('/')}/d/{mapped.uid(mapping.name)}"
    links = mapping_alerts.Links(arguments.runbooks or files.runbooks(), dashboard)
    name = f"{mapping.name}.rules.yaml"
    directory: Path = arguments.directory
    for path, document in {
        directory / name: mapping_alerts.rules_file(mapping, links),
        directory / f"{mapping.name}.rules.test.yaml": mapping_alerts.tests_file(mapping, name),
    }.items():
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"cannot write {str(path)!r}: {error}") from error
        sys.stdout.write(f"{path}\n")
    return 0
