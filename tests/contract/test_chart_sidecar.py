"""A chart that adds the exporter to its own pod, and the script that `helm test` runs."""

import http.server
import runpy
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.chart import CHART, HELMS, ROOT, only, rendered

needs_helm = pytest.mark.needs(*HELMS)


@needs_helm
@pytest.mark.parametrize("program", HELMS)
def test_a_chart_adds_the_exporter_to_its_own_pod(program: str, tmp_path: Path) -> None:
    """As a native sidecar, with volumes, a key, downward attributes, an annotation that follows the values."""
    chart = tmp_path / "application"
    shutil.copytree(ROOT / "tests/data/chart/application", chart)
    shutil.copytree(CHART, chart / "charts/iris-exporter")
    objects = rendered(program, chart)
    pod = only(objects, "Deployment")["spec"]["template"]

    (sidecar,) = pod["spec"]["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["image"] == "iris-exporter/iris-exporter:0.1.0"
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {mount["name"] for mount in sidecar["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["spec"]["volumes"]}
    # The pod's own security context may have no fsGroup: whoever the container is can read its key.
    (credentials,) = (volume["projected"] for volume in pod["spec"]["volumes"] if "projected" in volume)
    assert credentials["defaultMode"] == 0o444
    attributes = {each["name"]: each.get("value", "") for each in sidecar["env"]}["OTEL_RESOURCE_ATTRIBUTES"]
    assert "k8s.pod.name=$(K8S_POD_NAME)" in attributes
    assert "deployment.name" not in attributes

    names = {volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume}
    assert names == {only(objects, "ConfigMap")["metadata"]["name"]}
    assert {each["kind"] for each in objects} == {"ConfigMap", "Deployment", "PodMonitor"}
    assert only(objects, "PodMonitor")["spec"]["selector"]["matchLabels"] == {"app": "application"}

    changed = rendered(program, chart, "--set=iris-exporter.log.level=warn,iris-exporter.config.web.max-requests=3")
    other = only(changed, "Deployment")["spec"]["template"]
    assert other["metadata"]["annotations"] != pod["metadata"]["annotations"]
    assert "--log.level=warn" in other["spec"]["initContainers"][0]["args"]


@contextmanager
def answering(status: int, text: str) -> Iterator[str]:
    """A server with one answer; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "text", "authentication", "outcome"),
    [
        (200, 'iris_exporter_build_info{version="1"} 1\n', "", 0),
        (200, "<html>", "", "is not the exporter"),
        (401, "", "true", 0),
        (401, "", "", "401"),
        (503, "", "true", "503"),
    ],
)
def test_helm_test_tells_the_exporter_from_others(
    status: int, text: str, authentication: str, outcome: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer with the exporter's metrics, or the question for a password where one is configured."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setenv("AUTHENTICATION", authentication)
    with answering(status, text) as url:
        monkeypatch.setenv("URL", url)
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(CHART / "files/scrape.py"))
    assert exit_.value.code == outcome if outcome == 0 else str(outcome) in str(exit_.value.code)
