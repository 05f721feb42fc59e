//! Plain text: a segment a line.

use std::io::{self, Write};

use super::SubtitleOptions;
use crate::{Segment, Transcript};

pub(super) fn write(transcript: &Transcript, _: &SubtitleOptions, out: &mut dyn Write) -> io::Result<()> {
    let lines = transcript.segments.iter().map(Segment::line).filter(|line| !line.is_empty());
    lines.into_iter().try_for_each(|line| writeln!(out, "{line}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::written;

    #[test]
    fn a_line_a_segment() {
        let text = written("txt", &[(0.0, 1.0, " One\nand"), (1.0, 1.5, "\u{7f}"), (1.5, 2.0, " two. ")]);
        assert_eq!(text, "One and\ntwo.\n");
    }
}
