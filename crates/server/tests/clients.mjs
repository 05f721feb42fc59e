// Runs the official Node client against a server: every format, streaming, translations, models, errors.
//
//     npm install openai
//     amanuensis serve --port 8123 &
//     node crates/server/tests/clients.mjs http://127.0.0.1:8123/v1 samples/offline.opus
//
// Run the script in the directory in which `openai` is installed, or copy it next to that directory's `node_modules`.

import assert from "node:assert/strict";
import fs from "node:fs";
import OpenAI from "openai";

const [url, recording, key = "none"] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const expected = /on an ordinary computer/;

const transcribe = (options = {}) =>
  client.audio.transcriptions.create({ file: fs.createReadStream(recording), model: "whisper-1", ...options });
const translate = (options = {}) =>
  client.audio.translations.create({ file: fs.createReadStream(recording), model: "whisper-1", ...options });
const assertError = (options, status, param) =>
  assert.rejects(transcribe(options), (error) => error.status === status && error.param === param);

const plain = await transcribe();
assert.match(plain.text, expected);
assert.equal(plain.usage.type, "duration");
assert.equal((await transcribe({ response_format: "text" })).trim(), plain.text);
assert.match(await transcribe({ response_format: "srt" }), /00:00:00,000 --> /);
assert.match(await transcribe({ response_format: "vtt" }), /^WEBVTT/);

const verbose = await transcribe({ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] });
assert.equal(verbose.language, "english");
assert.equal(verbose.words.length, plain.text.split(/\s+/).length);
for (const [field, type] of Object.entries({ id: "number", seek: "number", start: "number", end: "number", text: "string",
  temperature: "number", avg_logprob: "number", compression_ratio: "number", no_speech_prob: "number" })) {
  assert.ok(verbose.segments.every((segment) => typeof segment[field] === type), field);
}
assert.ok((await transcribe({ include: ["logprobs"] })).logprobs.length > 5);
const strategy = { type: "server_vad", threshold: 0.4, silence_duration_ms: 100 };
assert.equal((await transcribe({ chunking_strategy: strategy })).text, plain.text);

let text = "";
let done;
for await (const event of await transcribe({ stream: true })) {
  if (event.type === "transcript.text.delta") text += event.delta;
  else done = event;
}
assert.equal(done.type, "transcript.text.done");
assert.equal(done.text, text);
assert.equal(text, plain.text);

assert.match((await translate()).text, expected);
assert.equal((await translate({ response_format: "verbose_json" })).language, "english");
assert.match(await translate({ response_format: "vtt" }), /^WEBVTT/);

const listed = [];
for await (const model of client.models.list()) listed.push(model);
assert.ok(listed.some((model) => model.id === "whisper-1"));
for (const model of listed) assert.deepEqual(await client.models.retrieve(model.id), model);

await assertError({ model: "nothing" }, 404, "model");
await assertError({ language: "klingon" }, 400, "language");
await assertError({ response_format: "diarized_json" }, 400, "response_format");
console.log("all passed");
