"""The client and its errors have the faces that boto3 gave them."""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import logging
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from vision_toolkit.core.errors import (
    Busy,
    Conflict,
    Denied,
    Exceeded,
    Failed,
    Invalid,
    NotFound,
    Unsupported,
    VisionError,
)  # fmt: skip
from vision_toolkit.services.lookout import ClientError, LookoutVision, Work
from vision_toolkit.services.lookout.errors import MODELLED, Exceptions, translate

HAS_BOTOCORE = importlib.util.find_spec("botocore") is not None


@pytest.fixture
def client(memory: Any, work: Any) -> LookoutVision:
    return LookoutVision(memory, work, region="eu-central-1")


def test_an_answer_is_a_copy_with_boto3s_metadata(client: LookoutVision, work: Any) -> None:
    moment = datetime(2024, 1, 2, tzinfo=UTC)
    kept = {"ProjectDescription": {"ProjectName": "a", "ProjectArn": None, "CreationTimestamp": moment, "Datasets": []}}
    work.answers["describe_project"] = kept
    answer: Any = client.describe_project(ProjectName="a")
    metadata = answer.pop("ResponseMetadata")
    assert answer == {"ProjectDescription": {"ProjectName": "a", "CreationTimestamp": moment, "Datasets": []}}
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (200, 0)
    assert metadata["HTTPHeaders"]["x-amzn-requestid"] == metadata["RequestId"]
    answer["ProjectDescription"]["Datasets"].append(1)
    assert kept["ProjectDescription"]["Datasets"] == []


EARLY, LATE = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
SOURCE = {"GroundTruthManifest": {"S3Object": {"Bucket": "abc", "Key": "m"}}}
OUTPUT = {"S3Location": {"Bucket": "abc"}}
DEVICE = {"Greengrass": {"S3OutputLocation": {"Bucket": "abc"}, "ComponentName": "c"}}
TAGS = [{"Key": "k", "Value": "v"}]
# What a program says, with a value of its own for each argument, and what the work is asked then.
ASKED: dict[str, tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]] = {
    "create_project": ({"ProjectName": "p"}, ("p",), {}),
    "describe_project": ({"ProjectName": "p"}, ("p",), {}),
    "list_projects": ({"NextToken": "t", "MaxResults": 7}, ("t", 7), {}),
    "delete_project": ({"ProjectName": "p"}, ("p",), {}),
    "create_dataset": ({"ProjectName": "p", "DatasetType": "test", "DatasetSource": SOURCE}, ("p", "test", SOURCE), {}),
    "describe_dataset": ({"ProjectName": "p", "DatasetType": "test"}, ("p", "test"), {}),
    "delete_dataset": ({"ProjectName": "p", "DatasetType": "test"}, ("p", "test"), {}),
    "update_dataset_entries": ({"ProjectName": "p", "DatasetType": "test", "Changes": b"{}"}, ("p", "test", b"{}"), {}),
    "list_dataset_entries": (
        {"ProjectName": "p", "DatasetType": "test", "Labeled": False, "AnomalyClass": "normal",
         "BeforeCreationDate": LATE, "AfterCreationDate": EARLY, "NextToken": "t", "MaxResults": 7,
         "SourceRefContains": "x"},
        ("p", "test"),
        {"labelled": False, "anomaly_class": "normal", "before": LATE, "after": EARLY, "contains": "x", "token": "t",
         "limit": 7},
    ),
    "create_model": (
        {"ProjectName": "p", "OutputConfig": OUTPUT, "Description": "d", "KmsKeyId": "k", "Tags": TAGS},
        ("p", OUTPUT),
        {"description": "d", "key": "k", "tags": TAGS},
    ),
    "describe_model": ({"ProjectName": "p", "ModelVersion": "3"}, ("p", "3"), {}),
    "list_models": ({"ProjectName": "p", "NextToken": "t", "MaxResults": 7}, ("p", "t", 7), {}),
    "delete_model": ({"ProjectName": "p", "ModelVersion": "3"}, ("p", "3"), {}),
    "start_model": (
        {"ProjectName": "p", "ModelVersion": "3", "MinInferenceUnits": 1, "MaxInferenceUnits": 2}, ("p", "3", 1, 2), {}
    ),
    "stop_model": ({"ProjectName": "p", "ModelVersion": "3"}, ("p", "3"), {}),
    "detect_anomalies": (
        {"ProjectName": "p", "ModelVersion": "3", "Body": io.BytesIO(b"PNG"), "ContentType": "image/png"},
        ("p", "3", b"PNG", "image/png"),
        {},
    ),
    "start_model_packaging_job": (
        {"ProjectName": "p", "ModelVersion": "3", "Configuration": DEVICE, "JobName": "j", "Description": "d"},
        ("p", "3", DEVICE),
        {"job": "j", "description": "d"},
    ),
    "describe_model_packaging_job": ({"ProjectName": "p", "JobName": "j"}, ("p", "j"), {}),
    "list_model_packaging_jobs": ({"ProjectName": "p", "NextToken": "t", "MaxResults": 7}, ("p", "t", 7), {}),
    "tag_resource": ({"ResourceArn": "arn:1", "Tags": TAGS}, ("arn:1", TAGS), {}),
    "untag_resource": ({"ResourceArn": "arn:1", "TagKeys": ["k"]}, ("arn:1", ["k"]), {}),
    "list_tags_for_resource": ({"ResourceArn": "arn:1"}, ("arn:1",), {}),
}  # fmt: skip


