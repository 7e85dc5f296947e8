"""What the SDK's own signer signs is accepted; whatever is changed afterwards is not."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from urllib.parse import quote, quote_plus

import oci
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from oci._vendor import requests

from vision_toolkit.core.errors import Invalid
from vision_toolkit.services.auth.oci_signature import OciSignature, fingerprint, read_public_key
from vision_toolkit.services.auth.sigv4 import Message, SignatureError

HOST = "127.0.0.1:8000"
TENANCY, USER = "ocid1.tenancy.oc1..a", "ocid1.user.oc1..b"
PEM = serialization.Encoding.PEM


@cache
def made(size: int, number: int) -> tuple[str, str]:
    return halves(rsa.generate_private_key(public_exponent=65537, key_size=size))


def pair(size: int = 2048, number: int = 0) -> tuple[str, str]:
    """Return a private key and its public half, in PEM form: the same ones each time."""
    return made(size, number)


def halves(key) -> tuple[str, str]:
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@cache
def signer(number: int = 0) -> oci.Signer:
    private, public = pair(number=number)
    return oci.Signer(TENANCY, USER, fingerprint(public), None, private_key_content=private)


def verifier(clock=lambda: datetime.now(UTC)) -> OciSignature:
    public = pair()[1]
    return OciSignature({fingerprint(public): public}.get, clock)


def signed(method="GET", path="/20220125/projects", query="", body=b"", headers=(), *, number=0) -> Message:
    """Sign as the SDK does: a prepared request, whose Host http.client adds."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    prepared = requests.Request(
        method, url, headers={"content-type": "application/json", **dict(headers)}, data=body or None
    ).prepare()
    done = signer(number)(prepared)
    assert done.path_url == path + (f"?{query}" if query else "")
    given_headers = {name.lower(): str(value) for name, value in done.headers.items()}
    return Message(method, path, query, list({**given_headers, "host": HOST}.items()))


def judge(message: Message, body: bytes = b"", **options) -> str:
    one = verifier(**options)
    claim = one.read(message)
    one.verify(claim, body)
    return claim.key


def said(message: Message, body: bytes = b"", **options) -> str:
    with pytest.raises(SignatureError) as caught:
        judge(message, body, **options)
    assert caught.value.code == "NotAuthenticated"
    return str(caught.value)


def changed(message: Message, **changes) -> Message:
    """Return the request with other headers; None takes one away."""
    names = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = [(name, names.pop(name, value)) for name, value in message.headers]
    return Message(message.method, message.path, message.query, [
        (name, value) for name, value in [*kept, *names.items()] if value is not None
    ])  # fmt: skip


def authorized(message: Message, **changes) -> Message:
    """Return the request with other words in Authorization."""
    text = dict(message.headers)["authorization"]
    for name, value in changes.items():
        before, _, rest = text.partition(f'{name}="')
        text = f'{before}{name}="{value}"{rest.partition(chr(34))[2]}'
    return changed(message, authorization=text)


TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=12)
SEGMENTS = TEXTS.map(lambda text: quote(text, safe="~")).filter(lambda text: text not in (".", ".."))
QUERIES = st.lists(st.tuples(TEXTS, TEXTS), max_size=4).map(
    lambda pairs: "&".join(f"{quote_plus(a)}={quote_plus(b)}" for a, b in pairs)
)


@given(st.sampled_from(["GET", "DELETE", "POST", "PUT"]), st.lists(SEGMENTS, min_size=1, max_size=4), QUERIES,
       st.binary(max_size=99))  # fmt: skip
def test_whatever_the_sdk_signs_is_accepted(method, segments, query, body):
    body = body if method in ("POST", "PUT") else b""
    message = signed(method, "/" + "/".join(segments), query, body)
    assert judge(message, body) == fingerprint(pair()[1])


@given(st.binary(min_size=1, max_size=60), st.binary(max_size=60), QUERIES, QUERIES, st.integers(0, 250))
def test_whatever_is_changed_afterwards_is_not(body, other, query, another, place):
    message = signed("POST", query=query, body=body)
    if other != body:
        assert "not the hash of the body" in said(message, other)
    if query != another:
        assert "not what the key makes" in said(Message("POST", message.path, another, message.headers), body)
    for one in (
        Message("PUT", message.path, query, message.headers),
        Message("POST", message.path + "/x", query, message.headers),
        changed(message, host="another:80"),
        changed(message, content_type="text/plain"),
        changed(message, content_length="9999"),
        changed(message, x_content_sha256=base64.b64encode(bytes(32)).decode()),
        changed(message, date=format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)),
    ):
        assert "not what the key makes" in said(one, body)
    raw = bytearray(
        base64.b64decode(dict(message.headers)["authorization"].partition('signature="')[2].partition('"')[0])
    )
    raw[place] ^= 1
    flipped = base64.b64encode(raw).decode()
    assert "not what the key makes" in said(authorized(message, signature=flipped), body)


@given(st.text(max_size=80))
def test_any_authorization_at_all_is_refused(text):
    for given_text in (text, f"Signature {text}"):
        said(Message("GET", "/", "", [("host", HOST), ("date", "x"), ("authorization", given_text)]))


def test_another_key_is_refused():
    assert "There is no key" in said(signed(number=1))
    known = fingerprint(pair()[1])
    message = authorized(signed(number=1), keyId=f"{TENANCY}/{USER}/{known}")
    assert "not what the key makes" in said(message)


def test_whose_key_it_is_is_known_by_the_key_alone():
    known = fingerprint(pair()[1])
    assert judge(authorized(signed(), keyId=f"other/else/{known.upper()}")) == known


