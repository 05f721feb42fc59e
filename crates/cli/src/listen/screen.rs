//! Writes the words of live transcription. On a terminal, words that may still change are shown in grey. Otherwise,
//! one line is written for each finished utterance.

use std::io::{self, Write};

use amanuensis_transcribe::Word;

const GREY: &str = "\x1b[90m";
const PLAIN: &str = "\x1b[0m";
/// The terminal escape sequence that clears the line from the cursor to its end.
const CLEAR: &str = "\x1b[K";

/// Writes the words of live transcription to `out`.
pub struct Screen<W> {
    out: W,
    /// Width of the terminal in columns. `None` if the words are not written to a terminal.
    columns: Option<usize>,
    /// The final words that were written on the current line of the output.
    line: String,
}

impl<W: Write> Screen<W> {
    pub fn new(out: W, columns: Option<usize>) -> Self {
        Self { out, columns: columns.map(|columns| columns.max(20)), line: String::new() }
    }

    /// Writes `committed`, which are final words. On a terminal, also shows `provisional`, which are words that may
    /// still change.
    pub fn show_words(&mut self, committed: &[Word], provisional: &[Word]) -> io::Result<()> {
        let Some(columns) = self.columns else {
            for word in committed {
                let word = on_one_line(&word.word);
                let word = if self.line.is_empty() { word.trim_start() } else { &word };
                self.out.write_all(word.as_bytes())?;
                self.line.push_str(word);
            }
            return self.out.flush();
        };
        for word in committed {
            let word = on_one_line(&word.word);
            // The rightmost column stays empty, because terminals differ in when they wrap a full line.
            if !self.line.is_empty() && width(&self.line) + width(&word) >= columns {
                writeln!(self.out, "\r{}{CLEAR}", self.line)?;
                self.line.clear();
            }
            self.line += if self.line.is_empty() { word.trim_start() } else { &word };
        }
        let grey: String = provisional.iter().map(|word| on_one_line(&word.word)).collect();
        let grey = if self.line.is_empty() { grey.trim_start() } else { &grey };
        let grey = truncated(grey, (columns - 1).saturating_sub(width(&self.line)));
        write!(self.out, "\r{}{GREY}{grey}{PLAIN}{CLEAR}", self.line)?;
        self.out.flush()
    }

    /// Ends the current line of the output. Words that are still shown in grey are removed. If the line has no final
    /// words, no line break is written.
    pub fn end_utterance(&mut self) -> io::Result<()> {
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

/// Returns the longest beginning of `text` that fits into `columns` terminal columns.
fn truncated(text: &str, columns: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| width(&text[..*end]) <= columns).last();
    &text[..end.unwrap_or(0)]
}

/// Replaces control characters with spaces, because they could break the line or change the terminal's settings.
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
        screen.show_words(&[], &words("Ask what")).unwrap();
        screen.show_words(&words("Ask not"), &words("what your country")).unwrap();
        screen.show_words(&words("what your country"), &[]).unwrap();
        screen.end_utterance().unwrap();
        screen.end_utterance().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn without_a_terminal_each_utterance_is_one_line() {
        assert_eq!(written(None), "Ask not what your country\n");
    }

    #[test]
    fn on_a_terminal_provisional_words_are_grey_and_truncated() {
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
