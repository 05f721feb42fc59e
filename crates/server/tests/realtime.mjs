// Runs the official Node client's realtime connection against a server: utterances that are committed by the
// client, utterances that are detected by the server, and errors.
//
//     npm install openai ws
//     ffmpeg -i samples/offline.opus -f s16le -ac 1 -ar 24000 offline.pcm
//     amanuensis serve --port 8123 &
//     node crates/server/tests/realtime.mjs http://127.0.0.1:8123/v1 offline.pcm
//
// Run the script in the directory in which `openai` and `ws` are installed, or copy it next to that directory's
// `node_modules`. The client supports only TLS and the server has no TLS, so the client gets a plain TCP connection.

import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [url, recording, key = "none"] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const { hostname, port } = new URL(url);
const expected = /on an ordinary computer/;
const transcription = "conversation.item.input_audio_transcription.";

const rate = 24000;
const samples = fs.readFileSync(recording);
const silence = Buffer.alloc(2 * 2 * rate);

class Session {
  #events = [];
  #wake = () => {};

  static async open(model = "whisper-1") {
    const session = new Session();
    const createConnection = () => net.connect(port || 80, hostname);
    session.realtime = new OpenAIRealtimeWS({ model, options: { createConnection } }, client);
    for (const kind of ["event", "error"]) {
      session.realtime.on(kind, (event) => {
        // The client reports an error event of the server twice: as an event and as an error. Keep only the event.
        if (kind === "event" || !event.error) session.#events.push(event);
        session.#wake();
      });
    }
    assert.equal((await session.next()).type, "session.created");
    return session;
  }

  async next() {
    while (!this.#events.length) await new Promise((resolve) => (this.#wake = resolve));
    const event = this.#events.shift();
    if (event instanceof Error) throw event;
    assert.equal(typeof event.event_id, "string");
    return event;
  }

  async until(type) {
    const events = [await this.next()];
    while (events.at(-1).type !== type) {
      assert.notEqual(events.at(-1).type, "error", JSON.stringify(events.at(-1)));
      events.push(await this.next());
    }
    return events;
  }

  async update(input) {
    const format = { type: "audio/pcm", rate };
    this.realtime.send({ type: "session.update", session: { type: "transcription", audio: { input: { format, ...input } } } });
    return await this.next();
  }

  append(bytes) {
    const step = rate / 5;
    for (let at = 0; at < bytes.length; at += step) {
      const audio = bytes.subarray(at, at + step).toString("base64");
      this.realtime.send({ type: "input_audio_buffer.append", audio });
    }
  }

  async close() {
    const closed = new Promise((resolve) => this.realtime.socket.on("close", resolve));
    this.realtime.close();
    assert.equal(await closed, 1000);
  }
}

/** Returns the text of the completed utterances. Checks that the deltas of each utterance add up to its transcript. */
function transcript(events) {
  const of = (type) => events.filter((event) => event.type === transcription + type);
  return of("completed").map((done) => {
    const deltas = of("delta").filter((delta) => delta.item_id === done.item_id);
    assert.equal(deltas.map((delta) => delta.delta).join(""), done.transcript);
    assert.equal(done.usage.type, "duration");
    assert.ok(done.usage.seconds > 0.1);
    return done.transcript;
  }).join(" ");
}

async function clientCommits() {
  const session = await Session.open();
  const updated = await session.update({ turn_detection: null, transcription: { model: "whisper-1", language: "en" } });
  assert.equal(updated.type, "session.updated");
  assert.equal(updated.session.audio.input.turn_detection, null);
  assert.equal(updated.session.audio.input.transcription.language, "en");
  session.append(samples);
  session.realtime.send({ type: "input_audio_buffer.commit" });
  const events = await session.until(transcription + "completed");
  assert.deepEqual(events.slice(0, 3).map((event) => event.type),
    ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]);
  assert.match(transcript(events), expected);
  session.append(samples);
  session.realtime.send({ type: "input_audio_buffer.clear" });
  assert.equal((await session.next()).type, "input_audio_buffer.cleared");
  session.realtime.send({ type: "input_audio_buffer.commit" });
  const empty = await session.next();
  assert.equal(empty.error.code, "input_audio_buffer_commit_empty");
  await session.close();
}

async function serverDetectsUtterances() {
  const session = await Session.open("base");
  const turn_detection = { type: "server_vad", threshold: 0.5, prefix_padding_ms: 300, silence_duration_ms: 700 };
  const updated = await session.update({ turn_detection, transcription: { model: "base", language: "en" } });
  assert.deepEqual(updated.session.audio.input.turn_detection, turn_detection);
  session.append(samples);
  session.append(silence);
  const events = [];
  while (!expected.test(transcript(events))) events.push(...(await session.until(transcription + "completed")));
  const kinds = events.map((event) => event.type);
  assert.equal(kinds[0], "input_audio_buffer.speech_started");
  const stopped = kinds.indexOf("input_audio_buffer.speech_stopped");
  assert.equal(kinds[stopped + 1], "input_audio_buffer.committed");
  assert.equal(events[0].item_id, events[stopped + 1].item_id);
  assert.ok(events[0].audio_start_ms < events[stopped].audio_end_ms);
  await session.close();
}

async function errors() {
  const session = await Session.open();
  session.realtime.send({ type: "response.create", event_id: "mine" });
  const { error } = await session.next();
  assert.deepEqual([error.event_id, error.param], ["mine", "type"]);
  for (const [input, param] of [
    [{ turn_detection: { type: "semantic_vad" } }, "turn_detection.type"],
    [{ transcription: { model: "no-such-model" } }, "model"],
    [{ transcription: { language: "xx" } }, "language"],
    [{ noise_reduction: { type: "near_field" } }, "noise_reduction"],
  ]) {
    const response = await session.update(input);
    assert.equal(response.type, "error");
    assert.ok(response.error.param.endsWith(param), JSON.stringify(response));
  }
  assert.equal((await session.update({})).type, "session.updated");
  await session.close();
  await assert.rejects(Session.open("no-such-model"), /404/);
}

for (const test of [clientCommits, serverDetectsUtterances, errors]) {
  await test();
  console.log(`${test.name}: passed`);
}
