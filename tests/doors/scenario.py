"""The life of two models from project to deletion, told to any client that looks like boto3's.

Only the standard library: environments without this toolkit run it as a program,
``python scenario.py URL FACTS`` with the facts as JSON; it prints "done" at the end.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 240.0


def run(client: Any, facts: dict[str, Any]) -> None:
    """Go the whole way; ``facts`` name project, bucket, the manifests and images that lie there."""
    projects(client, facts)
    datasets(client, facts)
    pages(client, facts)
    model(client, facts)
    tags(client, facts)
    hosting(client, facts)
    packages(client, facts)
    ends(client, facts)


def refused(code: str, call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Return what an error told; it must have this code, and be of the class of that name."""
    caught: Any = None
    try:
        call(**arguments)
    except Exception as error:  # noqa: BLE001 - each client has its own
        caught = error
    assert caught is not None, f"{code} expected"
    response: dict[str, Any] = caught.response
    assert response["Error"]["Code"] == code, response
    assert response["Error"]["Message"], response
    assert type(caught).__name__ in (code, "Refused"), type(caught)
    return response


def wait(look: Callable[[], str], *passing: str) -> str:
    """Look until a state passes; the first look must find one of those that pass, or the end."""
    end = time.monotonic() + PATIENCE
    while (state := look()) in passing:
        assert time.monotonic() < end, f"still {state}"
        time.sleep(0.1)
    return state


def projects(client: Any, facts: dict[str, Any]) -> None:
    name = facts["project"]
    token = "one-and-the-same"
    first = client.create_project(ProjectName=name, ClientToken=token)["ProjectMetadata"]
    again = client.create_project(ProjectName=name, ClientToken=token)["ProjectMetadata"]
    assert first["ProjectArn"] == again["ProjectArn"] and first["ProjectArn"].endswith(f"project/{name}")
    refused("ConflictException", client.create_project, ProjectName=f"{name}-2", ClientToken=token)
    told = refused("ConflictException", client.create_project, ProjectName=name)
    if "ResourceType" in told:  # the command line tells code and message alone
        assert told["ResourceType"] == "PROJECT" and told["ResourceId"] == name
    refused("ResourceNotFoundException", client.describe_project, ProjectName="nobody")
    refused("ValidationException", client.create_project, ProjectName="with space")
    refused("ValidationException", client.create_project, ProjectName="a" * 256)
    assert client.describe_project(ProjectName=name)["ProjectDescription"]["Datasets"] == []


def datasets(client: Any, facts: dict[str, Any]) -> None:
    name = facts["project"]
    place = {"Bucket": facts["bucket"], "Key": facts["manifest"]}
    made = client.create_dataset(
        ProjectName=name, DatasetType="train", DatasetSource={"GroundTruthManifest": {"S3Object": place}}
    )["DatasetMetadata"]
    assert made["Status"] in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE") and made["StatusMessage"]

    def status() -> str:
        described = client.describe_dataset(ProjectName=name, DatasetType="train")["DatasetDescription"]
        assert described["StatusMessage"]
        state: str = described["Status"]
        return state

    assert wait(status, "CREATE_IN_PROGRESS") == "CREATE_COMPLETE"
    stats = client.describe_dataset(ProjectName=name, DatasetType="train")["DatasetDescription"]["ImageStats"]
    assert stats == {"Total": facts["total"], "Labeled": facts["total"], "Normal": facts["normal"],
                     "Anomaly": facts["total"] - facts["normal"]}  # fmt: skip
    refused("ConflictException", client.create_dataset, ProjectName=name, DatasetType="train")
    refused("ValidationException", client.create_dataset, ProjectName=name, DatasetType="zzz")
    changed = client.update_dataset_entries(ProjectName=name, DatasetType="train", Changes=facts["changes"].encode())
    assert changed["Status"] in ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
    assert wait(status, "UPDATE_IN_PROGRESS") == "UPDATE_COMPLETE"
    client.update_dataset_entries(ProjectName=name, DatasetType="train", Changes=b'{"no": "source"}\n')
    state = wait(status, "UPDATE_IN_PROGRESS", "UPDATE_FAILED_ROLLBACK_IN_PROGRESS")
    assert state == "UPDATE_FAILED_ROLLBACK_COMPLETE", state
    described = client.describe_dataset(ProjectName=name, DatasetType="train")["DatasetDescription"]
    assert "1" in described["StatusMessage"] and described["ImageStats"] == stats


