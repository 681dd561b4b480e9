"""What of the exporter fails, and why: closed lists, and the errors of files."""

import errno
import os

import pytest

from iris_exporter.core.own_failures import ALL_REASONS, OWN_REASONS, PARTS, disk_reason
from iris_exporter.core.reasons import REASONS
from iris_exporter.instruments import catalog
from iris_exporter.instruments.exposition import Exposition
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.process.blocking import BlockedError
from tests.instruments.support import text


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), "no_permission"),
        (OSError(errno.EROFS, "Read-only file system"), "read_only"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "no_such_file"),
        (BlockedError("the disk does not answer"), "hangs"),
        (OSError(errno.EMFILE, "Too many open files"), "internal"),
        (OSError(errno.EIO, "Input/output error"), "disk"),
        (OSError("without a number"), "disk"),
    ],
)
def test_an_error_of_a_file_has_a_reason(error: OSError, reason: str) -> None:
    assert disk_reason(error) == reason


def test_every_error_of_the_system_has_a_listed_reason() -> None:
    assert {disk_reason(OSError(number, os.strerror(number))) for number in errno.errorcode} <= set(ALL_REASONS)


def test_a_word_has_one_meaning() -> None:
    assert set(OWN_REASONS) & set(REASONS) == set()
    assert [label.values for label in catalog.EXPORTER_FAILURE_INFO.labels] == [tuple(PARTS), tuple(ALL_REASONS)]


def test_a_part_is_shown_while_it_fails_with_its_last_reason() -> None:
    metrics = SelfMetrics("1", "r", "3")

    def shown() -> str:
        return text(Exposition(lambda: (), metrics, process_metrics=False), names=[catalog.EXPORTER_FAILURE_INFO.name])

    assert "{" not in shown()
    metrics.report("state", "disk_full")
    metrics.report("config", "invalid")
    metrics.report("state", "nobody knows it")
    assert metrics.failures() == {"config": "invalid", "state": "other"}
    assert 'iris_exporter_failure_info{part="config",reason="invalid"} 1.0' in shown()
    assert 'iris_exporter_failure_info{part="state",reason="other"} 1.0' in shown()
    metrics.report("config", None)
    metrics.report("config", None)
    assert metrics.failures() == {"state": "other"}
    assert "config" not in shown()


def test_a_broken_web_configuration_is_shown() -> None:
    metrics = SelfMetrics("1", "r", "3")
    metrics.web_config_checked("invalid")
    assert (metrics.shown(catalog.WEB_CONFIG_SUCCESSFUL), metrics.failures()) == (0, {"web_config": "invalid"})
    metrics.web_config_checked(None)
    assert (metrics.shown(catalog.WEB_CONFIG_SUCCESSFUL), metrics.failures()) == (1, {})
