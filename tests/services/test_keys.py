"""Keys are kept where nobody else reads them, and one taken back is gone at once for every server."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.services.auth.keys import Keys


def test_made_found_listed_and_taken_back(tmp_path):
    keys, elsewhere = Keys(tmp_path), Keys(tmp_path)
    assert not keys.are_used and keys.list() == [] and keys.find("x") is None
    first, second = keys.create(note="line 3"), keys.create(read_only=True)
    assert elsewhere.find(first.id) == first and elsewhere.secret_of(second.id) == second.secret
    assert [one.id for one in elsewhere.list()] == [first.id, second.id]
    assert elsewhere.list()[1].read_only
    keys.revoke(first.id)
    assert elsewhere.find(first.id) is None and elsewhere.secret_of(first.id) is None
    with pytest.raises(NotFound, match=second.id):
        keys.revoke(first.id)


def test_taking_back_the_last_key_does_not_open_the_door(tmp_path):
    keys = Keys(tmp_path)
    keys.revoke(keys.create().id)
    assert keys.list() == [] and keys.are_used


def test_a_secret_is_not_shown_by_accident(tmp_path):
    key = Keys(tmp_path).create()
    assert key.secret not in repr(key) and len(key.secret) == 40 and len(key.id) == 20


def test_public_keys_stand_beside_access_keys_and_are_none(tmp_path):
    keys = Keys(tmp_path)
    public = public_key()
    added, made = keys.add(public, note="line 3"), keys.create()
    assert Keys(tmp_path).find(added.id) == added and added.public == public and keys.public_of(added.id) == public
    assert keys.secret_of(added.id) is None, "an empty secret would be everybody's"
    assert keys.public_of(made.id) is None and keys.public_of("nobody") is None
    assert keys.add(public, note="line 4", read_only=True).id == added.id
    assert [(one.id, one.note, one.read_only) for one in keys.list()] == [
        (added.id, "line 4", True),
        (made.id, "", False),
    ]
    keys.revoke(added.id)
    assert keys.public_of(added.id) is None and keys.are_used


def test_access_keys_are_kept_as_they_always_were(tmp_path):
    keys = Keys(tmp_path)
    made = keys.create()
    (written,) = json.loads(keys.path.read_text())["keys"]
    assert written == {
        "id": made.id, "secret": made.secret, "note": "", "read_only": False, "created": made.created,
    }  # fmt: skip


def test_what_is_no_public_key_changes_nothing(tmp_path):
    keys = Keys(tmp_path)
    with pytest.raises(Invalid):
        keys.add("rubbish")
    assert not keys.are_used


def public_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_only_the_owner_may_read_the_file(tmp_path):
    keys = Keys(tmp_path)
    keys.create()
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


def test_many_make_keys_at_once_and_none_is_lost(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = {key.id for key in pool.map(lambda _: Keys(tmp_path).create(), range(24))}
    assert {key.id for key in Keys(tmp_path).list()} == made and len(made) == 24


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{"no": 1}]}'])
def test_a_broken_file_opens_no_door(tmp_path, text):
    keys = Keys(tmp_path)
    keys.path.write_text(text)
    assert keys.are_used
    with pytest.raises(Invalid):
        keys.find("x")
