"""The commands about buckets: ``vision-toolkit put``.

Each takes the parsed options and returns the exit code.
"""

from __future__ import annotations

import argparse

import vision_toolkit as vt
from vision_toolkit.app.saying import as_typed, bar, complain, first, most_of, print_json, say, some
from vision_toolkit.data.storage import local_path

__all__ = ["put"]


def put(options: argparse.Namespace) -> int:
    """Copy a folder into a bucket; 1 if a file was refused."""
    from vision_toolkit.workspace.buckets import Buckets

    s3 = vt.Settings.read().s3
    if options.workspace is None and s3 == "folders":
        options.parser.error("--workspace DIR is required (or VISION_TOOLKIT_S3=s3 for a real S3)")
    buckets = Buckets(local_path(options.workspace or ".") / "buckets", s3=s3)
    with bar("copying", options) as tell:
        done = buckets.put(
            options.folder,
            options.uri,
            overwrite=options.overwrite,
            progress=lambda number, total: tell(number / total),
        )
    refused = [{"file": name, "why": as_typed(why)} for name, why in done.refused]
    if options.json:
        most = most_of(options, 5)
        counts = {"copied": len(done.copied), "same": len(done.same), "refused": len(refused)}
        print_json({"uri": options.uri, **counts, "why": refused[:most]})
        return 1 if refused else 0
    if refused:
        complain(f"{some(len(refused), 'file')} refused:")
        for line in first([f"  {one['file']}: {one['why']}" for one in refused], most_of(options, 5)):
            complain(line)
    say(f"Copied {some(len(done.copied), 'file')} to {options.uri}; {len(done.same):,} there already.")
    return 1 if refused else 0
