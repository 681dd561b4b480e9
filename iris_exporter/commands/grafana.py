"""The options by which commands reach a Grafana."""

from pathlib import Path

from iris_exporter.commands.arguments import Parser
from iris_exporter.config.option_types import read_key
from iris_exporter.config.values import BadValueError
from iris_exporter.errors import UsageError


def add_grafana(parser: Parser, help_of_url: str, role: str, *, required: bool) -> None:
    """Declare address, token and authorities; `role` is what the service account needs."""
    parser.add_argument("--grafana.url", dest="grafana_url", required=required, metavar="URL", help=help_of_url)
    parser.add_argument(
        "--grafana.token-file", dest="grafana_token_file", required=required, type=Path, metavar="FILE",
        help=f"file with the token of a service account (role {role})",
    )  # fmt: skip
    parser.add_argument(
        "--grafana.ca-file", dest="grafana_ca_file", type=Path, metavar="FILE",
        help="PEM file with the certificate authorities to trust (default: those of the system)",
    )  # fmt: skip


def grafana_token(path: Path) -> str:
    """The token in a file. Raises UsageError."""
    try:
        return read_key(path, "the token")
    except BadValueError as error:
        raise UsageError(f"--grafana.token-file: got {error.shown}, expected {error.expected}") from None
    except ValueError as error:
        raise UsageError(f"--grafana.token-file: cannot read {str(path)!r}: {error}") from None
