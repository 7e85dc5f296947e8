"""Oracle's SDK as a client of ours: the configuration that it insists on, and the endpoint."""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import Any

from vision_toolkit.core.errors import Conflict, Invalid, NotFound, Unsupported
from vision_toolkit.services.auth.oci_signature import fingerprint

__all__ = ["client_of", "config_of"]

TENANCY, USER = "ocid1.tenancy.oc1..local", "ocid1.user.oc1..local"
"""Labels: who signs is known by the key alone."""


def config_of(region: str, *, key_file: str | os.PathLike[str] | None = None, trusted: bool = False) -> dict[str, str]:
    """Return a configuration as ``oci.config.from_file`` does.

    Parameters
    ----------
    region
        any; with an endpoint it does not matter.
    key_file
        a private key in PEM form, whose public half the server knows.
    trusted
        whether the server accepts any signature: without a file a key is made then, for this process alone.

    Raises
    ------
    Conflict
        if the server verifies signatures and there is no file.
    NotFound
        if there is no such file.
    Invalid
        if it is no private key of RSA without a passphrase.
    Unsupported
        if the package cryptography is not installed.
    """
    if key_file is None:
        if not trusted:
            raise Conflict(
                "This server verifies signatures: give key_file=, a private key whose public half it knows "
                "('vision-toolkit keys add PUBLIC.pem')."
            )
        text = _passing_key()
    else:
        try:
            with open(os.path.expanduser(key_file), encoding="ascii") as file:
                text = file.read()
        except FileNotFoundError:
            raise NotFound(f"There is no file {os.fspath(key_file)}.") from None
        except (OSError, UnicodeError) as error:
            raise Invalid(f"{os.fspath(key_file)} is no private key in PEM form: {error}.") from None
    return {
        "tenancy": TENANCY, "user": USER, "fingerprint": fingerprint(_public(text)), "key_content": text,
        "region": region,
    }  # fmt: skip


def client_of(url: str, config: dict[str, str], **options: Any) -> Any:
    """Return the SDK's client of a server; ``options`` are those of ``AIServiceVisionClient``.

    Raises
    ------
    Unsupported
        if the SDK is not installed.
    """
    try:
        vision = importlib.import_module("oci.ai_vision")
    except ImportError:
        raise Unsupported("A client needs Oracle's SDK: pip install oci.") from None
    return vision.AIServiceVisionClient(config, service_endpoint=url, **options)


@cache
def _passing_key() -> str:
    serialization, rsa = _cryptography()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode("ascii")


def _public(private: str) -> str:
    serialization, rsa = _cryptography()
    try:
        key = serialization.load_pem_private_key(private.encode("ascii"), None)
    except (ValueError, TypeError) as error:
        raise Invalid(f"This is no private key that can be read: {str(error)[:100]}.") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Invalid("OCI signs with keys of RSA; this one is another.")
    text: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return text.decode("ascii")


def _cryptography() -> tuple[Any, Any]:
    try:
        serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
        return serialization, importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    except ImportError:
        raise Unsupported("Keys of OCI need the package cryptography: pip install 'vision_toolkit[oci]'.") from None