def test_what_the_work_is_asked(client: LookoutVision, work: Any) -> None:
    assert list(ASKED) == list(client.operations())
    for name, (said, args, kwargs) in ASKED.items():
        assert set(said) | {"ClientToken"} == {*client.operations()[name].parameters, "ClientToken"}
        getattr(client, name)(**said)
        assert work.asked[-1] == (name, args, kwargs)
        inspect.signature(getattr(Work, name)).bind(None, *args, **kwargs)  # and takes it


def test_a_page_has_100_items_where_nobody_says_how_many(client: LookoutVision, work: Any) -> None:
    client.list_models(ProjectName="p")
    assert work.asked == [("list_models", ("p", None, 100), {})]


def test_tokens_are_scoped_by_operation_and_resource(client: LookoutVision, work: Any) -> None:
    client.start_model(ProjectName="a", ModelVersion="1", MinInferenceUnits=1, ClientToken="t")
    client.start_model(ProjectName="a", ModelVersion="1", MinInferenceUnits=1, ClientToken="t")
    client.stop_model(ProjectName="a", ModelVersion="1", ClientToken="t")
    client.start_model(ProjectName="b", ModelVersion="1", MinInferenceUnits=1, ClientToken="t")
    assert [name for name, _, _ in work.asked] == ["start_model", "stop_model", "start_model"]
    with pytest.raises(client.exceptions.ConflictException) as caught:
        client.start_model(ProjectName="a", ModelVersion="1", MinInferenceUnits=2, ClientToken="t")
    assert (caught.value.response["ResourceType"], caught.value.response["ResourceId"]) == ("MODEL", "1")


def test_only_keywords_are_taken(client: LookoutVision) -> None:
    with pytest.raises(TypeError, match=r"^create_project\(\) only accepts keyword arguments\.$"):
        client.create_project("bolts")  # type: ignore[misc]


def test_unknown_arguments_are_told(client: LookoutVision) -> None:
    with pytest.raises(
        ClientError, match=r"'nope' at 'name' failed .* Member must be one of: \[ProjectName, ClientToken\]"
    ):
        client.create_project(ProjectName="bolts", Name="nope")  # type: ignore[call-arg]


def test_paginators(client: LookoutVision, work: Any) -> None:
    work.answers["list_projects"] = lambda token, limit: (
        {"Projects": [{"ProjectName": "a"}] * limit, "NextToken": None if token else "t2"}
    )
    pages = client.get_paginator("list_projects").paginate(PaginationConfig={"PageSize": 2})
    assert [len(page["Projects"]) for page in pages] == [2, 2]
    every = [name for name in client.operations() if client.can_paginate(name)]
    assert every == ["list_projects", "list_dataset_entries", "list_models", "list_model_packaging_jobs"]
    assert not client.can_paginate("nothing")
    with pytest.raises(Unsupported, match="Operation cannot be paginated: create_project; these can: list_projects"):
        client.get_paginator("create_project")


def test_the_rest_of_a_client(client: LookoutVision) -> None:
    assert client.meta.region_name == "eu-central-1"
    assert "model_trained" in client.waiter_names
    with pytest.raises(ValueError, match="Waiter does not exist: model_sold"):
        client.get_waiter("model_sold")
    assert client.close() is None  # type: ignore[func-returns-value]


# ---- errors

CASES: list[tuple[Exception, str, int, dict[str, Any]]] = [
    (Invalid("No."), "ValidationException", 400, {}),
    (Unsupported("No."), "ValidationException", 400, {}),
    (NotFound("No.").about("project", "a"), "ResourceNotFoundException", 404,
     {"ResourceType": "PROJECT", "ResourceId": "a"}),
    (NotFound("No.").about("job", "j"), "ResourceNotFoundException", 404,
     {"ResourceType": "MODEL_PACKAGE_JOB", "ResourceId": "j"}),
    (Conflict("No."), "ConflictException", 409, {"ResourceType": "MODEL", "ResourceId": "7"}),
    (Exceeded("No.").about("quota", "projects"), "ServiceQuotaExceededException", 402,
     {"QuotaCode": "projects", "ServiceCode": "lookoutvision", "ResourceType": "MODEL", "ResourceId": "7"}),
    (Busy("No.", seconds=1.2), "ThrottlingException", 429, {"RetryAfterSeconds": 2}),
    (Denied("No."), "AccessDeniedException", 403, {}),
    (Failed("No."), "InternalServerException", 500, {}),
    (ZeroDivisionError("No."), "InternalServerException", 500, {}),
]  # fmt: skip


