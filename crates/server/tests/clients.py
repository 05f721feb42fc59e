"""Runs the official Python client against a server: every format, streaming, translations, models, errors.

    python -m venv venv && venv/bin/pip install openai
    amanuensis serve --port 8123 &
    venv/bin/python crates/server/tests/clients.py http://127.0.0.1:8123/v1 samples/offline.opus

Results are validated strictly against the types of the client: no field may be missing or have a different type.
"""

import asyncio
import sys

import openai
from openai.types import Model
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)

URL, RECORDING = sys.argv[1:3]
KEY = sys.argv[3] if len(sys.argv) > 3 else "none"
EXPECTED = "on an ordinary computer"

client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0)
checks = 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        sys.exit(f"failed: {what}")


def valid(value, kind, extra=()):
    """Checks that `value` matches the type `kind` and has no unknown fields except those in `extra`."""
    check(isinstance(value, kind), f"{value!r} is not a {kind.__name__}")
    kind.model_validate(value.to_dict(), strict=True)
    unknown = set(value.model_extra or {}) - set(extra)
    check(not unknown, f"{kind.__name__} has unknown fields {unknown}")
    return value


def transcribe(**options):
    with open(RECORDING, "rb") as file:
        return client.audio.transcriptions.create(file=file, **{"model": "whisper-1", **options})


def translate(**options):
    with open(RECORDING, "rb") as file:
        return client.audio.translations.create(file=file, **{"model": "whisper-1", **options})


def check_error(kind, param, call, **options):
    """Checks that the call raises this error with this `param`."""
    try:
        call(**options)
    except kind as error:
        check(error.param == param, f"{options}: the error names {error.param!r} instead of {param!r}: {error}")
        check(error.request_id, f"{options}: the error has no request id")
    else:
        sys.exit(f"failed: {options} raised no error")


def formats():
    plain = valid(transcribe(), Transcription)
    check(EXPECTED in plain.text, plain.text)
    check(plain.usage.type == "duration" and plain.usage.seconds > 5, "usage")
    for name in ["gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15", "gpt-transcribe"]:
        check(valid(transcribe(model=name), Transcription).text == plain.text, name)
    check([found.code for found in transcribe(model="gpt-transcribe").languages] == ["en"], "languages")
    check(transcribe(response_format="text").strip() == plain.text, "text")
    check("00:00:00,000 --> " in transcribe(response_format="srt"), "srt")
    check(transcribe(response_format="vtt").startswith("WEBVTT"), "vtt")

    extra = {"task"}
    verbose = valid(transcribe(response_format="verbose_json"), TranscriptionVerbose, extra)
    check(verbose.language == "english" and verbose.text == plain.text and verbose.words is None, "verbose_json")
    check("".join(segment.text for segment in verbose.segments).strip() == plain.text, "segments")
    both = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]}
    words = valid(transcribe(**both), TranscriptionVerbose, extra)
    check(words.segments and len(words.words) == len(plain.text.split()), "words")
    only = transcribe(response_format="verbose_json", timestamp_granularities=["word"])
    check(only.segments is None and only.words == words.words, "words without segments")

    logprobs = valid(transcribe(include=["logprobs"]), Transcription).logprobs
    text = b"".join(bytes(int(byte) for byte in token.bytes) for token in logprobs).decode()
    check(text.strip() == plain.text and all(token.logprob <= 0 for token in logprobs), "logprobs")


def options():
    text = transcribe().text
    check(transcribe(language="en", temperature=0).text == text, "language")
    check(EXPECTED in transcribe(languages=["en", "de"], prompt="A recording.", keywords=["machine"]).text, "prompt")
    check(transcribe(chunking_strategy="auto").text == text, "chunking_strategy")
    vad = {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 500, "silence_duration_ms": 100}
    check(transcribe(chunking_strategy=vad).text == text, "chunking_strategy as an object")


def streaming():
    events = list(transcribe(stream=True, include=["logprobs"]))
    deltas, done = events[:-1], events[-1]
    check(all(valid(event, TranscriptionTextDeltaEvent).logprobs for event in deltas), "deltas")
    valid(done, TranscriptionTextDoneEvent)
    check(done.text == "".join(event.delta for event in deltas) == transcribe().text, "the deltas are not the text")
    check(sum(len(event.logprobs) for event in deltas) == len(done.logprobs), "logprobs of the stream")


def translations():
    check(EXPECTED in valid(translate(), Translation).text, "translation")
    verbose = valid(translate(response_format="verbose_json"), TranslationVerbose, {"task"})
    check(verbose.language == "english" and verbose.segments, "verbose translation")
    check("-->" in translate(response_format="srt") and "WEBVTT" in translate(response_format="vtt"), "subtitles")
    check(EXPECTED in translate(response_format="text"), "text")


def models():
    listed = client.models.list().data
    check({"whisper-1", "base"} <= {model.id for model in listed}, "models")
    for model in listed:
        check(valid(client.models.retrieve(model.id), Model) == model, model.id)


def errors():
    bad = openai.BadRequestError
    check_error(openai.NotFoundError, "model", transcribe, model="nothing")
    check_error(bad, "model", transcribe, model="gpt-4o-transcribe-diarize")
    check_error(bad, "response_format", transcribe, response_format="diarized_json")
    check_error(bad, "known_speaker_names", transcribe, known_speaker_names=["Ann"])
    check_error(bad, "language", transcribe, language="klingon")
    check_error(bad, "stream", transcribe, response_format="srt", stream=True)
    check_error(bad, "shout", transcribe, extra_body={"shout": "yes"})
    create = client.audio.transcriptions.create
    check_error(bad, "file", create, model="whisper-1", file=("empty.wav", b""))
    check_error(openai.APIStatusError, "file", create, model="whisper-1", file=("a.txt", b"no recording" * 100))


async def concurrent_requests():
    asynchronous = openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0)
    with open(RECORDING, "rb") as file:
        recording = file.read()
    call = asynchronous.audio.transcriptions.create
    results = await asyncio.gather(*(call(model="whisper-1", file=("a", recording)) for _ in range(8)))
    check(len({result.text for result in results}) == 1, "concurrent requests get different texts")


for part in [formats, options, streaming, translations, models, errors]:
    part()
asyncio.run(concurrent_requests())
print(f"{checks} checks passed with openai {openai.__version__}")
