"""Runs the official Python client's realtime connection against a server: the current and the beta protocol, every audio
format, utterances that are committed by the client, utterances that are detected by the server, and errors.

    python -m venv venv && venv/bin/pip install 'openai[realtime]' numpy soundfile
    amanuensis serve --port 8123 &
    venv/bin/python crates/server/tests/realtime.py http://127.0.0.1:8123/v1 samples/offline.opus

Events are validated strictly against the types of the client: no field may be missing or have a different type.
"""

import base64
import sys
import threading
import time

import numpy
import openai
import soundfile
from openai.types import realtime
from openai.types.beta import realtime as beta

URL, RECORDING = sys.argv[1:3]
KEY = sys.argv[3] if len(sys.argv) > 3 else "none"
EXPECTED = "on an ordinary computer"
TRANSCRIPTION = "conversation.item.input_audio_transcription."

client = openai.OpenAI(base_url=URL, websocket_base_url=URL.replace("http", "ws", 1), api_key=KEY, max_retries=0)
checks = 0

CURRENT = {
    "session.created": realtime.SessionCreatedEvent,
    "session.updated": realtime.SessionUpdatedEvent,
    "error": realtime.RealtimeErrorEvent,
    "input_audio_buffer.committed": realtime.InputAudioBufferCommittedEvent,
    "input_audio_buffer.cleared": realtime.InputAudioBufferClearedEvent,
    "input_audio_buffer.speech_started": realtime.InputAudioBufferSpeechStartedEvent,
    "input_audio_buffer.speech_stopped": realtime.InputAudioBufferSpeechStoppedEvent,
    "conversation.item.added": realtime.ConversationItemAdded,
    "conversation.item.done": realtime.ConversationItemDone,
    TRANSCRIPTION + "delta": realtime.ConversationItemInputAudioTranscriptionDeltaEvent,
    TRANSCRIPTION + "completed": realtime.ConversationItemInputAudioTranscriptionCompletedEvent,
}
BETA = {
    "session.created": beta.SessionCreatedEvent,
    "transcription_session.updated": beta.TranscriptionSessionUpdatedEvent,
    "error": beta.ErrorEvent,
    "input_audio_buffer.committed": beta.InputAudioBufferCommittedEvent,
    "input_audio_buffer.speech_started": beta.InputAudioBufferSpeechStartedEvent,
    "input_audio_buffer.speech_stopped": beta.InputAudioBufferSpeechStoppedEvent,
    "conversation.item.created": beta.ConversationItemCreatedEvent,
    TRANSCRIPTION + "delta": beta.ConversationItemInputAudioTranscriptionDeltaEvent,
    TRANSCRIPTION + "completed": beta.ConversationItemInputAudioTranscriptionCompletedEvent,
}


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        sys.exit(f"failed: {what}")


def samples(rate):
    """Returns the recording as 16-bit mono samples at `rate` Hz."""
    sound, own = soundfile.read(RECORDING, dtype="float32", always_2d=True)
    sound = sound.mean(axis=1)
    at = numpy.arange(int(len(sound) * rate / own)) * own / rate
    return (numpy.interp(at, numpy.arange(len(sound)), sound) * 32767).astype("<i2")


def g711(pcm, law):
    """Encodes samples as G.711. Chooses for each sample the code whose decoded value is nearest to the sample."""
    codes = numpy.arange(256)
    if law == "mu":
        inverted = ~codes & 255
        exponent, mantissa = inverted >> 4 & 7, inverted & 15
        values = (((mantissa << 3) + 132) << exponent) - 132
        values = numpy.where(inverted & 128, -values, values)
    else:
        inverted = codes ^ 0x55
        exponent, mantissa = inverted >> 4 & 7, (inverted & 15) * 16 + 8
        values = numpy.where(exponent == 0, mantissa, (mantissa + 256) << numpy.maximum(exponent - 1, 0))
        values = numpy.where(inverted & 128, values, -values)
    order = numpy.argsort(values, kind="stable")
    at = numpy.searchsorted((values[order][1:] + values[order][:-1]) / 2, pcm)
    return codes[order][at].astype("u1")


