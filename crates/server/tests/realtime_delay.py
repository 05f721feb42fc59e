"""Streams a recording to a server in real time and measures the latency of each word.

    python -m venv venv && venv/bin/pip install 'openai[realtime]' numpy soundfile
    amanuensis serve --port 8123 --threads 2 &
    venv/bin/python crates/server/tests/realtime_delay.py http://127.0.0.1:8123/v1 TALK.flac en

The reference times come from the word timestamps of the same recording, transcribed as a file (`verbose_json`). Case
and punctuation are ignored when words are matched. `committed` is the latency of words in delta events. `provisional`
is the latency of the first provisional event that shows a word in its final form.
"""

import base64
import difflib
import json
import re
import statistics
import sys
import threading
import time

import numpy
import openai
import soundfile
from websockets.sync.client import connect

URL, RECORDING, LANGUAGE = sys.argv[1:4]
RATE, BLOCK = 24000, 0.1
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def normalized(text):
    """Splits a text into words, in lower case and without punctuation."""
    return [word for word in (re.sub(r"\W", "", part).lower() for part in text.split()) if word]


def samples():
    """Returns the recording as 16-bit mono samples at 24 kHz."""
    sound, own = soundfile.read(RECORDING, dtype="float32", always_2d=True)
    sound = sound.mean(axis=1)
    at = numpy.arange(int(len(sound) * RATE / own)) * own / RATE
    return (numpy.interp(at, numpy.arange(len(sound)), sound) * 32767).astype("<i2")


def reference_words():
    """Transcribes the file. Returns each word and its end time in seconds."""
    client = openai.OpenAI(base_url=URL, api_key="none")
    with open(RECORDING, "rb") as file:
        result = client.audio.transcriptions.create(
            file=file, model="whisper-1", language=LANGUAGE, response_format="verbose_json", timestamp_granularities=["word"]
        )
    return [(word, timed.end) for timed in result.words for word in normalized(timed.word)]


class WordTimes:
    """Records the times at which words arrive."""

    def __init__(self):
        # Each committed word, with the time of its commit and the time at which it was first shown in this form.
        self.committed = []
        # Each provisional word, with the time at which it was first shown in this form.
        self.provisional = []

    def on_provisional(self, text, now):
        words = normalized(text)
        before = self.provisional + [("", now)] * len(words)
        self.provisional = [(word, at if old == word else now) for word, (old, at) in zip(words, before)]

    def on_delta(self, text, now):
        for word in normalized(text):
            seen = now
            if self.provisional:
                before, at = self.provisional.pop(0)
                seen = at if before == word else now
            self.committed.append((word, now, seen))


def main():
    reference = reference_words()
    data = samples().tobytes() + bytes(2 * RATE * 2)
    words, start = WordTimes(), None
    query = "?intent=transcription&provisional=true"
    with connect(URL.replace("http", "ws", 1) + "/realtime" + query, max_size=None) as socket:
        transcription = {"model": "whisper-1", "language": LANGUAGE}
        socket.send(json.dumps({
            "type": "session.update",
            "session": {"type": "transcription", "audio": {"input": {"transcription": transcription}}},
        }))
        start = time.monotonic()

        def send():
            size = int(RATE * BLOCK) * 2
            for number, at in enumerate(range(0, len(data), size), 1):
                # Send each block at the time at which its last sample would have been recorded.
                time.sleep(max(0.0, start + number * BLOCK - time.monotonic()))
                audio = base64.b64encode(data[at : at + size]).decode()
                socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))

        sender = threading.Thread(target=send)
        sender.start()
        completed, started = 0, 0
        while sender.is_alive() or completed < started:
            try:
                event = json.loads(socket.recv(timeout=5))
            except TimeoutError:
                continue
            now = time.monotonic() - start
            kind = event["type"].removeprefix(TRANSCRIPTION)
            if kind == "delta":
                words.on_delta(event["delta"], now)
            elif kind == "provisional":
                words.on_provisional(event["text"], now)
            elif kind == "input_audio_buffer.speech_started":
                started += 1
            elif kind == "completed":
                completed += 1
            elif kind in ("failed", "error"):
                sys.exit(f"failed: {event}")
    pairs = difflib.SequenceMatcher(None, [w for w, _ in reference], [w for w, _, _ in words.committed], autojunk=False)
    committed, provisional = [], []
    for block in pairs.get_matching_blocks():
        for offset in range(block.size):
            end = reference[block.a + offset][1]
            _, at, seen = words.committed[block.b + offset]
            committed.append(at - end)
            provisional.append(seen - end)
    print(f"{len(reference)} words from the file, {len(words.committed)} live, {len(committed)} matched; {completed} utterances")
    for name, delays in [("provisional", provisional), ("committed", committed)]:
        p95 = statistics.quantiles(delays, n=20)[-1]
        print(f"{name:<12} median {statistics.median(delays):.2f} s, 95th percentile {p95:.2f} s")


main()
