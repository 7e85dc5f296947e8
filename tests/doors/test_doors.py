"""One scenario, through every door: in process, raw HTTP, and boto3 as it is today."""

from __future__ import annotations

from tests.doors import scenario
from tests.doors.raw import Raw
from vision_toolkit.services.lookout import LookoutVision


def test_in_process(opened, facts):
    scenario.run(LookoutVision(opened), facts)


def test_raw_http(server, facts):
    scenario.run(Raw(server.url), facts)


def test_todays_boto3_with_our_model(server, facts):
    scenario.run(server.client(), facts)
