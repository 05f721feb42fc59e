"""Streams a recording to a server in real time and measures the latency of words.

    python -m venv venv && venv/bin/pip install 'openai[realtime]' numpy soundfile
    amanuensis serve --port 8123 --threads 2 &
    venv/bin/python crates/server/tests/realtime_delay.py http://127.0.0.1:8123/v1 TALK.flac en

The time of each word comes from a transcription of the same recording as a file (`verbose_json`). Words are matched by their
letters. `settled` are the words of deltas; `provisional` is when a word was first shown in its final form.
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


def sounds(text):
    return [word for word in (re.sub(r"\W", "", part).lower() for part in text.split()) if word]


def samples():
    sound, own = soundfile.read(RECORDING, dtype="float32", always_2d=True)
    sound = sound.mean(axis=1)
    at = numpy.arange(int(len(sound) * RATE / own)) * own / RATE
    return (numpy.interp(at, numpy.arange(len(sound)), sound) * 32767).astype("<i2")


def spoken():
    """The words of the file and their end times."""
    client = openai.OpenAI(base_url=URL, api_key="none")
    with open(RECORDING, "rb") as file:
        result = client.audio.transcriptions.create(
            file=file, model="whisper-1", language=LANGUAGE, response_format="verbose_json", timestamp_granularities=["word"]
        )
    return [(sound, word.end) for word in result.words for sound in sounds(word.word)]


class Listener:
    def __init__(self):
        # Each final word with the time of its delta, and the time since which it was shown unchanged.
        self.settled = []
        self.shown = []

    def provisional(self, text, now):
        words = sounds(text)
        before = self.shown + [("", now)] * len(words)
        self.shown = [(word, at if known == word else now) for word, (known, at) in zip(words, before)]

    def delta(self, text, now):
        for word in sounds(text):
            seen = now
            if self.shown:
                before, at = self.shown.pop(0)
                seen = at if before == word else now
            self.settled.append((word, now, seen))


def main():
    reference = spoken()
    data = samples().tobytes() + bytes(2 * RATE * 2)
    listener, start = Listener(), None
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
                # A block can be sent only after its last sample was spoken.
                time.sleep(max(0.0, start + number * BLOCK - time.monotonic()))
                audio = base64.b64encode(data[at : at + size]).decode()
                socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))

        sender = threading.Thread(target=send)
        sender.start()
        completed, began = 0, 0
        while sender.is_alive() or completed < began:
            try:
                event = json.loads(socket.recv(timeout=5))
            except TimeoutError:
                continue
            now = time.monotonic() - start
            kind = event["type"].removeprefix(TRANSCRIPTION)
            if kind == "delta":
                listener.delta(event["delta"], now)
            elif kind == "provisional":
                listener.provisional(event["text"], now)
            elif kind == "input_audio_buffer.speech_started":
                began += 1
            elif kind == "completed":
                completed += 1
            elif kind in ("failed", "error"):
                sys.exit(f"failed: {event}")
    pairs = difflib.SequenceMatcher(None, [w for w, _ in reference], [w for w, _, _ in listener.settled], autojunk=False)
    settled, provisional = [], []
    for block in pairs.get_matching_blocks():
        for offset in range(block.size):
            end = reference[block.a + offset][1]
            _, at, seen = listener.settled[block.b + offset]
            settled.append(at - end)
            provisional.append(seen - end)
    print(f"{len(reference)} words as a file, {len(listener.settled)} live, {len(settled)} the same; {completed} turns")
    for name, delays in [("provisional", provisional), ("settled", settled)]:
        p95 = statistics.quantiles(delays, n=20)[-1]
        print(f"{name:<12} median {statistics.median(delays):.2f} s, 95 % {p95:.2f} s")


main()
