"""What can be found of the services beside a stream: Prometheus, the OTLP endpoint, Grafana."""

from iris_exporter.check.finding import Finding, Heading, Severity

_H = Heading


def _warning(cause: str, advice: str, heading: Heading = Heading.NONE) -> Finding:
    return Finding(Severity.WARNING, heading, cause, advice)


def _note(cause: str, advice: str) -> Finding:
    return Finding(Severity.NOTE, Heading.NONE, cause, advice)


def _way(prefix: str, what: str, address: str, authorities: str, client: str) -> dict[str, Finding]:
    """What can be wrong on the way to a service.

    Args:
        prefix: Of the ids.
        what: The service, in the middle of a sentence.
        address: The setting with its address.
        authorities: The setting with the certificate authorities to trust.
        client: What to do where it wants a certificate of the client.
    """
    found = {
        "dns": _warning(
            f"The host name of {what} cannot be resolved.",
            f"Check {address}, and the name servers of this machine.",
        ),
        "unreachable": _warning(
            f"No connection to {what} can be made: nothing listens there, or there is no way to it.",
            f"Check host and port in {address}, and whether it runs.",
        ),
        "connect_timeout": _warning(
            f"No connection to {what} is made within the limit: packets to this address are dropped.",
            f"Ask about a firewall or a network policy, and check host and port in {address}.",
        ),
        "proxy": _warning(
            f"The HTTP proxy to {what} cannot be used.",
            "Check the proxy variables, or name this host in `NO_PROXY`.",
        ),
        "tls_not_spoken": _warning(
            f"The port of {what} does not speak TLS, and the address asks for it (https).",
            f"Use http:// in {address}, or the port that speaks TLS.",
        ),
        "tls_expected": _warning(
            f"The port of {what} speaks TLS, and the address does not ask for it (http).",
            f"Use https:// in {address}.",
        ),
        "tls_expired": _warning(
            f"A certificate of {what} has expired.",
            "Have it renewed. When it is valid by your watch, the clock of this machine is wrong.",
        ),
        "tls_not_yet_valid": _warning(
            f"A certificate of {what} is not valid yet.",
            "Check the clock of this machine first; if it is right, have the certificate issued anew.",
        ),
        "tls_wrong_name": _warning(
            f"The certificate of {what} is for another name than the host in the address.",
            f"Use a name that is in the certificate in {address}.",
        ),
        "tls_self_signed": _warning(
            f"The certificate of {what} is signed by itself.",
            f"If this is meant, give that certificate by {authorities}; otherwise somebody is in between.",
        ),
        "tls_unknown_authority": _warning(
            f"The certificate of {what} comes from an authority that this machine does not know, or the chain lacks a "
            "link.",
            f"Give the authority by {authorities}, or have the intermediate certificates sent.",
        ),
        "tls_certificate": _warning(
            f"The certificate of {what} cannot be verified.", "The detail has the words of OpenSSL."
        ),
        "tls": _warning(
            f"No TLS connection to {what} comes about.",
            "Compare versions and cipher suites of TLS; its log says more.",
        ),
        "tls_expires_soon": _warning(
            f"A certificate of {what} expires within 14 days.", "Have it renewed before; after that nothing is sent."
        ),
        "client_certificate": _warning(
            f"A client certificate is wanted by {what}, and none is shown, or one that it does not accept.",
            client,
        ),
        "timeout": _warning(
            f"The connection is made, and no answer of {what} comes in time.",
            "Look at its load and its log, and at what stands in between.",
        ),
    }  # fmt: skip
    return {f"{prefix}_{name}": finding for name, finding in found.items()}


_PROMETHEUS = {
    "prometheus_unreachable": _warning(
        "Prometheus, or the way to it, does not answer as it should.",
        "Check the address of `--prometheus.url`; a Prometheus that wants a login cannot be asked.",
    ),
    "prometheus_not_scraped": _warning(
        "This Prometheus scrapes no iris-exporter.",
        "Add it to `scrape_configs`, or look at its row on Prometheus' page of targets.",
        _H.STALE,
    ),
    "prometheus_stream_missing": _warning(
        "This Prometheus scrapes an iris-exporter, and a stream of this configuration is in none of them.",
        "Look whether the exporter that it scrapes has this configuration: `/config` of the exporter shows it.",
        _H.STALE,
    ),
    "prometheus_no_rules": _warning(
        "The alerts and recording rules are not loaded: nobody would be told.",
        "Name `alerts/iris.rules.yaml` below `rule_files` and reload Prometheus.",
    ),
    "prometheus_rules_fail": _warning(
        "Prometheus cannot evaluate some of the rules.",
        "Look at its page of rules for the error; a limit on series or samples does this.",
    ),
}

