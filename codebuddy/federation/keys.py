"""Keys and certificates of a federation: an authority, a server, and a key for each client.

X.509 certificates of elliptic keys (P-256), made by the library `cryptography`, which Flower
brings along. Who holds a key that the authority signed may take part; the authority's own key
stays where it was made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from codebuddy.errors import CodebuddyError, UsageError
from codebuddy.private_files import make_folder, read_file, write_file

AUTHORITY, SERVER = "ca", "server"
_DAYS = 825
_MAX_BYTES = 64 << 10
_NAME_LENGTH = 64


def make_keys(folder: Path, hosts: Sequence[str], clients: Sequence[str]) -> list[Path]:
    """Make what is missing in `folder`: `ca`, `server` and each client, `.pem` and `.key`.

    Args:
        folder: Made for its owner alone.
        hosts: Names and addresses that clients will call the server by.
        clients: Names of clients.

    Returns:
        The new files.

    Raises:
        UsageError: A name cannot be one of a file.
        CodebuddyError: Something cannot be read or written.
    """
    for each in clients:
        if not each.replace("-", "").replace("_", "").isalnum() or len(each) > _NAME_LENGTH:
            raise UsageError(f"{each!r} is no name for a client", hint="letters, digits, - and _")
        if each in (AUTHORITY, SERVER):
            raise UsageError(f"{each!r} is taken", hint="give the client another name")
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


def _authority(folder: Path, made: list[Path]) -> tuple[Any, Any]:
    """The authority's certificate and key, made if they are missing."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate, key = folder / f"{AUTHORITY}.pem", folder / f"{AUTHORITY}.key"
    if not certificate.exists():
        made += _issue(folder, AUTHORITY, None, ())
    try:
        return (
            x509.load_pem_x509_certificate(read_pem(certificate)),
            load_pem_private_key(read_pem(key), None),
        )
    except ValueError as error:
        raise CodebuddyError(
            f"the authority in {folder} is damaged: {error}", hint="delete ca.pem and ca.key"
        ) from error


def _issue(
    folder: Path, name: str, authority: tuple[Any, Any] | None, hosts: Sequence[str]
) -> list[Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"codebuddy {name}")])
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
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        is_durable=True,
    )
    write_file(pem, certificate.public_bytes(Encoding.PEM), is_durable=True)
    return [pem, private]


def _host(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
