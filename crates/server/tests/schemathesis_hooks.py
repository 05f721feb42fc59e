"""Makes the generated valid requests really valid, where the OpenAPI document cannot express the rule: the file is a recording, the
model is installed, and the options fit together. Requests that are meant to be invalid are not changed."""

import io
import wave

import schemathesis


def recording():
    """A WAV file with one second of silence, so that nothing has to be decoded. All its bytes are ASCII, since schemathesis treats a
    body with other bytes from a hook as invalid."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 1, 8000, 0, "NONE", None))
        writer.writeframes(b"\x7f" * 8000)
    return file.getvalue().decode("ascii")


RECORDING = recording()

TEXTS = ("json", "text")
CANTONESE = ("yue", "cantonese")


@schemathesis.hook
def map_case(context, case):
    form = case.body
    is_negative = case.meta is not None and not case.meta.generation.mode.is_positive
    if is_negative or not isinstance(form, dict) or "model" not in form:
        return case
    form = {**form, "file": RECORDING, "model": "whisper-1"}
    # `file` and `path` exclude each other.
    form.pop("path", None)
    if "language" in form:
        form.pop("languages[]", None)
    # Small models lack these languages.
    if form.get("language") in CANTONESE:
        del form["language"]
    if "languages[]" in form:
        form["languages[]"] = [language for language in form["languages[]"] if language not in CANTONESE]
    answer = form.get("response_format", "json")
    if answer not in TEXTS:
        form.pop("stream", None)
    if answer != "json":
        form.pop("include[]", None)
    if answer != "verbose_json" and "jobs" not in case.operation.path:
        form.pop("timestamp_granularities[]", None)
    case.body = form
    return case


@schemathesis.hook
def filter_case(context, case):
    # A single string in place of the list is a valid form after all. Such generated requests are skipped.
    return not isinstance(case.body, dict) or isinstance(case.body.get("keywords[]", []), list)
