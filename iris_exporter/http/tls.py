"""TLS contexts of streams: which authorities they trust and how they identify themselves.

A context costs some milliseconds and, with the system's authorities, most of a megabyte, so a thousand streams with the
same settings share one. The files are checked at each dial and a changed one gives a new context, so renewed
certificates are used without a restart. Open connections continue with the context that they began with.
"""

import functools
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iris_exporter.http import handshakes

_MAX_CONTEXTS = 64


@dataclass(frozen=True, slots=True)
class Files:
    """Where the certificates are, all PEM. None: the system's authorities; no certificate; its key beside it."""

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(eq=False)
class UnusableFileError(Exception):
    """The file `path` cannot be used; `expected` completes "expected ..."."""

    path: Path
    expected: str

    def __str__(self) -> str:
        return f"{self.path}: not {self.expected}"


def build(files: Files, *, verify: bool = True) -> ssl.SSLContext:
    """Return a context for connections to a server; with `verify` false any certificate is accepted.

    Raises:
        UnusableFileError: Naming the file that is at fault.
    """
    context = _trusting(files.authorities)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files.certificate is not None:
        _identify(context, files.certificate, files.key)
    return context


def _trusting(authorities: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:  # ssl.SSLError is one, for a file without certificates
        if error.filename is not None and error.filename == os.environ.get("SSLKEYLOGFILE"):
            raise UnusableFileError(Path(error.filename), _expected("writable, for SSLKEYLOGFILE", error)) from None
        if authorities is None:
            raise
        raise UnusableFileError(authorities, _expected("a file with certificates (PEM)", error)) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return handshakes.watch(context)


def _identify(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:
        at_fault = certificate
        if key is not None and _holds_certificate(certificate):
            at_fault = key
        what = "a certificate (PEM)" + (" and its private key" if key is None else "")
        expected = "the private key (PEM, not encrypted) of tls-cert-file" if at_fault is key else what
        raise UnusableFileError(at_fault, _expected(expected, error)) from None


def _holds_certificate(path: Path) -> bool:
    try:
        ssl.create_default_context(cafile=path)
    except OSError:
        return False
    return True


def _expected(what: str, error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return f"{what} ({reason.lower().replace('_', ' ')})" if reason else what


Stamp = tuple[int, int, int]
"""Time, size and number of a file: they differ once it was written or replaced."""


def current(files: Files, *, verify: bool = True) -> ssl.SSLContext:
    """Return the shared context for the files as they are now. Reads files: call it in a thread.

    Raises:
        UnusableFileError: One of them is missing or broken.
    """
    found = stamps(files)
    with _making(files):  # or each of a thousand streams that start at once would make its own
        return _cached(files, found, verify)


def unusable_file(authorities: Path | None, certificate: Path | None, key: Path | None) -> tuple[Path, str] | None:
    """The file of these that is missing or broken, and what is expected of it; None when all can be used."""
    try:
        current(Files(authorities, certificate, key))  # shared by streams with the same files
    except UnusableFileError as error:
        return error.path, error.expected
    return None


@functools.lru_cache(maxsize=_MAX_CONTEXTS)
def _making(files: Files) -> threading.Lock:  # noqa: ARG001 (it is the key)
    """One lock for each set of files, because one that hangs must not delay the others."""
    return threading.Lock()


def stamps(files: Files) -> tuple[Stamp | None, ...]:
    """Stamps of the files, with those of the system (`SSL_CERT_FILE`) where no authorities are named.

    Raises:
        UnusableFileError: One of the files named is missing.
    """
    named = tuple(_stamp(path) for path in (files.authorities, files.certificate, files.key))
    return named if files.authorities is not None else (*named, *_system_stamps())


def _system_stamps() -> Iterator[Stamp | None]:
    """Stamps of the file and the directory with the system's authorities; None for a missing one."""
    paths = ssl.get_default_verify_paths()
    for path in filter(None, (paths.cafile, paths.capath)):
        try:
            yield _stamp(Path(path))
        except UnusableFileError:
            yield None


@functools.lru_cache(maxsize=_MAX_CONTEXTS)
def _cached(files: Files, stamps: tuple[Stamp | None, ...], verify: bool) -> ssl.SSLContext:  # noqa: ARG001 (the stamps are part of the key)
    return build(files, verify=verify)


def _stamp(path: Path | None) -> Stamp | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError as error:
        raise UnusableFileError(path, f"a readable file ({error.strerror})") from None
    return status.st_mtime_ns, status.st_size, status.st_ino
