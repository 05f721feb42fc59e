#!/usr/bin/env python3
"""Whether parsers that others wrote read our subtitles: pysrt and srt, webvtt-py, ass.

    python3 -m venv VENV && VENV/bin/pip install ass pysrt srt webvtt-py
    cargo build --release && VENV/bin/python crates/cli/tests/subtitles.py RECORDING...

Transcribes each recording in every shape that the options give: lines cut or not, words marked or not, with and without
the times of words. Parses every file strictly, and looks for cues that overlap or have no length, lines that are too long
or too many, and text that differs from the JSON file's. Says what it finds, and exits with 1 if that is anything.
"""
import argparse
import html
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import ass
import pysrt
import srt
import webvtt

BINARY = pathlib.Path(__file__).resolve().parents[3] / "target/release/amanuensis"
SHAPES = [[], ["--max-line-width", "42", "--max-line-count", "2"], ["--max-line-width", "12", "--max-line-count", "2"],
          ["--max-words-per-line", "5"], ["--max-line-width", "42", "--max-line-count", "2", "--max-words-per-line", "5"]]
VTT_TIME = r"(?:\d{2,}:)?[0-5]\d:[0-5]\d\.\d{3}"

# Each parser gives (start, end, text) of every cue, in seconds, and raises an error where a file is not as it should be.


def srt_cues(path):
    text = path.read_text(encoding="utf-8")
    strict = pysrt.from_string(text, error_handling=pysrt.SubRipFile.ERROR_RAISE)
    cues = list(srt.parse(text, ignore_errors=False))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1)), "cues are not numbered 1, 2, ..."
    assert len(strict) == len(cues) == text.count(" --> "), "the parsers find different cues"
    for cue, other in zip(cues, strict):
        assert other.text.strip() == cue.content.strip(), f"the parsers differ at cue {cue.index}"
        assert other.start.ordinal == round(1000 * cue.start.total_seconds()), f"the parsers differ at cue {cue.index}"
    return [(cue.start.total_seconds(), cue.end.total_seconds(), re.sub("</?u>", "", cue.content)) for cue in cues]


def vtt_cues(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("WEBVTT\n\n"), "does not begin with WEBVTT and an empty line"
    times = [line for line in text.splitlines() if "-->" in line]
    assert all(re.fullmatch(f"{VTT_TIME} --> {VTT_TIME}", line) for line in times), "times of cues are not WebVTT's"
    captions = webvtt.read(str(path)).captions
    assert len(captions) == len(times), f"webvtt-py finds {len(captions)} cues of {len(times)}"
    cues = []
    for caption in captions:
        bare = re.sub(f"</?u>|<{VTT_TIME}>|</?c>", "", caption.raw_text)
        assert "<" not in bare and not re.search("&(?!amp;|lt;|gt;)", bare), f"not escaped: {caption.raw_text!r}"
        cues.append((caption.start_in_seconds + caption.start_time.milliseconds / 1000,
                     caption.end_in_seconds + caption.end_time.milliseconds / 1000, html.unescape(bare)))
    return cues


def ass_cues(path):
    text = path.read_text(encoding="utf-8-sig")
    document = ass.parse_string(text)
    styles = {style.name for style in document.styles}
    assert len(document.events) == text.count("\nDialogue:"), "the parser lost events"
    cues = []
    for event in document.events:
        assert event.style in styles, f"style {event.style!r} is not defined"
        length = (event.end - event.start).total_seconds()
        karaoke = sum(map(int, re.findall(r"\\k[fo]?(\d+)", event.text))) / 100
        assert karaoke <= length + 0.05, f"{karaoke} s of karaoke in a line of {length} s"
        cues.append((event.start.total_seconds(), event.end.total_seconds(),
                     re.sub(r"\{[^}]*\}", "", event.text).replace(r"\N", "\n")))
    return cues


PARSERS = {"srt": srt_cues, "vtt": vtt_cues, "ass": ass_cues}


def squeeze(text):
    """Text without its blanks, which lines are cut at."""
    return re.sub(r"\s", "", text)


def faults(path, options, whole):
    """What is wrong with a file; `whole` is the text that it must hold."""
    try:
        cues = PARSERS[path.suffix[1:]](path)
    except Exception as error:  # Whatever a parser raises is what is looked for.
        return [f"{type(error).__name__}: {error}"]
    found = [f"overlap at {after[0]:.3f} s" for cue, after in itertools.pairwise(cues) if after[0] < cue[1] - 1e-6]
    found += [f"no length at {start:.3f} s" for start, end, _ in cues if not end > start]
    found += [f"no text at {start:.3f} s" for start, _, text in cues if not text.strip()]
    limits = dict(zip(options[::2], map(int, options[1::2])))
    for start, _, text in cues:
        lines = text.strip().split("\n")
        if len(lines) > limits.get("--max-line-count", len(lines)) or not all(lines):
            found.append(f"{len(lines)} lines at {start:.3f} s")
        for line in lines:
            # A word that is wider than a line stays whole.
            if len(line) > limits.get("--max-line-width", len(line)) and " " in line.strip():
                found.append(f"a line of {len(line)} characters at {start:.3f} s")
            if len(line.split()) > limits.get("--max-words-per-line", len(line)):
                found.append(f"a line of {len(line.split())} words at {start:.3f} s")
    # Where words are marked in turn, a cue comes once for each of its words.
    text = "".join(text for text, _ in itertools.groupby(squeeze(text) for _, _, text in cues))
    if text != squeeze(whole):
        found.append("its text is not that of the JSON file")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", nargs="+", type=pathlib.Path, metavar="RECORDING")
    runs = wrong = 0
    for recording, shape, marks, words in itertools.product(
            parser.parse_args().recordings, SHAPES, [[], ["--highlight-words"]], [[], ["--word-timestamps"]]):
        with tempfile.TemporaryDirectory() as folder:
            options = [*shape, *marks, *words]
            subprocess.run([BINARY, "transcribe", "--quiet", "--format", "srt,vtt,ass,json", *options,
                            "--output-dir", folder, recording], check=True)
            base = pathlib.Path(folder) / recording.name
            whole = json.loads(base.with_suffix(".json").read_text(encoding="utf-8"))["text"]
            for kind in PARSERS:
                found = faults(base.with_suffix(f".{kind}"), shape, whole)
                runs += 1
                wrong += bool(found)
                for fault in found[:3]:
                    print(f"{recording.name} {' '.join(options)}: {kind}: {fault}")
    print(f"{runs} files, {wrong} with a fault")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
