"""Today's boto3 as a client of ours: it has forgotten the service, and is told again."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from vision_toolkit.core.errors import Unsupported
from vision_toolkit.core.settings import Settings
from vision_toolkit.services.lookout.aws_model import install

__all__ = ["client_of", "teach_boto3"]


def teach_boto3(session: Any = None, *, folder: Path | None = None) -> Any:
    """Let a session of boto3 know the service ``lookoutvision``, for this program alone.

    Parameters
    ----------
    session
        a ``boto3.Session``, or one of botocore; None = boto3's default one, which ``boto3.client`` uses.
    folder
        where to keep the model's files; None = in the cache.

    Returns
    -------
    Any
        the session.

    Raises
    ------
    Unsupported
        if boto3 is not installed and no session is given.

    Examples
    --------
    ``vt.teach_boto3(); client = boto3.client("lookoutvision", endpoint_url=server.url)``
    """
    if session is None:
        try:
            boto3 = importlib.import_module("boto3")
        except ImportError:
            raise Unsupported("teach_boto3() needs boto3: pip install boto3.") from None
        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        session = boto3.DEFAULT_SESSION
    core = getattr(session, "_session", session)
    models = folder or Settings.read().cache / "aws-models"
    install(models)
    loader = core.get_component("data_loader")
    if str(models) not in loader.search_paths:
        loader.search_paths.insert(0, str(models))
    getattr(loader, "_cache", {}).clear()  # it remembers what it did not find
    return session


def client_of(url: str, **options: Any) -> Any:
    """Return boto3's client of a server, in a session of its own; ``options`` are those of ``Session.client``.

    Raises
    ------
    Unsupported
        if boto3 is not installed.
    """
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        raise Unsupported("A client needs boto3: pip install boto3.") from None
    return teach_boto3(boto3.Session()).client("lookoutvision", endpoint_url=url, **options)