@pytest.mark.parametrize("key", ["ST$token", "a/b", "a/b/c", "a/b/00:11", "", "a//" + "00:" * 15 + "00"])
def test_other_kinds_of_key_are_not_known(key):
    assert "TENANCY/USER/FINGERPRINT" in said(authorized(signed(), keyId=key))


@pytest.mark.parametrize(("seconds", "accepted"), [(0, True), (290, True), (-290, True), (310, False), (-310, False)])
def test_a_clock_may_be_five_minutes_wrong(seconds, accepted):
    message, clock = signed(), lambda: datetime.now(UTC) + timedelta(seconds=seconds)
    if accepted:
        assert judge(message, clock=clock)
    else:
        assert "more than 5 min" in said(message, clock=clock)


@pytest.mark.parametrize(
    "date", ["yesterday", "", "Thu, 99 Jan 2014 21:31:40 GMT", "Thu, 05 Jan 99999 21:31:40 GMT", "\xff"]
)
def test_a_date_that_is_none(date):
    assert "must be a date" in said(changed(signed(), date=date))


@pytest.mark.parametrize(
    ("method", "names", "missing"),
    [
        ("GET", "date host", "(request-target)"),
        ("GET", "date (request-target)", "host"),
        ("GET", "(request-target) host", "date"),
        ("POST", "date (request-target) host", "content-length, content-type, x-content-sha256"),
        ("PUT", "date (request-target) host content-length content-type", "x-content-sha256"),
    ],
)
def test_what_must_be_signed(method, names, missing):
    assert said(authorized(signed(method, body=b"{}" if method != "GET" else b""), headers=names)).endswith(
        f": {missing}."
    )


def test_a_body_that_nobody_signed_is_not_read():
    message = signed("DELETE")
    assert judge(message)
    assert "not signed" in said(message, b"{}")


@pytest.mark.parametrize(
    "names", ["DATE (request-target) host", "date date (request-target) host", "date (request-target) host x-new"]
)
def test_names_that_cannot_be_signed(names):
    said(authorized(signed(), headers=names))


@pytest.mark.parametrize("words", [{"version": "2"}, {"algorithm": "hmac-sha256"}, {"algorithm": "rsa-sha1"}])
def test_other_ways_to_sign_are_not_known(words):
    assert "Only version" in said(authorized(signed(), **words))


@pytest.mark.parametrize("signature", ["", "rubbish", "AAAA", "ä"])
def test_signatures_that_are_none(signature):
    assert "not what the key makes" in said(authorized(signed(), signature=signature))


@pytest.mark.parametrize("word", ["version", "keyId", "algorithm", "headers", "signature"])
def test_nothing_may_be_missing_or_there_twice(word):
    message = signed()
    text = dict(message.headers)["authorization"]
    parts = text.removeprefix("Signature ").split(",")
    without = ",".join(part for part in parts if not part.startswith(f"{word}="))
    assert f"has no {word}" in said(changed(message, authorization=f"Signature {without}"))
    twice = next(part for part in parts if part.startswith(f"{word}="))
    assert "Authorization must be" in said(changed(message, authorization=f"{text},{twice}"))


@pytest.mark.parametrize(
    "name", ["authorization", "host", "date", "content-length", "content-type", "x-content-sha256"]
)
def test_what_counts_may_not_be_there_twice(name):
    message = signed("POST", body=b"{}")
    twice = Message("POST", message.path, "", [*message.headers, (name, dict(message.headers)[name])])
    assert "more than once" in said(twice, b"{}")


def test_x_date_stands_for_date():
    from oci.signer import AbstractBaseSigner

    class Other(AbstractBaseSigner):
        def __init__(self) -> None:
            key = serialization.load_pem_private_key(pair()[0].encode(), None)
            self.create_signers(
                f"{TENANCY}/{USER}/{fingerprint(pair()[1])}", key, ["x-date", "(request-target)", "host"], []
            )

    moment = format_datetime(datetime.now(UTC), usegmt=True)
    prepared = requests.Request("GET", f"http://{HOST}/x", headers={"x-date": moment, "date": "rubbish"}).prepare()
    done = Other()(prepared)
    headers = {**{k.lower(): v for k, v in done.headers.items()}, "host": HOST}
    assert judge(Message("GET", "/x", "", list(headers.items())))


# ---------------------------------------------------------------- keys


def test_a_fingerprint_is_the_one_that_openssl_says(tmp_path):
    import subprocess
    from shutil import which

    if which("openssl") is None:
        pytest.skip("needs openssl")
    file = tmp_path / "public.pem"
    file.write_text(pair()[1])
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(file), "-outform", "DER"], capture_output=True, check=True
    )
    said = subprocess.run(["openssl", "md5", "-c"], input=der.stdout, capture_output=True, check=True).stdout.decode()
    assert said.strip().endswith(fingerprint(pair()[1]))


def test_a_public_key_is_read_however_it_is_laid_out():
    public = pair()[1]
    pkcs1 = (
        serialization.load_pem_public_key(public.encode()).public_bytes(PEM, serialization.PublicFormat.PKCS1).decode()
    )
    assert read_public_key(f"\n{public}\n\n") == read_public_key(pkcs1) == public


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lambda: pair()[0], "private key"),
        (lambda: "rubbish", "no public key"),
        (lambda: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key"),
        (lambda: halves(ec.generate_private_key(ec.SECP256R1()))[1], "keys of RSA"),
        (lambda: pair(1024)[1], "2048 bits"),
    ],
    ids=["private", "rubbish", "broken", "elliptic", "short"],
)
def test_what_is_no_public_key_is_said_so(text, words):
    with pytest.raises(Invalid, match=words):
        read_public_key(text())


def test_without_cryptography_nothing_is_accepted(monkeypatch):
    import sys

    message = signed()
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)
    assert "vision_toolkit[oci]" in said(message)
