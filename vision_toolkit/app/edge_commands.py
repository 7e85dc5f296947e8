"""The command for the edge: ``vision-toolkit edge run``."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from vision_toolkit.app.saying import complain, print_json, say, some
from vision_toolkit.core.errors import Failed, Unsupported

if TYPE_CHECKING:
    from vision_toolkit.services.edge.agent import Agent

__all__ = ["edge"]


def edge(options: argparse.Namespace) -> int:
    """Serve packages over gRPC until a signal ends it."""
    from vision_toolkit.app.server import JsonLines

    try:
        from vision_toolkit.services.edge.agent import SOCKET, Agent
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("grpc", "google"):
            raise
        raise Unsupported(
            f"The edge agent needs {error.name}, which is not installed: pip install 'vision_toolkit[edge]'."
        ) from None
    logger = logging.getLogger("vision_toolkit")
    handler = JsonLines()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    host = f"[{options.host}]" if ":" in options.host.strip("[]") and "[" not in options.host else options.host
    address = options.socket or SOCKET if options.port is None else f"{host}:{options.port}"
    try:
        agent = Agent(
            options.package, folder=options.folder, address=address, workers=options.workers, threads=options.threads
        )
        _complain(agent)
        with agent.start(all_models=options.start):
            _tell(agent, options)
            agent.run()
    finally:
        logger.removeHandler(handler)
    return 0


def _complain(agent: Agent) -> None:
    """Tell which packages are unfit; with none that is fit there is nothing to serve."""
    failed = [one for one in (each.describe() for each in agent.components.values()) if one.state == "FAILED"]
    if len(failed) == len(agent.components):
        agent.stop()
        raise Failed(" ".join(f"{one.name}: {one.message}" for one in failed))
    for one in failed:
        complain(f"{one.name} is not served: {one.message}")


def _tell(agent: Agent, options: argparse.Namespace) -> None:
    """Say what a client must set."""
    if options.json:
        print_json({"address": agent.address, "models": list(agent.components)})
        return
    say(f"Serving {some(len(agent.components), 'package')} at {agent.address}; Ctrl-C stops.", "", "A client needs:")
    say(f"  channel = grpc.insecure_channel({agent.address!r})")
    say(*(f"  model_component={name!r}" for name in agent.components))
    if not options.start:
        say("StartModel starts one, and it runs again after a restart; --start starts all.")
    if not agent.is_local:
        complain("Whoever reaches this address may ask: the contract knows no keys. Shared memory is not taken there.")
