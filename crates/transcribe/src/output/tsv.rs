//! Tab-separated values: start (ms), end (ms) and text, as in `openai-whisper`.

use std::io::{self, Write};

use super::clock::milliseconds;
use super::cues::SubtitleOptions;
use crate::Transcript;

pub(super) fn write(transcript: &Transcript, _: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "start\tend\ttext")?;
    for segment in &transcript.segments {
        // The method `line` has replaced control characters by spaces, so the text contains no tab.
        writeln!(out, "{}\t{}\t{}", milliseconds(segment.start), milliseconds(segment.end), segment.line())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::written;

    #[test]
    fn every_line_has_three_columns() {
        let table = written("tsv", &[(0.0, 1.04, " One\tand\n"), (3661.5, 3662.0, " two.")]);
        assert_eq!(table, "start\tend\ttext\n0\t1040\tOne and\n3661500\t3662000\ttwo.\n");
    }
}
