"""What botocore's own signer signs is accepted; whatever is changed afterwards is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.services.auth.keys import Keys
from vision_toolkit.services.auth.sigv4 import UNSIGNED, Message, Signature4, SignatureError
from vision_toolkit.services.lookout import LookoutVision
from vision_toolkit.services.lookout.front import LookoutFront

NOW = datetime.now(UTC)
SECRETS = {"AKID": "secret/with+signs="}
HOST = "127.0.0.1:8000"


def verifier(clock=lambda: datetime.now(UTC), secrets=SECRETS) -> Signature4:
    return Signature4("lookoutvision", secrets.get, clock)


def signed(
    method="GET", path="/2020-11-20/projects", query="", body=b"", headers=(), *, token=None, key="AKID",
    secret=SECRETS["AKID"], service="lookoutvision", region="eu-central-1",
) -> Message:  # fmt: skip
    """Sign as boto3 does: a prepared request, whose Host http.client adds."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    given = [(name.lower(), str(value)) for name, value in request.headers.items()]
    return Message(method, path, query, [("host", HOST), *given])


def judge(message: Message, body: bytes = b"", *, streams: bool = False, **options) -> str:
    one = verifier(**options)
    claim = one.read(message, streams=streams)
    one.verify(message, claim, body)
    return claim.key


def code(message: Message, body: bytes = b"", **options) -> str:
    with pytest.raises(SignatureError) as caught:
        judge(message, body, **options)
    return caught.value.code


def changed(message: Message, **changes) -> Message:
    """Return the request with other headers; None takes one away."""
    names = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = [(name, names.pop(name, value)) for name, value in message.headers]
    return Message(message.method, message.path, message.query, [
        (name, value) for name, value in [*kept, *names.items()] if value is not None
    ])  # fmt: skip


TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
SEGMENTS = TEXTS.map(lambda text: quote(text, safe="~")).filter(lambda text: text not in ("", ".", ".."))
QUERIES = st.lists(st.tuples(TEXTS, TEXTS), max_size=5).map(lambda pairs: urlencode(pairs, quote_via=quote))
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30).filter(str.strip)
HEADERS = st.dictionaries(st.sampled_from(["X-Amzn-Client-Token", "Content-Type", "X-Amz-Meta-A"]), VALUES)


@given(
    st.sampled_from(["GET", "POST", "PATCH", "DELETE"]), st.lists(SEGMENTS, max_size=5), QUERIES,
    st.binary(max_size=99), HEADERS, st.none() | st.just("a token"),
)  # fmt: skip
def test_whatever_botocore_signs_is_accepted(method, segments, query, body, headers, token):
    message = signed(method, "/" + "/".join(segments), query, body, headers.items(), token=token)
    assert judge(message, body) == "AKID"


@given(st.binary(max_size=60), st.binary(max_size=60), QUERIES, QUERIES, st.integers(0, 63))
def test_whatever_is_changed_afterwards_is_not(body, other, query, another, place):
    message = signed("POST", body=body, query=query, headers={"X-Amzn-Client-Token": "one"}.items())
    if other != body:
        assert code(message, other) == "InvalidSignatureException"
    if sorted(another.split("&")) != sorted(query.split("&")):
        assert code(Message("POST", message.path, another, message.headers), body) == "InvalidSignatureException"
    for one in (
        Message("DELETE", message.path, query, message.headers),
        Message("POST", message.path + "/x", query, message.headers),
        changed(message, x_amzn_client_token="two"),
        changed(message, host="another:80"),
    ):
        assert code(one, body) == "InvalidSignatureException"
    text = dict(message.headers)["authorization"]
    at = len(text) - 64 + place
    flipped = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
    assert code(changed(message, authorization=flipped), body) == "InvalidSignatureException"


@given(st.text(max_size=80))
def test_any_authorization_at_all_is_refused_with_a_code(text):
    message = Message("GET", "/", "", [("host", HOST), ("x-amz-date", "20260101T000000Z"), ("authorization", text)])
    assert code(message).endswith("Exception")


def test_without_a_signature():
    assert code(Message("GET", "/", "", [("host", HOST)])) == "MissingAuthenticationTokenException"


def test_another_key_secret_or_service():
    assert code(signed(key="NOBODY")) == "UnrecognizedClientException"
    assert code(signed(secret="wrong")) == "InvalidSignatureException"
    assert code(signed(service="s3")) == "InvalidSignatureException"


def test_any_region_will_do():
    assert judge(signed(region="local-1")) == "AKID"