class Session:
    """A realtime connection. Each event is validated when it arrives."""

    def __init__(self, is_beta=False, **query):
        self.types = BETA if is_beta else CURRENT
        extra = {"intent": "transcription", **query}
        if is_beta:
            self.manager = client.beta.realtime.connect(
                model="whisper-1", extra_query=extra, extra_headers={"OpenAI-Beta": "realtime=v1"}
            )
        else:
            self.manager = client.realtime.connect(extra_query=extra)

    def __enter__(self):
        self.connection = self.manager.enter()
        self.next("session.created")
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self, kind=None):
        event = self.connection.recv()
        check(event.type in self.types, f"unknown event {event.type}")
        expected = self.types[event.type]
        check(isinstance(event, expected), f"{event!r} is not a {expected.__name__}")
        expected.model_validate(event.to_dict(), strict=True)
        check(kind in (None, event.type), f"{event!r} instead of {kind}")
        return event

    def until(self, kind):
        events = [self.next()]
        while events[-1].type != kind:
            check(events[-1].type != "error", events[-1])
            events.append(self.next())
        return events

    def send(self, data, pace=0.0):
        """Sends `data` in 200 messages from another thread. Waits `pace` seconds after each message. Returns the thread."""
        size = max(1, len(data) // 200)

        def work():
            for at in range(0, len(data), size):
                audio = base64.b64encode(data[at : at + size]).decode()
                self.connection.input_audio_buffer.append(audio=audio)
                time.sleep(pace)

        thread = threading.Thread(target=work)
        thread.start()
        return thread


def settings(format=None, **others):
    input = {"format": format or {"type": "audio/pcm", "rate": 24000}, **others}
    return {"type": "transcription", "audio": {"input": input}, "include": ["item.input_audio_transcription.logprobs"]}


def transcript(events):
    """Returns the text of the completed utterances. Checks that the deltas of each utterance add up to its transcript."""
    text = []
    for done in [event for event in events if event.type == TRANSCRIPTION + "completed"]:
        deltas = [event.delta for event in events if event.type == TRANSCRIPTION + "delta" and event.item_id == done.item_id]
        check("".join(deltas) == done.transcript, f"{deltas} are not {done.transcript!r}")
        if done.logprobs is not None:
            words = "".join(entry.token for entry in done.logprobs)
            check(words.strip() == done.transcript.strip(), f"{words!r} is not {done.transcript!r}")
            check(all(entry.logprob <= 0 for entry in done.logprobs), done.logprobs)
        check(done.usage.type == "duration" and done.usage.seconds > 0.1, done.usage)
        text.append(done.transcript)
    return " ".join(text)


def client_commits():
    formats = [
        ({"type": "audio/pcm", "rate": 24000}, samples(24000).tobytes()),
        ({"type": "audio/pcmu"}, g711(samples(8000), "mu").tobytes()),
        ({"type": "audio/pcma"}, g711(samples(8000), "a").tobytes()),
    ]
    for format, data in formats:
        with Session() as session:
            transcription = {"model": "whisper-1", "language": "en"}
            session.connection.session.update(
                session=settings(format, turn_detection=None, transcription=transcription)
            )
            shown = session.next("session.updated").session
            check(shown.audio.input.turn_detection is None, shown)
            check(shown.audio.input.transcription.language == "en", shown)
            session.send(data).join()
            session.connection.input_audio_buffer.commit()
            events = session.until(TRANSCRIPTION + "completed")
            kinds = [event.type for event in events]
            check(kinds[0] == "input_audio_buffer.committed", kinds)
            check(kinds[1:3] == ["conversation.item.added", "conversation.item.done"], kinds)
            text = transcript(events)
            check(EXPECTED in text, f"{format}: {text!r}")
            check([found.code for found in events[-1].languages] == ["en"], events[-1])
            check(len(events[-1].logprobs) > 5, events[-1])
            # A commit empties the buffer, and the next item refers to the previous item.
            session.send(data).join()
            session.connection.input_audio_buffer.clear()
            session.next("input_audio_buffer.cleared")
            session.connection.input_audio_buffer.commit()
            error = session.next("error").error
            check(error.code == "input_audio_buffer_commit_empty", error)
            session.send(data).join()
            session.connection.input_audio_buffer.commit()
            again = session.until(TRANSCRIPTION + "completed")
            check(again[0].previous_item_id == events[0].item_id, again[0])
            check(transcript(again) == text, again)


def server_detects_utterances():
    data = samples(24000).tobytes() + bytes(48000)
    with Session() as session:
        detection = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 700}
        session.connection.session.update(
            session=settings(turn_detection=detection, transcription={"model": "base", "language": "en"})
        )
        session.next("session.updated")
        thread = session.send(data, pace=0.05)
        events = []
        while EXPECTED not in transcript(events):
            events += session.until(TRANSCRIPTION + "completed")
        thread.join()
        kinds = [event.type.removeprefix("input_audio_buffer.") for event in events]
        check(kinds[0] == "speech_started", kinds)
        stopped = kinds.index("speech_stopped")
        check(kinds[stopped + 1] == "committed", kinds)
        check(TRANSCRIPTION + "delta" in kinds[:stopped], "no word arrived before the end of the utterance")
        check(events[0].item_id == events[stopped + 1].item_id, "the utterance has two item ids")
        check(len(events[-1].logprobs) > 5, events[-1])
        check(events[0].audio_start_ms < events[stopped].audio_end_ms, "an utterance ends before it begins")


def beta_protocol():
    data = samples(24000).tobytes()
    with Session(is_beta=True) as session:
        session.connection.transcription_session.update(
            session={
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "Hello."},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
            }
        )
        session.next("transcription_session.updated")
        session.send(data).join()
        session.connection.input_audio_buffer.commit()
        events = []
        while EXPECTED not in transcript(events):
            events += session.until(TRANSCRIPTION + "completed")
        check("conversation.item.created" in [event.type for event in events], events)


def errors():
    with Session() as session:
        connection = session.connection
        connection.send({"type": "response.create", "event_id": "mine"})
        error = session.next("error").error
        check(error.event_id == "mine" and error.param == "type", error)
        connection.input_audio_buffer.append(audio="no base64!")
        check(session.next("error").error.param == "audio", "audio")
        for part, param in [
            ({"turn_detection": {"type": "semantic_vad"}}, "turn_detection.type"),
            ({"turn_detection": {"type": "server_vad", "threshold": 2}}, "turn_detection"),
            ({"transcription": {"model": "no-such-model"}}, "model"),
            ({"transcription": {"model": "base", "language": "xx"}}, "language"),
            ({"noise_reduction": {"type": "near_field"}}, "noise_reduction"),
            ({"fromat": None}, "session"),
        ]:
            connection.session.update(session=settings(**part))
            error = session.next("error").error
            check(error.param.endswith(param), f"{part}: {error}")
        # The rejected updates have not changed the session.
        connection.session.update(session={"type": "transcription"})
        session.next("session.updated")
    for query in [{"intent": "conversation"}, {"model": "no-such-model"}, {"colour": "red"}]:
        try:
            with Session(**query):
                sys.exit(f"failed: {query} was accepted")
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            check(status in (400, 404), f"{query}: {error!r}")


for test in [client_commits, server_detects_utterances, beta_protocol, errors]:
    test()
    print(f"{test.__name__}: passed")
print(f"all passed, {checks} checks, openai {openai.__version__}")
