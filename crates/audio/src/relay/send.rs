//! The sending end of the relay: decodes a recording and writes its samples to a pipe for another process.

use std::io::{self, Write};

use super::frames::{END, FAILURE, MAX_FRAME_BYTES, MAX_TEXT_BYTES, RECORDING, SAMPLES, WARNING};
use crate::audio::Audio;
use crate::error::{Error, Warning};
use crate::input::Source;

/// Decodes the recording in `source` and sends it through `pipe` to [`Audio::from_relay`]. Calls `on_block` before
/// each block with the number of seconds decoded so far.
///
/// # Errors
/// Errors of writing to the pipe, and errors that `on_block` returns. Errors of the recording itself are sent through
/// the pipe.
pub fn send(
    source: impl Source + 'static,
    pipe: &mut impl Write,
    on_block: &mut dyn FnMut(f64) -> io::Result<()>,
) -> io::Result<()> {
    let mut audio = match Audio::from_source(source) {
        Ok(audio) => audio,
        Err(error) => return send_failure(pipe, &error),
    };
    let seconds = audio.expected_duration().map(f64::to_le_bytes);
    send_frame(pipe, RECORDING, seconds.as_ref().map_or(&[], <[u8; 8]>::as_slice))?;
    let mut sent_warnings = Vec::new();
    loop {
        on_block(audio.position())?;
        // The samples are copied to bytes, because the block borrows `audio`, whose warnings must be sent before the
        // block.
        let block: Result<Option<Vec<u8>>, Error> =
            audio.next_block().map(|block| Some(block?.iter().flat_map(|sample| sample.to_le_bytes()).collect()));
        for warning in audio.warnings().iter().filter(|warning| !sent_warnings.contains(*warning)) {
            send_warning(pipe, warning)?;
        }
        sent_warnings = audio.warnings().to_vec();
        match block {
            Ok(Some(block)) => {
                block.chunks(MAX_FRAME_BYTES as usize).try_for_each(|samples| send_frame(pipe, SAMPLES, samples))?;
            }
            Ok(None) => return send_frame(pipe, END, &[]),
            Err(error) => return send_failure(pipe, &error),
        }
    }
}

fn send_frame(pipe: &mut impl Write, tag: u8, content: &[u8]) -> io::Result<()> {
    let mut head = [tag, 0, 0, 0, 0];
    head[1..].copy_from_slice(&(content.len() as u32).to_le_bytes());
    pipe.write_all(&head)?;
    pipe.write_all(content)
}

fn send_warning(pipe: &mut impl Write, warning: &Warning) -> io::Result<()> {
    let mut content = vec![warning.kind as u8];
    content.extend(warning.count.to_le_bytes());
    content.extend(warning.seconds.unwrap_or(f64::NAN).to_le_bytes());
    content.extend(truncated(&warning.detail).bytes());
    send_frame(pipe, WARNING, &content)
}

pub(super) fn send_failure(pipe: &mut impl Write, error: &Error) -> io::Result<()> {
    let mut content = vec![error.kind() as u8];
    content.extend(truncated(&error.to_string()).bytes());
    send_frame(pipe, FAILURE, &content)
}

fn truncated(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}
