//! Helpers for the tests of the output formats, and tests that apply to all formats.

use super::*;
use crate::transcript::tests::{segment, transcript};

/// The output of `format` for a transcript with these segments, given as `(start, end, text)`.
pub(super) fn written(format: &str, segments: &[(f64, f64, &str)]) -> String {
    written_with(format, segments, &SubtitleOptions::default())
}

pub(super) fn written_with(format: &str, segments: &[(f64, f64, &str)], options: &SubtitleOptions) -> String {
    let segments = segments.iter().enumerate().map(|(id, &(start, end, text))| segment(id, start, end, text));
    let mut out = Vec::new();
    format.parse::<OutputFormat>().unwrap().write(&transcript(segments.collect()), options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn formats_are_found_by_name() {
    let names: Vec<_> = OutputFormat::all().map(OutputFormat::name).collect();
    assert_eq!(names, ["txt", "srt", "vtt", "ass", "lrc", "tsv", "json"]);
    assert_eq!("txt".parse(), Ok(OutputFormat::TXT));
    assert!("TXT".parse::<OutputFormat>().is_err());
    assert_eq!("pdf".parse::<OutputFormat>().unwrap_err().to_string(), "\"pdf\" is not an output format");
}

#[test]
fn a_transcript_without_segments_gives_only_the_header() {
    for (format, expected) in
        [("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n\n"), ("lrc", ""), ("tsv", "start\tend\ttext\n")]
    {
        assert_eq!(written(format, &[]), expected);
    }
}
