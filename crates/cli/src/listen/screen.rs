//! Where the words go: a terminal, on which those that may still change are grey, or lines.

use std::io::{self, Write};

use amanuensis_transcribe::Word;

const GREY: &str = "\x1b[90m";
const PLAIN: &str = "\x1b[0m";
/// Clears from the cursor to the end of the line.
const CLEAR: &str = "\x1b[K";

/// Where words are written as they come.
pub struct Screen<W> {
    out: W,
    /// Columns of the terminal; none where there is no terminal.
    columns: Option<usize>,
    /// The settled words of the line that is being written.
    line: String,
}

impl<W: Write> Screen<W> {
    pub fn new(out: W, columns: Option<usize>) -> Self {
        Self { out, columns: columns.map(|columns| columns.max(20)), line: String::new() }
    }

    /// Writes words that stay, and on a terminal those that may still change.
    pub fn words(&mut self, settled: &[Word], provisional: &[Word]) -> io::Result<()> {
        let Some(columns) = self.columns else {
            for word in settled {
                let word = on_one_line(&word.word);
                let word = if self.line.is_empty() { word.trim_start() } else { &word };
                self.out.write_all(word.as_bytes())?;
                self.line.push_str(word);
            }
            return self.out.flush();
        };
        for word in settled {
            let word = on_one_line(&word.word);
            // The last column stays free: terminals differ in what a full line does.
            if !self.line.is_empty() && width(&self.line) + width(&word) >= columns {
                writeln!(self.out, "\r{}{CLEAR}", self.line)?;
                self.line.clear();
            }
            self.line += if self.line.is_empty() { word.trim_start() } else { &word };
        }
        let rest: String = provisional.iter().map(|word| on_one_line(&word.word)).collect();
        let rest = if self.line.is_empty() { rest.trim_start() } else { &rest };
        let rest = beginning(rest, (columns - 1).saturating_sub(width(&self.line)));
        write!(self.out, "\r{}{GREY}{rest}{PLAIN}{CLEAR}", self.line)?;
        self.out.flush()
    }

    /// Ends the line of a turn, if anything was said.
    pub fn end_turn(&mut self) -> io::Result<()> {
        if self.columns.is_some() {
            write!(self.out, "\r{}{CLEAR}", self.line)?;
        }
        if !self.line.is_empty() {
            writeln!(self.out)?;
            self.line.clear();
        }
        self.out.flush()
    }
}

fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// As much of the beginning as there are columns for.
fn beginning(text: &str, columns: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| width(&text[..*end]) <= columns).last();
    &text[..end.unwrap_or(0)]
}

/// A terminal would obey control characters, and lines end with turns only.
fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let word = |text: &str| Word { word: format!(" {text}"), start: 0.0, end: 0.0, probability: 1.0 };
        text.split_whitespace().map(word).collect()
    }

    fn written(columns: Option<usize>) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, columns);
        screen.words(&[], &words("Ask what")).unwrap();
        screen.words(&words("Ask not"), &words("what your country")).unwrap();
        screen.words(&words("what your country"), &[]).unwrap();
        screen.end_turn().unwrap();
        screen.end_turn().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn without_a_terminal_a_turn_is_a_line() {
        assert_eq!(written(None), "Ask not what your country\n");
    }

    #[test]
    fn on_a_terminal_what_may_change_is_grey_and_cut_at_the_edge() {
        let expected = [
            "\r\x1b[90mAsk what\x1b[0m\x1b[K",
            "\rAsk not\x1b[90m what your c\x1b[0m\x1b[K",
            "\rAsk not what your\x1b[K\n",
            "\rcountry\x1b[90m\x1b[0m\x1b[K",
            "\rcountry\x1b[K\n",
            "\r\x1b[K",
        ];
        assert_eq!(written(Some(20)), expected.concat());
    }
}
