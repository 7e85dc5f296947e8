"""Whatever is called in whatever order: the answers are those of a few dicts that keep the same states."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.workspace.conftest import draw, lines, part
from tests.workspace.trained import OUTPUT, source
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.workspace import Workspace

NAMES = st.sampled_from(["p", "q", "r-1"])
TYPES = st.sampled_from(["train", "test"])
TOKENS = st.sampled_from([None, None, None, "t1", "t2"])
LABELS = st.sampled_from(["normal", "anomaly", None])
LINES = st.lists(st.tuples(st.integers(0, 7), LABELS), min_size=1, max_size=5)
KNOWN, WORDS = st.sampled_from([None, True, False]), st.sampled_from([None, "factory", "s/3"])
PAGES = st.integers(1, 4)
ARN = "arn:aws:lookoutvision:us-east-1:000000000000:model/{}/{}"


@dataclass
class Set:
    """A dataset, as it must be: labels by image, in order."""

    status: str
    images: dict[str, str | None] = field(default_factory=dict)


@dataclass
class One:
    """A project, as it must be."""

    sets: dict[str, Set] = field(default_factory=dict)
    models: dict[str, dict[str, str]] = field(default_factory=dict)
    next: int = 1


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """Make an empty workspace with eight images in each of two buckets."""
    folder = tmp_path_factory.mktemp("sequences") / "w"
    with Workspace(folder) as workspace:
        for bucket in ("factory", "other"):
            draw(workspace, 8, bucket=bucket)
    return folder


class Sequences(RuleBasedStateMachine):
    """Call anything, in any order, and compare."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sequences-"))
        shutil.copytree(self.template, self.folder / "w")
        self.projects: dict[str, One] = {}
        self.given: dict[tuple[str, str, str], tuple[dict[str, Any], Any]] = {}
        self.tokens: dict[str, str] = {}
        self.open()

    def open(self) -> None:
        self.workspace = Workspace(self.folder / "w", run="inline", preset="fast", threads=1)
        self.client = LookoutVision(self.workspace)

    def teardown(self) -> None:
        self.workspace.close()
        shutil.rmtree(self.folder)

    # ---- calls

    def call(self, operation: str, token: str | None = None, *, fails: str | None = None, **arguments: Any) -> Any:
        """Call, and return the answer; ``fails`` is the error that it must end in.

        Returns None where the token was used: then nothing may change, and the answer is the first one, or a conflict.
        """
        given = arguments | ({"ClientToken": token} if token else {})
        scope = f"{operation} {[arguments.get(name) for name in ('ProjectName', 'DatasetType', 'ModelVersion')]}"
        if operation in ("create_project", "create_model", "create_dataset"):
            scope = f"{operation} {arguments['ProjectName'] if operation != 'create_project' else ''}"
        known = self.given.get((operation, scope, token)) if token else None
        if known is not None:
            if known[0] == arguments:
                assert self.body(getattr(self.client, operation)(**given)) == known[1]
            else:
                self.refused("ConflictException", operation, given)
            return None
        if fails is not None:
            self.refused(fails, operation, given)
            return None
        answer = self.body(getattr(self.client, operation)(**given))
        if token:
            self.given[operation, scope, token] = arguments, answer
        return answer

    @staticmethod
    def body(answer: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def refused(self, code: str, operation: str, arguments: dict[str, Any]) -> None:
        with pytest.raises(self.client.exceptions.ClientError) as told:
            getattr(self.client, operation)(**arguments)
        assert told.value.response["Error"]["Code"] == code, told.value

    def missing(self, project: str, type: str | None = None) -> str | None:
        """Return the error of what is not there."""
        there = project in self.projects and (type is None or type in self.projects[project].sets)
        return None if there else "ResourceNotFoundException"

    # ---- rules

    @initialize()
    def begin(self) -> None:
        self.call("create_project", ProjectName="p")
        self.projects["p"] = One()

    @rule(name=NAMES, token=TOKENS)
    def create_project(self, name: str, token: str | None) -> None:
        if self.call(
            "create_project", token, ProjectName=name, fails="ConflictException" if name in self.projects else None
        ):
            self.projects[name] = One()

    @rule(name=NAMES, token=TOKENS)
    def delete_project(self, name: str, token: str | None) -> None:
        one = self.projects.get(name)
        fails = self.missing(name) or ("ConflictException" if one and (one.sets or one.models) else None)
        if self.call("delete_project", token, ProjectName=name, fails=fails):
            del self.projects[name]

    @rule(name=NAMES, type=TYPES, token=TOKENS, given=st.one_of(st.none(), LINES), bad=st.booleans())
    def create_dataset(self, name: str, type: str, token: str | None, given: Any, bad: bool) -> None:
        arguments: dict[str, Any] = {"ProjectName": name, "DatasetType": type}
        made = Set("CREATE_COMPLETE")
        if given is not None:
            unique = dict(given)
            text = lines(*(part(n, label) for n, label in unique.items())) + (b"{" if bad else b"")
            self.workspace.buckets.write("s3://factory/m", text)
            arguments["DatasetSource"] = source("m")
            images = {f"s3://factory/parts/{n}.png": label for n, label in unique.items()}
            made = Set("CREATE_FAILED") if bad else Set("CREATE_COMPLETE", images)
        fails = self.missing(name) or ("ConflictException" if type in self.projects[name].sets else None)
        if (answer := self.call("create_dataset", token, fails=fails, **arguments)) is not None:
            assert answer["DatasetMetadata"]["StatusMessage"]
            assert answer["DatasetMetadata"]["Status"] == ("CREATE_COMPLETE" if given is None else "CREATE_IN_PROGRESS")
            self.projects[name].sets[type] = made

    @rule(name=NAMES, type=TYPES, token=TOKENS, given=LINES, bad=st.booleans(), other=st.booleans())
    def update(self, name: str, type: str, token: str | None, given: Any, bad: bool, other: bool) -> None:
        bucket = "other" if other else "factory"
        changes = lines(*(part(n, label, bucket=bucket) for n, label in given)) + (b"[]" if bad else b"")
        fails = self.missing(name, type)
        if fails is None:
            known = self.projects[name].sets[type]
            first = next(iter(known.images), None)
            if known.status == "CREATE_FAILED":
                fails = "ConflictException"
            elif first is not None and not first.startswith(f"s3://{bucket}/"):
                fails = "ValidationException"
        arguments = {"ProjectName": name, "DatasetType": type, "Changes": changes}
        if (answer := self.call("update_dataset_entries", token, fails=fails, **arguments)) is not None:
            assert answer == {"Status": "UPDATE_IN_PROGRESS"}
            known = self.projects[name].sets[type]
            known.status = "UPDATE_FAILED_ROLLBACK_COMPLETE" if bad else "UPDATE_COMPLETE"
            if not bad:
                known.images |= {f"s3://{bucket}/parts/{n}.png": label for n, label in given}

    @rule(name=NAMES, type=TYPES, token=TOKENS)
    def delete_dataset(self, name: str, type: str, token: str | None) -> None:
        arguments = {"ProjectName": name, "DatasetType": type}
        if self.call("delete_dataset", token, fails=self.missing(name, type), **arguments) is not None:
            del self.projects[name].sets[type]

    @rule(
        name=NAMES, token=TOKENS, tags=st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x"]), max_size=2)
    )
    def create_model(self, name: str, token: str | None, tags: dict[str, str]) -> None:
        fails = self.missing(name)
        if fails is None:
            sets = self.projects[name].sets
            if "train" not in sets or "CREATE_FAILED" in {one.status for one in sets.values()}:
                fails = "ConflictException"
        arguments = {"ProjectName": name, "OutputConfig": OUTPUT, "Tags": as_tags(tags)}
        if (answer := self.call("create_model", token, fails=fails, **arguments)) is not None:
            one, told = self.projects[name], answer["ModelMetadata"]
            assert (told["ModelVersion"], told["Status"]) == (str(one.next), "TRAINING") and told["StatusMessage"]
            one.models[str(one.next)] = dict(tags)
            one.next += 1

    @rule(name=NAMES, version=st.sampled_from(["1", "2", "3"]), token=TOKENS)
    def delete_model(self, name: str, version: str, token: str | None) -> None:
        fails = self.missing(name) or (None if version in self.projects[name].models else "ResourceNotFoundException")
        arguments = {"ProjectName": name, "ModelVersion": version}
        if self.call("delete_model", token, fails=fails, **arguments) is not None:
            del self.projects[name].models[version]

    @rule(name=NAMES, version=st.sampled_from(["1", "2", "latest"]))
    def use_what_was_not_trained(self, name: str, version: str) -> None:
        known = name in self.projects and version in self.projects[name].models
        code = "ConflictException" if known else "ResourceNotFoundException"
        key = {"ProjectName": name, "ModelVersion": version}
        self.refused(code, "start_model", key | {"MinInferenceUnits": 1})
        self.refused(code, "stop_model", key)
        self.refused(code, "detect_anomalies", key | {"Body": b"x", "ContentType": "image/png"})

    @rule(name=NAMES, version=st.sampled_from(["1", "2"]), key=st.sampled_from("abc"), value=st.sampled_from(["", "y"]))
    def tag(self, name: str, version: str, key: str, value: str) -> None:
        arguments = {"ResourceArn": ARN.format(name, version), "Tags": as_tags({key: value})}
        known = self.projects[name].models.get(version) if name in self.projects else None
        self.call("tag_resource", fails="ResourceNotFoundException" if known is None else None, **arguments)
        if known is not None:
            known[key] = value

    @rule(name=NAMES, version=st.sampled_from(["1", "2"]), key=st.sampled_from("abc"))
    def untag(self, name: str, version: str, key: str) -> None:
        known = self.projects[name].models.get(version) if name in self.projects else None
        arguments = {"ResourceArn": ARN.format(name, version), "TagKeys": [key]}
        self.call("untag_resource", fails="ResourceNotFoundException" if known is None else None, **arguments)
        if known is not None:
            known.pop(key, None)

    @rule()
    def restart(self) -> None:
        self.workspace.close()
        self.open()

    # ---- what is read

    def pages(self, operation: str, member: str, size: int, **arguments: Any) -> list[Any]:
        """Read a list page by page; every page but the last is full."""
        found: list[Any] = []
        token: dict[str, str] = {}
        while True:
            answer = getattr(self.client, operation)(**arguments, **token, MaxResults=size)
            found += answer[member]
            if "NextToken" not in answer:
                return found
            assert len(answer[member]) == size
            token = {"NextToken": answer["NextToken"]}
            self.tokens[f"{operation} {arguments}"] = answer["NextToken"]

    @rule(name=NAMES, type=TYPES, size=PAGES, labelled=KNOWN, verdict=LABELS, words=WORDS)
    def entries(self, name: str, type: str, size: int, labelled: Any, verdict: Any, words: Any) -> None:
        which = {"Labeled": labelled, "AnomalyClass": verdict, "SourceRefContains": words}
        arguments = {"ProjectName": name, "DatasetType": type, **{k: v for k, v in which.items() if v is not None}}
        if fails := self.missing(name, type):
            self.refused(fails, "list_dataset_entries", arguments)
            return
        found = self.pages("list_dataset_entries", "DatasetEntries", size, **arguments)
        assert [json.loads(line)["source-ref"] for line in found] == [
            image
            for image, label in self.projects[name].sets[type].images.items()
            if labelled in (None, label is not None) and verdict in (None, label) and (words is None or words in image)
        ]

    @rule(size=PAGES)
    def lists(self, size: int) -> None:
        found = self.pages("list_projects", "Projects", size)
        assert [one["ProjectName"] for one in found] == list(self.projects)
        for name, one in self.projects.items():
            models = self.pages("list_models", "Models", size, ProjectName=name)
            assert [(m["ModelVersion"], m["Status"]) for m in models] == [(v, "TRAINING_FAILED") for v in one.models]
            assert all(model["StatusMessage"] for model in models)
            assert self.pages("list_model_packaging_jobs", "ModelPackagingJobs", size, ProjectName=name) == []

    @rule(name=NAMES)
    def a_page_of_another_list(self, name: str) -> None:
        for origin, token in self.tokens.items():
            if origin != "list_projects {}":
                self.refused("ValidationException", "list_projects", {"NextToken": token})
            if name in self.projects and not origin.startswith("list_models"):
                self.refused("ValidationException", "list_models", {"ProjectName": name, "NextToken": token})

    @invariant()
    def everything_is_as_it_must_be(self) -> None:
        for name in ("p", "q", "r-1"):
            if name not in self.projects:
                self.refused("ResourceNotFoundException", "describe_project", {"ProjectName": name})
                continue
            one = self.projects[name]
            told = self.client.describe_project(ProjectName=name)["ProjectDescription"]["Datasets"]
            assert {each["DatasetType"]: each["Status"] for each in told} == {t: s.status for t, s in one.sets.items()}
            for type_, known in one.sets.items():
                found = self.client.describe_dataset(ProjectName=name, DatasetType=type_)["DatasetDescription"]
                labels = list(known.images.values())
                assert found["StatusMessage"] and found["ImageStats"] == {
                    "Total": len(labels), "Labeled": len(labels) - labels.count(None),
                    "Normal": labels.count("normal"), "Anomaly": labels.count("anomaly"),
                }  # fmt: skip
            for version, tags in one.models.items():
                answer = self.client.list_tags_for_resource(ResourceArn=ARN.format(name, version))
                assert answer["Tags"] == as_tags(dict(sorted(tags.items())))


def as_tags(given: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in given.items()]


def test_any_sequence_of_calls(template):
    Sequences.template = template
    run_state_machine_as_test(Sequences, settings=settings(max_examples=12, stateful_step_count=25, deadline=None))


@pytest.mark.slow
def test_many_long_sequences_of_calls(template):
    Sequences.template = template
    run_state_machine_as_test(Sequences, settings=settings(max_examples=60, stateful_step_count=60, deadline=None))