def pages(client: Any, facts: dict[str, Any]) -> None:
    name = facts["project"]
    ask = {"ProjectName": name, "DatasetType": "train"}
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = client.list_dataset_entries(**ask, MaxResults=15, **token)
        found += page["DatasetEntries"]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    assert len(found) == len(set(found)) == facts["total"]
    assert all(json.loads(line)["source-ref"].startswith("s3://") for line in found)
    if hasattr(client, "get_paginator"):
        every = client.get_paginator("list_dataset_entries").paginate(**ask, PaginationConfig={"PageSize": 7})
        assert [line for page in every for line in page["DatasetEntries"]] == found
    odd = client.list_dataset_entries(**ask, AnomalyClass="anomaly", Labeled=True)["DatasetEntries"]
    assert len(odd) == facts["total"] - facts["normal"]
    assert client.list_dataset_entries(**ask, Labeled=False)["DatasetEntries"] == []
    one = client.list_dataset_entries(**ask, SourceRefContains=facts["one"])["DatasetEntries"]
    assert [json.loads(line)["source-ref"].rsplit("/", 1)[1] for line in one] == [facts["one"].rsplit("/", 1)[1]]
    assert client.list_dataset_entries(**ask, BeforeCreationDate="2020-01-01T00:00:00Z")["DatasetEntries"] == []
    assert client.list_dataset_entries(**ask, AfterCreationDate="2020-01-01T00:00:00Z")["DatasetEntries"]
    refused("ValidationException", client.list_dataset_entries, **ask, MaxResults=1000)
    refused("ValidationException", client.list_dataset_entries, **ask, NextToken="bm90aGluZw==")
    assert name in [one["ProjectName"] for one in client.list_projects()["Projects"]]


def model(client: Any, facts: dict[str, Any]) -> None:
    name = facts["project"]
    refused("ResourceNotFoundException", client.describe_model, ProjectName=name, ModelVersion="latest")
    made = client.create_model(
        ProjectName=name, Description="v1", KmsKeyId="alias/key",
        OutputConfig={"S3Location": {"Bucket": facts["bucket"], "Prefix": "out"}}, Tags=[{"Key": "line", "Value": "3"}],
    )["ModelMetadata"]  # fmt: skip
    assert made["ModelVersion"] == "1" and made["Status"] in ("TRAINING", "TRAINED") and made["StatusMessage"]
    facts["arn"] = made["ModelArn"]

    def status() -> str:
        described = client.describe_model(ProjectName=name, ModelVersion="1")["ModelDescription"]
        assert described["StatusMessage"]
        state: str = described["Status"]
        return state

    assert wait(status, "TRAINING") == "TRAINED"
    described = client.describe_model(ProjectName=name, ModelVersion="latest")["ModelDescription"]
    assert set(described["Performance"]) == {"F1Score", "Recall", "Precision"}
    assert described["KmsKeyId"] == "alias/key" and described["Description"] == "v1"
    assert described["EvaluationResult"]["Key"].startswith("out") and described["EvaluationManifest"]["Bucket"]
    assert described["OutputConfig"]["S3Location"] == {"Bucket": facts["bucket"], "Prefix": "out"}
    listed = client.list_models(ProjectName=name)["Models"]
    assert [one["ModelVersion"] for one in listed] == ["1"] and listed[0]["Performance"] == described["Performance"]
    refused("ValidationException", client.describe_model, ProjectName=name, ModelVersion="first")


def tags(client: Any, facts: dict[str, Any]) -> None:
    arn = facts["arn"]
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "line", "Value": "3"}]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "plant b", "Value": "Zürich/Süd"}, {"Key": "x", "Value": ""}])
    client.untag_resource(ResourceArn=arn, TagKeys=["line", "x"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "plant b", "Value": "Zürich/Süd"}]
    refused(
        "ResourceNotFoundException", client.list_tags_for_resource, ResourceArn="arn:aws:lookoutvision:x:y:model/a/1"
    )


