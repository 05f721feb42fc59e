//! Plain text: one segment per line.

use std::io::{self, Write};

use super::cues::SubtitleOptions;
use crate::{Segment, Transcript};

pub(super) fn write(transcript: &Transcript, _: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = transcript.segments.iter().map(Segment::line).filter(|line| !line.is_empty());
    lines.try_for_each(|line| writeln!(out, "{line}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::written;

    #[test]
    fn each_segment_with_text_is_one_line() {
        let text = written("txt", &[(0.0, 1.0, " One\nand"), (1.0, 1.5, "\u{7f}"), (1.5, 2.0, " two. ")]);
        assert_eq!(text, "One and\ntwo.\n");
    }
}