@pytest.mark.parametrize(("seconds", "accepted"), [(0, True), (290, True), (-290, True), (310, False), (-310, False)])
def test_a_clock_may_be_five_minutes_wrong(seconds, accepted):
    message, clock = signed(), lambda: datetime.now(UTC) + timedelta(seconds=seconds)
    if accepted:
        assert judge(message, clock=clock) == "AKID"
    else:
        assert code(message, clock=clock) == "InvalidSignatureException"


def test_a_date_that_the_scope_does_not_have():
    message = signed()
    assert code(changed(message, x_amz_date="20200101T000000Z")) == "InvalidSignatureException"
    assert code(changed(message, x_amz_date="yesterday")) == "IncompleteSignatureException"
    assert code(changed(message, x_amz_date="20261399T000000Z")) == "IncompleteSignatureException"
    assert code(changed(message, x_amz_date=None)) == "IncompleteSignatureException"


@pytest.mark.parametrize(
    "name", ["authorization", "host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"]
)
def test_what_counts_may_not_be_there_twice(name):
    message = signed(token="t", headers={"X-Amz-Content-SHA256": UNSIGNED}.items())
    twice = Message("GET", message.path, "", [*message.headers, (name, dict(message.headers)[name])])
    assert code(twice, streams=True) == "IncompleteSignatureException"


def test_a_repeated_header_is_signed_with_all_its_values():
    message = signed(headers={"X-Amz-Meta-A": "1,2"}.items())
    apart = [(name, value) for name, value in message.headers if name != "x-amz-meta-a"]
    assert judge(Message("GET", message.path, "", [*apart, ("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")])) == "AKID"
    more = Message("GET", message.path, "", [*message.headers, ("x-amz-meta-a", "3")])
    assert code(more) == "InvalidSignatureException"


@pytest.mark.parametrize("name", ["x-amzn-client-token", "content-type", "x-amz-security-token", "x-amz-anything"])
def test_what_means_something_must_be_signed(name):
    message = signed()
    added = Message("GET", message.path, "", [*message.headers, (name, "added")])
    assert code(added) == "InvalidSignatureException"


def test_headers_that_mean_nothing_need_no_signature():
    message = signed()
    more = [("user-agent", "x"), ("x-amzn-trace-id", "y"), ("amz-sdk-request", "attempt=1"), ("expect", "100-continue")]
    assert judge(Message("GET", message.path, "", [*message.headers, *more])) == "AKID"


def test_an_unsigned_payload_is_for_streams_alone():
    message = signed("POST", body=b"ignored", headers={"X-Amz-Content-SHA256": UNSIGNED}.items())
    assert judge(message, b"any image", streams=True) == "AKID"
    assert code(message, b"any image") == "InvalidSignatureException"
    chunked = changed(message, x_amz_content_sha256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    assert code(chunked, b"x", streams=True) == "InvalidSignatureException"


@pytest.mark.parametrize("sealed", [True, False])
def test_a_body_is_left_out_of_a_signature_only_where_nobody_between_can_change_it(tmp_path, sealed):
    keys = Keys(tmp_path)
    key = keys.create()
    front = LookoutFront(LookoutVision(object(), object()), keys, sealed=sealed)
    message = signed(
        "POST", "/2020-11-20/projects/a/models/1/detect", body=b"an image", key=key.id, secret=key.secret,
        headers={"X-Amz-Content-SHA256": UNSIGNED, "Content-Type": "image/png"}.items(),
    )  # fmt: skip
    detect = LookoutVision.operations()["detect_anomalies"]
    if sealed:
        assert front.begin(message, detect)(b"an image") == key.id
    else:
        with pytest.raises(SignatureError, match=r"must be the SHA-256 of the body, here"):
            front.begin(message, detect)


def test_a_stated_hash_must_be_that_of_the_body():
    import hashlib

    stated = {"X-Amz-Content-SHA256": hashlib.sha256(b"body").hexdigest()}
    message = signed("POST", body=b"body", headers=stated.items())
    assert judge(message, b"body") == "AKID"
    assert code(message, b"other") == "InvalidSignatureException"


def test_a_header_that_is_signed_must_be_there():
    message = signed(headers={"X-Amz-Meta-A": "1"}.items())
    assert code(changed(message, x_amz_meta_a=None)) == "InvalidSignatureException"
    assert code(changed(message, host=None)) == "InvalidSignatureException"


def test_a_key_that_is_taken_back_between_head_and_body():
    secrets = dict(SECRETS)
    message, one = signed(), verifier(secrets=secrets)
    claim = one.read(message)
    secrets.clear()
    with pytest.raises(SignatureError):
        one.verify(message, claim, b"")
