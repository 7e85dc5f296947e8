// The heart of scenario.py once more, told to Amazon's own SDK for JavaScript: node scenario.mjs FACTS
// It lies beside a node_modules that holds @aws-sdk/client-lookoutvision; endpoint, region and keys are in the
// environment alone. It prints "done" at the end.

import assert from "node:assert/strict";
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import * as sdk from "@aws-sdk/client-lookoutvision";

const place = process.argv[2];
const facts = JSON.parse(readFileSync(place, "utf-8"));
const client = new sdk.LookoutVision();
const hashes = []; // what each request stated of its body
client.middlewareStack.add((next) => (args) => {
  hashes.push(args.request.headers["x-amz-content-sha256"]);
  return next(args);
}, { step: "finalizeRequest", priority: "low" });

const ProjectName = facts.project;
const project = { ProjectName };
const train = { ...project, DatasetType: "train" };
const first = { ...project, ModelVersion: "1" };

async function refused(name, call) {
  const error = await call.then(() => assert.fail(`${name} expected`), (caught) => caught);
  assert.equal(error.name, name, error.message);
  assert.ok(error instanceof sdk[name] && error.message, error);
  assert.ok(error.$metadata.requestId, "an error tells the id of its request");
  return error;
}

async function wait(look, ...passing) {
  for (let round = 0; round < 2400; round += 1) {
    const state = await look();
    if (!passing.includes(state)) return state;
    await sleep(100);
  }
  return assert.fail("it does not end");
}

const dataset = async () => (await client.describeDataset(train)).DatasetDescription.Status;
const model = async () => (await client.describeModel(first)).ModelDescription.Status;

// Projects and datasets

const made = await client.createProject({ ...project, ClientToken: "one-and-the-same" });
const again = await client.createProject({ ...project, ClientToken: "one-and-the-same" });
assert.equal(made.ProjectMetadata.ProjectArn, again.ProjectMetadata.ProjectArn);
assert.ok(made.ProjectMetadata.CreationTimestamp instanceof Date);
const taken = await refused("ConflictException", client.createProject(project));
assert.deepEqual([taken.ResourceType, taken.ResourceId], ["PROJECT", ProjectName]);
await refused("ValidationException", client.createProject({ ProjectName: "with space" }));
await refused("ResourceNotFoundException", client.describeProject({ ProjectName: "nobody" }));

const source = { GroundTruthManifest: { S3Object: { Bucket: facts.bucket, Key: facts.manifest } } };
await client.createDataset({ ...train, DatasetSource: source });
assert.equal(await wait(dataset, "CREATE_IN_PROGRESS"), "CREATE_COMPLETE");
await client.updateDatasetEntries({ ...train, Changes: Buffer.from(facts.changes) });
assert.equal(await wait(dataset, "UPDATE_IN_PROGRESS"), "UPDATE_COMPLETE");
const stats = (await client.describeDataset(train)).DatasetDescription.ImageStats;
assert.deepEqual([stats.Total, stats.Normal], [facts.total, facts.normal]);
const lines = [];
for await (const page of sdk.paginateListDatasetEntries({ client, pageSize: 7 }, train)) {
  lines.push(...page.DatasetEntries);
}
assert.equal(new Set(lines).size, facts.total);
const since = await client.listDatasetEntries({ ...train, BeforeCreationDate: new Date("2020-01-01T00:00:00Z") });
assert.deepEqual(since.DatasetEntries, []);

// A model, its tags

const Tags = [{ Key: "plant b", Value: "Zürich/Süd" }];
const trained = await client.createModel({
  ...project, Tags, OutputConfig: { S3Location: { Bucket: facts.bucket, Prefix: "out" } },
});
const ResourceArn = trained.ModelMetadata.ModelArn;
assert.deepEqual((await client.listTagsForResource({ ResourceArn })).Tags, Tags);
await client.untagResource({ ResourceArn, TagKeys: ["plant b"] });
assert.equal(await wait(model, "TRAINING"), "TRAINED");
const performance = (await client.describeModel(first)).ModelDescription.Performance;
assert.deepEqual(Object.keys(performance).sort(), ["F1Score", "Precision", "Recall"]);

// Hosting: the image as a Buffer, as a file's stream, and as a stream whose length nobody knows

const image = Buffer.from(facts.image, "base64");
const ContentType = "image/png";
await refused("ConflictException", client.detectAnomalies({ ...first, ContentType, Body: image }));
assert.ok(["STARTING_HOSTING", "HOSTED"].includes((await client.startModel({ ...first, MinInferenceUnits: 1 })).Status));
assert.equal(await wait(model, "STARTING_HOSTING"), "HOSTED");
const judged = (await client.detectAnomalies({ ...first, ContentType, Body: image })).DetectAnomalyResult;
assert.match(hashes.at(-1), /^[0-9a-f]{64}$/);
assert.equal(typeof judged.IsAnomalous, "boolean");
assert.deepEqual(Object.keys(judged).sort(), ["Confidence", "IsAnomalous", "Source"]);
writeFileSync(`${place}.png`, image);
const parts = [image.subarray(0, 99), image.subarray(99)];
for (const Body of [createReadStream(`${place}.png`), Readable.from(parts)]) {
  const answer = await client.detectAnomalies({ ...first, ContentType, Body });
  assert.equal(hashes.at(-1), "UNSIGNED-PAYLOAD");
  assert.deepEqual(answer.DetectAnomalyResult, judged);
}
await refused("ValidationException", client.detectAnomalies({ ...first, ContentType, Body: Buffer.from("no image") }));
await refused("ValidationException", client.detectAnomalies({ ...first, ContentType: "text/plain", Body: image }));
await refused("ConflictException", client.deleteModel(first));
const stranger = new sdk.LookoutVision({ credentials: { accessKeyId: facts.key, secretAccessKey: "wrong" } });
await assert.rejects(stranger.describeModel(first), { name: "InvalidSignatureException" });

// The end

await client.stopModel(first);
assert.equal(await wait(model, "STOPPING_HOSTING"), "TRAINED");
assert.equal((await client.deleteModel(first)).ModelArn, ResourceArn);
await refused("ResourceNotFoundException", client.describeModel(first));
await client.deleteDataset(train);
await client.deleteProject(project);
console.log("done");
