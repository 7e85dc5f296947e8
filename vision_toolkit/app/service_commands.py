"""The commands for services: ``vision-toolkit serve | keys | aws-model``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from pathlib import Path
from typing import Any

from vision_toolkit.app.saying import complain, print_json, say
from vision_toolkit.core.errors import NotFound

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
    if server.workspace.settings.s3 == "folders":
        say(f"s3://BUCKET/KEY is the file {server.workspace.folder / 'buckets' / 's3' / 'BUCKET' / 'KEY'}")
    create = f"vision-toolkit keys create --workspace {options.workspace}"
    if _is_open(server):
        say(f"Whoever uses this machine may ask; from the first key on, all must sign: {create}")
    elif not server.keys.list():
        say(f"Every request must be signed, and there is no key: {create}")
    else:
        say("Every request must be signed with a key: vision-toolkit keys list")


def _is_open(server: Any) -> bool:
    return bool(server.is_local and not server.keys.are_used)


# ---------------------------------------------------------------- keys


def keys(options: argparse.Namespace) -> int:
    """Make, list or take back keys."""
    from vision_toolkit.services.auth.keys import Keys

    folder = Path(options.workspace)
    if not folder.is_dir():
        raise NotFound(f"There is no workspace {folder}; vision-toolkit serve --workspace {folder} makes one.")
    known = Keys(folder)
    if options.action == "revoke" and options.id is None:
        options.parser.error("which key? vision-toolkit keys revoke ID")
    if options.action != "revoke" and options.id is not None:
        options.parser.error(f"keys {options.action} takes no ID")
    if options.action == "create":
        made = known.create(note=options.note, read_only=options.read_only)
        if options.json:
            print_json({"id": made.id, "secret": made.secret, "note": made.note, "read_only": made.read_only})
        else:
            say(f"export AWS_ACCESS_KEY_ID={made.id}", f"export AWS_SECRET_ACCESS_KEY={made.secret}")
            complain("The secret is not shown again. From the first key on, every request must be signed.")
    elif options.action == "revoke":
        known.revoke(options.id)
        if not options.json:
            say(f"{options.id} is taken back.")
        if not known.list():
            complain(f"No key is left, and still every request must be signed; remove {known.path} to trust all again.")
    elif options.json:
        print_json([{"id": k.id, "note": k.note, "read_only": k.read_only, "created": k.created} for k in known.list()])
    else:
        say(*(f"{k.id}  {k.created}  {'read-only ' if k.read_only else ''}{k.note}".rstrip() for k in known.list()))
    return 0


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
