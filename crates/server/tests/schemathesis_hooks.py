"""Changes generated requests so that they are valid, because the OpenAPI document cannot express all rules: the file
must be a recording, the model must be installed, and the options must be compatible. Requests that are meant to be invalid
are not changed."""

import io
import wave

import schemathesis


def recording():
    """Returns a WAV file with one second of silence, so that nothing has to be decoded. The file has only ASCII bytes and is
    returned as text, because schemathesis treats a body as invalid if a hook puts bytes into it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 1, 8000, 0, "NONE", None))
        writer.writeframes(b"\x7f" * 8000)
    return file.getvalue().decode("ascii")


RECORDING = recording()

STREAMABLE = ("json", "text")
CANTONESE = ("yue", "cantonese")


@schemathesis.hook
def map_case(context, case):
    form = case.body
    is_negative = case.meta is not None and not case.meta.generation.mode.is_positive
    if is_negative or not isinstance(form, dict) or "model" not in form:
        return case
    form = {**form, "file": RECORDING, "model": "whisper-1"}
    # A request must not have both `file` and `path`, nor both `language` and `languages[]`.
    form.pop("path", None)
    if "language" in form:
        form.pop("languages[]", None)
    # Only the large models support Cantonese.
    if form.get("language") in CANTONESE:
        del form["language"]
    if "languages[]" in form:
        form["languages[]"] = [language for language in form["languages[]"] if language not in CANTONESE]
    response_format = form.get("response_format", "json")
    if response_format not in STREAMABLE:
        form.pop("stream", None)
    if response_format != "json":
        form.pop("include[]", None)
    if response_format != "verbose_json" and "jobs" not in case.operation.path:
        form.pop("timestamp_granularities[]", None)
    case.body = form
    return case


@schemathesis.hook
def filter_case(context, case):
    # All form values are text, so the server cannot detect a keyword of the wrong type. Skip such cases.
    return not isinstance(case.body, dict) or isinstance(case.body.get("keywords[]", []), list)