@pytest.mark.parametrize(("error", "code", "status", "members"), CASES)
def test_each_error_becomes_the_services_own(
    client: LookoutVision, work: Any, error: Exception, code: str, status: int, members: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    work.answers["describe_model"] = error
    with caplog.at_level(logging.ERROR), pytest.raises(getattr(client.exceptions, code)) as caught:
        client.describe_model(ProjectName="a", ModelVersion="7")
    response = caught.value.response
    message = response["Message"]
    assert isinstance(caught.value, ClientError) and caught.value.operation_name == "DescribeModel"
    assert response["Error"] == {"Code": code, "Message": message}
    assert str(caught.value) == f"An error occurred ({code}) when calling the DescribeModel operation: {message}"
    metadata = response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (status, 0)
    assert {n: v for n, v in response.items() if n not in {"Error", "ResponseMetadata", "Message"}} == members
    assert set(MODELLED[code].required) <= set(response)
    if status == 500:
        assert metadata["RequestId"] in caplog.text and metadata["RequestId"] in message
        assert ("Something went wrong" in message) == (not isinstance(error, VisionError))
    else:
        assert message == "No." and caplog.text == "" and caught.value.__cause__ is None


def test_errors_of_the_service_stay_as_they_are(client: LookoutVision, work: Any) -> None:
    error = translate(Conflict("No."), "StopModel", {}, "1")
    work.answers["stop_model"] = error
    with pytest.raises(ClientError) as caught:
        client.stop_model(ProjectName="a", ModelVersion="1")
    assert caught.value is error


def test_an_error_travels_between_processes() -> None:
    error = translate(NotFound("No.").about("dataset", "train"), "DescribeDataset", {}, "1")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and again.response == error.response and str(again) == str(error)


def test_exceptions_are_found_by_name_and_code(client: LookoutVision) -> None:
    exceptions = client.exceptions
    assert set(MODELLED) <= set(dir(exceptions))
    for name in MODELLED:
        assert exceptions.from_code(name) is getattr(exceptions, name)
        assert issubclass(getattr(exceptions, name), exceptions.ClientError)
    assert exceptions.from_code("InvalidSignatureException").__name__ == "ClientError"
    with pytest.raises(AttributeError, match=r"has no attribute Nope\. Valid exceptions are: Access"):
        _ = exceptions.Nope
    unknown = exceptions.from_code("X")({}, "Y")
    assert str(unknown) == "An error occurred (Unknown) when calling the Y operation: Unknown"


def test_botocore_is_not_imported_before_an_error_is_wanted() -> None:
    program = (
        "import sys; import vision_toolkit; from vision_toolkit.services.lookout import LookoutVision\n"
        "assert 'botocore' not in sys.modules\n"
        "sys.modules['botocore'] = None\n"  # as where it is not installed
        "error = LookoutVision(None, object()).exceptions.ConflictException\n"
        "assert [one.__name__ for one in error.__mro__[:3]] == ['ConflictException', 'ClientError', 'Exception']\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


if HAS_BOTOCORE:

    @pytest.mark.parametrize("error", [one for one, *_ in CASES])
    def test_botocore_catches_and_reads_the_same(error: Exception) -> None:
        from botocore.awsrequest import HeadersDict
        from botocore.exceptions import ClientError as Theirs
        from botocore.model import ServiceModel
        from botocore.parsers import create_parser

        ours = translate(error, "DescribeModel", {"ModelVersion": "7"}, "42")
        assert isinstance(ours, Theirs)
        code = ours.response["Error"]["Code"]
        string, number = {"type": "string"}, {"type": "integer"}
        members: dict[str, Any] = {
            n: {"shape": "S"} for n in ("Message", *MODELLED[code].required, *MODELLED[code].optional)
        }
        if "RetryAfterSeconds" in members:
            members["RetryAfterSeconds"] = {"shape": "N", "location": "header", "locationName": "Retry-After"}
        model = ServiceModel({
            "metadata": {"protocol": "rest-json", "serviceId": "LookoutVision", "apiVersion": "2020-11-20"},
            "operations": {"DescribeModel": {"name": "DescribeModel", "http": {"method": "GET", "requestUri": "/"},
                                             "errors": [{"shape": code}]}},
            "shapes": {code: {"type": "structure", "members": members, "exception": True}, "S": string, "N": number},
        })  # fmt: skip
        metadata = ours.response["ResponseMetadata"]
        sent = {"status_code": metadata["HTTPStatusCode"], "headers": HeadersDict(metadata["HTTPHeaders"]),
                "body": json.dumps(ours.body).encode()}  # fmt: skip
        # The two steps of botocore's endpoint: the error as any, then the members that the model gives it.
        parser = create_parser("rest-json")
        parsed = parser.parse(sent, model.operation_model("DescribeModel").output_shape)
        parsed |= parser.parse(sent, model.shape_for_error_code(code))
        parsed["ResponseMetadata"]["RetryAttempts"] = 0
        parsed["ResponseMetadata"]["HTTPHeaders"] = dict(parsed["ResponseMetadata"]["HTTPHeaders"])
        assert parsed == ours.response
        assert str(Theirs(parsed, "DescribeModel")) == str(ours)


def test_work_names_every_operation() -> None:
    assert {name for name in vars(Work) if not name.startswith("_")} == set(LookoutVision.operations())
    assert isinstance(Exceptions().ClientError, type)
