"""Keys and certificates of a federation: an authority, a server, and a key for each client.

X.509 certificates of elliptic keys (P-256), made by the library `cryptography`, which Flower
brings along. Who holds a key that the authority signed may take part; the authority's own key
stays where it was made.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from codebuddy.errors import CodebuddyError, UsageError
from codebuddy.federation.flower import flower
from codebuddy.private_files import make_folder, read_file, write_file

_HOST = re.compile(r"(?=.{1,253}\Z)(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_READING = "cryptography.hazmat.primitives.serialization"
AUTHORITY, SERVER = "ca", "server"
_DAYS = 825
_MAX_BYTES = 64 << 10
# Of a certificate's common name, with what stands before it.
_NAME_LENGTH = 64
_COMMON_NAME = "codebuddy "


def make_keys(folder: Path, hosts: Sequence[str], clients: Sequence[str]) -> list[Path]:
    """Make what is missing in `folder`: `ca`, `server` and each client, `.pem` and `.key`.

    Args:
        folder: Made for its owner alone.
        hosts: Names and addresses that clients will call the server by.
        clients: Names of clients.

    Returns:
        The new files.

    Raises:
        UsageError: A client's name cannot be one of a file or certificate, or a host's is none.
        CodebuddyError: Something cannot be read or written, or the library is not installed.
    """
    for each in clients:
        if not each.replace("-", "").replace("_", "").isalnum():
            raise UsageError(f"{each!r} is no name for a client", hint="letters, digits, - and _")
        if len(_COMMON_NAME + each) > _NAME_LENGTH:
            most = _NAME_LENGTH - len(_COMMON_NAME)
            raise UsageError(f"{each!r} is longer than a client's name", hint=f"{most} letters")
        if each in (AUTHORITY, SERVER):
            raise UsageError(f"{each!r} is taken", hint="give the client another name")
    for each in hosts:
        _host(each)
    try:
        make_folder(folder)
        made: list[Path] = []
        authority = _authority(folder, made)
        names = [SERVER, *clients] if hosts else list(clients)
        for name in names:
            if (folder / f"{name}.pem").exists():
                continue
            made += _issue(folder, name, authority, hosts if name == SERVER else ())
    except OSError as error:
        raise CodebuddyError(
            f"keys cannot be kept in {folder}: {error.strerror}", hint="give another folder"
        ) from error
    return made


def unnamed_hosts(folder: Path, hosts: Sequence[str]) -> list[str]:
    """Those of the hosts that the server's certificate in `folder` does not name.

    Raises:
        UsageError: It cannot be read, or is none.
    """
    x509 = flower("cryptography.x509")

    if not hosts:
        return []
    file = folder / f"{SERVER}.pem"
    try:
        extensions = x509.load_pem_x509_certificate(read_pem(file)).extensions
        named = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise UsageError(f"{file} is damaged: {error}", hint="delete it") from error
    return [each for each in hosts if _host(each) not in named]


def read_pem(file: Path) -> bytes:
    """A certificate's or key's file.

    Raises:
        UsageError: It cannot be read, or is none.
    """
    try:
        content = read_file(file, _MAX_BYTES, follows_links=True)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if not content.lstrip().startswith(b"-----BEGIN "):
        raise UsageError(f"{file} is no certificate or key", hint="'codebuddy federate keys'")
    return content


def checked(keys: Sequence[Path]) -> list[bytes]:
    """The PEM texts of an authority, a certificate and its key: gRPC would name none of the faults.

    Args:
        keys: Their files.

    Raises:
        UsageError: One cannot be read or is none, the key is another one's, or the certificate is
            of another time.
        CodebuddyError: The library is not installed.
    """
    x509, reading = flower("cryptography.x509"), flower(_READING)
    texts = [read_pem(each) for each in keys]
    for file, text in zip(keys[:2], texts, strict=False):
        try:
            certificate = x509.load_pem_x509_certificate(text)
        except ValueError as error:
            raise UsageError(
                f"{file} is no certificate", hint="'codebuddy federate keys'"
            ) from error
        if (
            not certificate.not_valid_before_utc
            <= datetime.now(UTC)
            <= certificate.not_valid_after_utc
        ):
            raise UsageError(
                f"{file} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to"
                f" {certificate.not_valid_after_utc:%Y-%m-%d} alone",
                hint="delete it, and have it made anew, or set the clock",
            )
    try:
        key = reading.load_pem_private_key(texts[2], None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{keys[2]} is no key without a password") from error
    if key.public_key() != certificate.public_key():
        raise UsageError(f"{keys[2]} is not the key of {keys[1]}", hint="give both of one name")
    return texts


def _authority(folder: Path, made: list[Path]) -> tuple[Any, Any]:
    """The authority's certificate and key, made if they are missing."""
    x509, reading = flower("cryptography.x509"), flower(_READING)

    certificate, key = folder / f"{AUTHORITY}.pem", folder / f"{AUTHORITY}.key"
    if not certificate.exists():
        made += _issue(folder, AUTHORITY, None, ())
    try:
        return (
            x509.load_pem_x509_certificate(read_pem(certificate)),
            reading.load_pem_private_key(read_pem(key), None),
        )
    except ValueError as error:
        raise CodebuddyError(
            f"the authority in {folder} is damaged: {error}", hint="delete ca.pem and ca.key"
        ) from error


def _issue(
    folder: Path, name: str, authority: tuple[Any, Any] | None, hosts: Sequence[str]
) -> list[Path]:
    x509, writing = flower("cryptography.x509"), flower(_READING)
    hashes = flower("cryptography.hazmat.primitives.hashes")
    ec = flower("cryptography.hazmat.primitives.asymmetric.ec")

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _COMMON_NAME + name)])
    issuer, signer = (subject, key) if authority is None else (authority[0].subject, authority[1])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_host(each) for each in hosts]), critical=False
        )
    certificate = builder.sign(signer, hashes.SHA256())
    pem, private = folder / f"{name}.pem", folder / f"{name}.key"
    write_file(
        private,
        key.private_bytes(
            writing.Encoding.PEM, writing.PrivateFormat.PKCS8, writing.NoEncryption()
        ),
        is_durable=True,
    )
    write_file(pem, certificate.public_bytes(writing.Encoding.PEM), is_durable=True)
    return [pem, private]


def _host(name: str) -> Any:
    """A host as a certificate names it.

    Raises:
        UsageError: It is no name or address of one.
    """
    x509 = flower("cryptography.x509")

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if _HOST.fullmatch(name) is None:
            raise UsageError(
                f"{name!r} is no name or address of a host",
                hint="as build.example.org or 192.0.2.7, without a port",
            ) from None
        return x509.DNSName(name)