_OTLP = _way(
    "otlp",
    "the OTLP endpoint",
    "`OTEL_EXPORTER_OTLP_ENDPOINT`",
    "`OTEL_EXPORTER_OTLP_CERTIFICATE`",
    "Name one by `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and `OTEL_EXPORTER_OTLP_CLIENT_KEY`.",
) | {
    "otlp_closed": _warning(
        "The OTLP endpoint ends the connection without an answer.",
        "Look at its log; a proxy in between may not pass this protocol on.",
    ),
    "otlp_wrong_protocol": _warning(
        "The port speaks another protocol than the one that is configured: OTLP/HTTP goes to 4318, OTLP/gRPC to 4317.",
        "Change the port, or `OTEL_EXPORTER_OTLP_PROTOCOL` (`http/protobuf`, `grpc`).",
    ),
    "otlp_not_otlp": _warning(
        "The OTLP endpoint answers with success and something else than OTLP: a web page, a login, a catch-all route. "
        "What is exported there counts as sent, and is lost.",
        "Check host and path of `OTEL_EXPORTER_OTLP_ENDPOINT`.",
    ),
    "otlp_redirect": _warning(
        "The OTLP endpoint redirects, which exports do not follow: they go to the configured host alone.",
        "Configure the address behind the redirect; a redirect to a login page wants credentials, or another path.",
    ),
    "otlp_key_missing": _warning(
        "The OTLP endpoint wants credentials, and no header is configured.",
        "Give them by `OTEL_EXPORTER_OTLP_HEADERS` (`Authorization=Bearer%20...`).",
    ),
    "otlp_unauthorized": _warning(
        "The OTLP endpoint does not accept the credentials.",
        "Check `OTEL_EXPORTER_OTLP_HEADERS`: its values are percent-encoded, and a signal's own variable replaces it.",
    ),
    "otlp_forbidden": _warning(
        "The OTLP endpoint knows the credentials, and they may not write.",
        "Give them the right to write this signal, or use others.",
    ),
    "otlp_not_found": _warning(
        "The OTLP endpoint answers over HTTP, and has nothing at this path.",
        "The variable `OTEL_EXPORTER_OTLP_ENDPOINT` gets `/v1/traces` or `/v1/logs` added, a signal's own variable is "
        "used as it is. A receiver without a pipeline for the signal answers the same.",
    ),
    "otlp_no_service": _warning(
        "The port answers over gRPC, and does not know the service for this signal.",
        "Add a pipeline for it to the collector, or switch it off here (`OTEL_LOGS_EXPORTER=none`), or check the port.",
    ),
    "otlp_refused": _warning(
        "The OTLP endpoint refuses the request: what was sent is wrong for it.",
        "The detail has its own words. It has to take protobuf, and the compression that is configured.",
    ),
    "otlp_partial": _warning(
        "The OTLP endpoint answers with a partial success, and has rejected the record.",
        "The detail has its own words; a limit, a filter or a quota does this. Rejected records are lost.",
    ),
    "otlp_rate_limited": _warning(
        "The OTLP endpoint takes nothing at present: a rate limit or a quota.",
        "Raise it, or sample traces (`OTEL_TRACES_SAMPLER`).",
    ),
    "otlp_unavailable": _warning(
        "The OTLP endpoint, or a gateway before it, says that it is not available.",
        "Look at the collector; what is exported meanwhile waits in a queue, and is dropped when that is full.",
    ),
    "otlp_server_error": _warning(
        "The OTLP endpoint fails by an error of its own.", "Look at its log, and at the exporters of its pipeline."
    ),
    "otlp_failed": _warning(
        "The span or log record was not taken, for a reason that has no finding of its own.",
        "The detail has the words of the library or of the endpoint.",
    ),
    "otlp_ignored": _warning(
        "A variable of OpenTelemetry makes no sense, and its default is used.", "Correct what the detail names."
    ),
    "otlp_off": _warning(
        "An OTLP endpoint is given, and other variables switch the export off.",
        "Unset `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER=none` and `OTEL_LOGS_EXPORTER=none`.",
    ),
    "otlp_remark": _note(
        "The OTLP endpoint has taken the record, and has something to say about it.", "Read the detail."
    ),
}  # fmt: skip

_GRAFANA = _way(
    "grafana",
    "Grafana",
    "`--grafana.url`",
    "`--grafana.ca-file`",
    "Use an address of Grafana that wants none.",
) | {
    "grafana_not_grafana": _warning(
        "What answers there is no Grafana, or its API is not below this address.",
        "Give the address that users open, with its path; a login page or a proxy in front has to let the API through.",
    ),
    "grafana_unauthorized": _warning(
        "Grafana does not know the token, or it has expired.",
        "Make a new token for a service account, and name its file by `--grafana.token-file`.",
    ),
    "grafana_forbidden": _warning(
        "The token is valid, and may not read this.",
        "Give its service account the role Viewer at least, the right to see the folder, and to query the data source.",
    ),
    "grafana_server_error": _warning("Grafana fails by an error of its own.", "Look at its log."),
    "grafana_too_old": _warning(
        "This Grafana is older than the dashboards need.", "Update it; older ones show some panels empty."
    ),
    "grafana_no_version": _note(
        "This Grafana does not say its version, or is newer than what the dashboards were written for.",
        "Nothing, unless panels look wrong.",
    ),
    "grafana_dashboard_missing": _warning(
        "Grafana does not have all of the dashboards.",
        "Put them there by `iris-exporter dashboards push`, by files (`dashboards export`), or by the chart.",
    ),
    "grafana_dashboard_differs": _warning(
        "Grafana has dashboards of another revision than this version of the exporter: older, newer or changed ones.",
        "The command `iris-exporter dashboards push --dry-run` shows the differences, and replaces them without "
        "`--dry-run`; provisioned ones are replaced through their files.",
    ),
    "grafana_datasource_missing": _warning(
        "Grafana has no Prometheus data source for the dashboards.",
        "Make one, or name it: `iris-exporter dashboards push --datasource=prometheus=URL`.",
        _H.STALE,
    ),
    "grafana_datasource_fails": _warning(
        "The data source of the dashboards does not answer, so that all panels are empty.",
        "Grafana's page of the data source has a test; check its address as Grafana's own machine sees it.",
        _H.STALE,
    ),
    "grafana_datasource_untested": _note(
        "This Grafana cannot test the data source, which older ones cannot.",
        "Open a dashboard to see whether it has data."
    ),
    "grafana_failed": _warning("Grafana did not answer what was asked.", "The detail says more."),
}  # fmt: skip

OF_SERVICES = _PROMETHEUS | _OTLP | _GRAFANA
"""By id; each id begins with its service."""
