"""The commands for services: ``vision-toolkit serve | keys | aws-model``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_toolkit.app.saying import complain, print_json, say
from vision_toolkit.core.errors import Invalid, NotFound

if TYPE_CHECKING:
    from vision_toolkit.services.auth.keys import Key, Keys

__all__ = ["aws_model", "keys", "serve"]


# ---------------------------------------------------------------- serve


def serve(options: argparse.Namespace) -> int:
    """Serve a workspace until a signal ends it."""
    from vision_toolkit.app.server import JsonLines, Server
    from vision_toolkit.workspace import Workspace

    logger = logging.getLogger("vision_toolkit")
    handler = JsonLines()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until uvicorn takes it: opening can take a while
    try:
        with Workspace(options.workspace, run="process", **_changed(options)) as workspace:
            server = Server(
                workspace, host=options.host, port=options.port, certificate=options.certificate,
                private_key=options.private_key, allowed_hosts=options.allow_host,
            )  # fmt: skip
            _tell(server, options)
            server.run()
    finally:
        logger.removeHandler(handler)
    return 0


def _changed(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in ("s3", "database", "weights", "preset", "region", "threads")}
    changed = {name: value for name, value in given.items() if value is not None}
    if options.weights == "none":
        changed["weights"] = None
    return changed | ({"limits": False} if options.no_limits else {})


def _tell(server: Any, options: argparse.Namespace) -> None:
    """Say what a client must set, and who may ask."""
    environment = server.environment()
    if options.json:
        print_json({"url": server.url, "environment": environment, "signed": not _is_open(server)})
        return
    say(f"Serving {server.workspace.folder} at {server.url}; Ctrl-C stops.", "", "A program of AWS's needs:")
    say(*(f"  export {name}={value}" for name, value in environment.items()))
    say("boto3 from 1.40.61 on, and awscli, must be taught the service once:")
    say(f"  curl -s {server.url}/aws-model | python3", "    or: vision-toolkit aws-model install")
    say("A program of OCI's needs its endpoint, beside its own configuration:")
    say(f'  oci.ai_vision.AIServiceVisionClient(config, service_endpoint="{server.url}")')
    if server.workspace.settings.s3 == "folders":
        say(f"s3://BUCKET/KEY is the file {server.workspace.folder / 'buckets' / 's3' / 'BUCKET' / 'KEY'}")
    create = f"vision-toolkit keys create --workspace {options.workspace}"
    add = f"vision-toolkit keys add PUBLIC.pem --workspace {options.workspace}"
    if _is_open(server):
        say(f"Whoever uses this machine may ask; from the first key on, all must sign: {create}")
        say(f"(for OCI: {add})")
    elif not server.keys.list():
        say(f"Every request must be signed, and there is no key: {create}", f"(for OCI: {add})")
    else:
        say("Every request must be signed with a key: vision-toolkit keys list")


def _is_open(server: Any) -> bool:
    return bool(server.is_local and not server.keys.are_used)


# ---------------------------------------------------------------- keys


def keys(options: argparse.Namespace) -> int:
    """Make keys or make them known, list them, take them back."""
    from vision_toolkit.services.auth.keys import Keys

    folder = Path(options.workspace)
    if not folder.is_dir():
        raise NotFound(f"There is no workspace {folder}; vision-toolkit serve --workspace {folder} makes one.")
    takes = {"add": "PUBLIC.pem", "revoke": "ID"}.get(options.action)
    if takes and options.key is None:
        options.parser.error(f"which key? vision-toolkit keys {options.action} {takes}")
    if not takes and options.key is not None:
        options.parser.error(f"keys {options.action} takes no ID")
    {"create": _create, "add": _add, "list": _list, "revoke": _revoke}[options.action](options, Keys(folder))
    return 0


def _create(options: argparse.Namespace, known: Keys) -> None:
    """Make an access key."""
    made = known.create(note=options.note, read_only=options.read_only)
    if options.json:
        print_json({"id": made.id, "secret": made.secret, "note": made.note, "read_only": made.read_only})
    else:
        say(f"export AWS_ACCESS_KEY_ID={made.id}", f"export AWS_SECRET_ACCESS_KEY={made.secret}")
        complain("The secret is not shown again. From the first key on, every request must be signed.")


def _add(options: argparse.Namespace, known: Keys) -> None:
    """Make the public key in a file known."""
    try:
        text = Path(options.key).read_text(encoding="ascii")
    except FileNotFoundError:
        raise NotFound(f"There is no file {options.key}.") from None
    except UnicodeError:
        raise Invalid(f"{options.key} is no public key in PEM form.") from None
    added = known.add(text, note=options.note, read_only=options.read_only)
    if options.json:
        print_json(_shown(added))
    else:
        say(f"fingerprint={added.id}")
        complain("Programs with this fingerprint may ask. From the first key on, every request must be signed.")


def _list(options: argparse.Namespace, known: Keys) -> None:
    """Tell which keys there are."""
    if options.json:
        print_json([_shown(key) for key in known.list()])
    for key in [] if options.json else known.list():
        words = f"{key.id}  {key.created}  {_kind(key)} {'read-only ' if key.read_only else ''}{key.note}"
        say(words.rstrip())


def _revoke(options: argparse.Namespace, known: Keys) -> None:
    """Take a key back."""
    known.revoke(options.key)
    if not options.json:
        say(f"{options.key} is taken back.")
    if not known.list():
        complain(f"No key is left, and still every request must be signed; remove {known.path} to trust all again.")


def _kind(key: Key) -> str:
    return "oci" if key.public else "aws"


def _shown(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "kind": _kind(key),
        "note": key.note,
        "read_only": key.read_only,
        "created": key.created,
    }


# ---------------------------------------------------------------- aws-model


def aws_model(options: argparse.Namespace) -> int:
    """Write or print the model of the service."""
    from vision_toolkit.services.lookout.aws_model import install, model_files

    if options.action == "print":
        say(model_files()["service-2.json"].rstrip())
        return 0
    where = install(os.path.expanduser(options.models))
    if options.json:
        print_json({"folder": str(where), "files": sorted(model_files())})
    else:
        say(f"Wrote {where}", "boto3.client('lookoutvision') and aws lookoutvision know it from now on.")
    return 0