def hosting(client: Any, facts: dict[str, Any]) -> None:
    which = {"ProjectName": facts["project"], "ModelVersion": "1"}
    picture = base64.b64decode(facts["image"])
    refused("ConflictException", client.detect_anomalies, **which, Body=picture, ContentType="image/png")
    refused("ValidationException", client.start_model, **which, MinInferenceUnits=2, MaxInferenceUnits=1)
    started = client.start_model(**which, MinInferenceUnits=1)["Status"]
    assert started in ("STARTING_HOSTING", "HOSTED")

    def status() -> str:
        state: str = client.describe_model(**which)["ModelDescription"]["Status"]
        return state

    assert wait(status, "STARTING_HOSTING") == "HOSTED"
    refused("ConflictException", client.start_model, **which, MinInferenceUnits=1)
    refused("ConflictException", client.delete_model, **which)
    for kind in ("image/png", "image/jpeg"):  # a PNG sent as image/jpeg is judged
        result = client.detect_anomalies(**which, Body=picture, ContentType=kind)["DetectAnomalyResult"]
        assert result["Source"] == {"Type": "direct"} and isinstance(result["IsAnomalous"], bool)
        assert 0 <= result["Confidence"] <= 1
        assert "Anomalies" not in result and "AnomalyMask" not in result
    told = refused("ValidationException", client.detect_anomalies, **which, Body=picture, ContentType="text/plain")
    assert "image/jpeg, image/png" in told["Error"]["Message"]
    refused("ValidationException", client.detect_anomalies, **which, Body=b"no image", ContentType="image/png")
    # The same token for two operations: each has its own.
    assert client.stop_model(**which, ClientToken="same")["Status"] == "STOPPING_HOSTING"
    assert wait(status, "STOPPING_HOSTING") == "TRAINED"
    refused("ConflictException", client.stop_model, **which)


def packages(client: Any, facts: dict[str, Any]) -> None:
    name = facts["project"]
    target = {
        "S3OutputLocation": {"Bucket": facts["bucket"], "Prefix": "packages"}, "ComponentName": f"{name}.Model",
        "TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"},
    }  # fmt: skip
    both = {**target, "TargetDevice": "jetson_xavier"}
    ask = client.start_model_packaging_job
    refused("ValidationException", ask, ProjectName=name, ModelVersion="1", Configuration={"Greengrass": both})
    job = ask(ProjectName=name, ModelVersion="1", JobName="first", Configuration={"Greengrass": target})["JobName"]
    assert job == "first"

    def status() -> str:
        described = client.describe_model_packaging_job(ProjectName=name, JobName=job)["ModelPackagingDescription"]
        state: str = described["Status"]
        return state

    assert wait(status, "CREATED", "RUNNING") == "SUCCEEDED"
    described = client.describe_model_packaging_job(ProjectName=name, JobName=job)["ModelPackagingDescription"]
    made = described["ModelPackagingOutputDetails"]["Greengrass"]
    assert made["ComponentVersion"] == "1.0.0" and made["ComponentVersionArn"].startswith("arn:aws:greengrass:")
    refused("ConflictException", ask, ProjectName=name, ModelVersion="1", Configuration={"Greengrass": target})
    listed = client.list_model_packaging_jobs(ProjectName=name)["ModelPackagingJobs"]
    assert [one["JobName"] for one in listed] == ["first"]


def ends(client: Any, facts: dict[str, Any]) -> None:
    name = facts["project"]
    refused("ConflictException", client.delete_project, ProjectName=name)
    refused("ValidationException", client.delete_model, ProjectName=name, ModelVersion="latest")
    assert client.delete_model(ProjectName=name, ModelVersion="1")["ModelArn"] == facts["arn"]
    refused("ResourceNotFoundException", client.describe_model, ProjectName=name, ModelVersion="1")
    client.delete_dataset(ProjectName=name, DatasetType="train")
    refused("ResourceNotFoundException", client.describe_dataset, ProjectName=name, DatasetType="train")
    assert client.delete_project(ProjectName=name)["ProjectArn"].endswith(f"project/{name}")
    refused("ResourceNotFoundException", client.describe_project, ProjectName=name)


def main() -> None:
    """Run it with the boto3 that is installed here."""
    import boto3

    url, facts = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    client = boto3.client(
        "lookoutvision", endpoint_url=url, region_name="us-east-1",
        aws_access_key_id=facts["key"], aws_secret_access_key=facts["secret"],
    )  # fmt: skip
    run(client, facts)
    print("done")


if __name__ == "__main__":
    main()
