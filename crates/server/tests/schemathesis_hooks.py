"""What a document of an interface cannot say of a request that makes sense: its recording is one, its model is installed,
and its options go together. Requests that are to make no sense stay as they are."""

import io
import wave

import schemathesis


def recording():
    """A second in which nobody speaks, so that nothing has to be decoded. It is ASCII throughout: schemathesis takes a body
    that a hook puts bytes into for one that makes no sense."""
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
    # Either the one or the other.
    form.pop("path", None)
    if "language" in form:
        form.pop("languages[]", None)
    # Small models do not know all languages.
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
    # In a form everything is text, so that what stands for a word is one.
    return not isinstance(case.body, dict) or isinstance(case.body.get("keywords[]", []), list)
