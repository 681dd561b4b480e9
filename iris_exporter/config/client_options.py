"""Options of what identifies us to a server that is no stream: the same set for each, after the options of a stream."""

from iris_exporter.config import values
from iris_exporter.config.option import Option

NAMES = (
    *("headers", "headers-file", "tls-ca-file", "tls-cert-file", "tls-key-file", "tls-server-name"),
    *("tls-insecure-skip-verify", "proxy"),
)
"""By what follows the prefix; the key has a name of its own."""


def client_options(prefix: str, url: str, *, restart: bool) -> tuple[Option, ...]:
    """The options whose keys begin with `prefix`, for requests to the address in `url`."""
    return (
        Option(
            f"{prefix}headers",
            values.HEADERS,
            None,
            f"header sent to {url}, as `Name: value`; can be given several times; in a file a mapping",
            f"what is secret belongs into {prefix}headers-file",
            restart=restart,
        ),
        Option(
            f"{prefix}headers-file",
            values.HEADERS_FILE,
            None,
            "file with such headers, one in each line, as for `Authorization: Basic`; read again for each request",
            f"then only those of {prefix}headers, over which the file goes",
            restart=restart,
        ),
        Option(
            f"{prefix}tls-ca-file",
            values.FILE,
            None,
            f"file with the authorities (PEM) behind the certificate of {url}; read again when it changes",
            "then those that this machine trusts",
            restart=restart,
        ),
        Option(
            f"{prefix}tls-cert-file",
            values.FILE,
            None,
            f"file with our certificate (PEM), where {url} asks for one; read again when it changes",
            "few servers ask",
            restart=restart,
        ),
        Option(
            f"{prefix}tls-key-file",
            values.FILE,
            None,
            f"file with the private key (PEM, not encrypted) of {prefix}tls-cert-file",
            "then the key is in the file of the certificate, too",
            restart=restart,
        ),
        Option(
            f"{prefix}tls-server-name",
            values.SERVER_NAME,
            None,
            f"name that the certificate of {url} has to be for, and that is sent as SNI",
            "then the host of the URL",
            restart=restart,
        ),
        Option(
            f"{prefix}tls-insecure-skip-verify",
            values.SWITCH,
            "false",
            f"accept any certificate of {url}: anybody on the way can read the key and invent data",
            f"for a first try alone; {prefix}tls-ca-file is the answer to a certificate of one's own",
            restart=restart,
        ),
        Option(
            f"{prefix}proxy",
            values.choice("environment", "none"),
            "environment",
            "HTTP proxy: that of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or none",
            "what other programs on the machine do",
            restart=restart,
        ),
    )
