//! A table of start and end in milliseconds and text, separated by tabs, as `openai-whisper` writes it.

use std::io::{self, Write};

use super::{SubtitleOptions, milliseconds};
use crate::Transcript;

pub(super) fn write(transcript: &Transcript, _: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "start\tend\ttext")?;
    for segment in &transcript.segments {
        // A tab is a control character, so a line holds none.
        writeln!(out, "{}\t{}\t{}", milliseconds(segment.start), milliseconds(segment.end), segment.line())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::written;

    #[test]
    fn three_columns_whatever_the_text() {
        let table = written("tsv", &[(0.0, 1.04, " One\tand\n"), (3661.5, 3662.0, " two.")]);
        assert_eq!(table, "start\tend\ttext\n0\t1040\tOne and\n3661500\t3662000\ttwo.\n");
    }
}
