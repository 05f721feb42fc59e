//! MP4, M4A and MOV files (ISO 14496-12): repairs truncated files and reads edit lists. An edit list (section 8.6.6)
//! states which part of a track is played, and when.
//!
//! The demuxer skips a box that reaches beyond the end of the file. If that box contains the media data, its size is
//! patched.
//!
//! Edit lists contain the encoder delay (AAC 1024 or 2112 samples, Opus 312), the offset of an audio track that
//! starts later than its video, and the cuts of a recording that was trimmed on a phone. The demuxer does not apply
//! edit lists.

use std::io;

use crate::error::Error;
use crate::input::{Input, Patch};

/// The edit list of one track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Edit {
    /// The id of the track that the list belongs to.
    pub(crate) track_id: u32,
    /// Length of the silence before the track starts, in seconds.
    pub(crate) lead: f64,
    /// Length of the part at the start of the media that is dropped, in seconds.
    pub(crate) skip: f64,
    /// Length of the part that is played after the silence, in seconds. `None` if the edit list does not state it.
    pub(crate) length: Option<f64>,
}

/// The maximum number of boxes that are read. It limits the time that a hostile file can take to read.
const MAX_BOXES: u32 = 10_000;

/// The maximum number of entries of an edit list that are read.
const MAX_ENTRIES: u64 = 64;

/// If `input` is an MP4 file that was truncated within the media data, patches the size of the media data and returns
/// the text of the warning. Returns `None` for any other file.
///
/// # Errors
/// [`Error::CutOff`] if the index or all of the media data is missing.
pub(crate) fn repair(input: &mut Input) -> Result<Option<String>, Error> {
    let mut head = [0; 8];
    if input.read_at(0, &mut head)? < 8 || &head[4..] != b"ftyp" {
        return Ok(None);
    }
    let file_len = input.len();
    let mut parser = Parser { input, boxes_left: MAX_BOXES };
    let (mut has_index, mut has_media) = (false, false);
    let mut position = 0;
    let (last, is_whole) = loop {
        // A malformed box is no error here, because the demuxer reports it.
        let Some(found) = parser.next_box(position, u64::MAX)? else { return Ok(None) };
        // A size of zero means that the box reaches to the end of the file.
        let is_whole = found.end <= file_len || parser.u32_at(position)? == 0;
        // A picture file has the box `meta` as its index. It counts as an index here, so that the file is not
        // reported as truncated: the demuxer reports that it has no audio track.
        has_index |= is_whole && [*b"moov", *b"meta"].contains(&found.name);
        has_media |= found.name == *b"mdat" && found.start < file_len.min(found.end);
        if found.end >= file_len {
            break (found, is_whole);
        }
        position = found.end;
    };
    if !has_index {
        return Err(Error::CutOff { missing: "the index, which locates the audio data, is" });
    }
    if !has_media {
        return Err(Error::CutOff { missing: "all of its audio data is" });
    }
    if is_whole || last.name != *b"mdat" {
        return Ok(None);
    }
    let patch = if last.start - position == 16 {
        Patch { offset: position + 8, bytes: (file_len - position).to_be_bytes().to_vec() }
    } else {
        Patch { offset: position, bytes: vec![0; 4] }
    };
    input.patch(vec![patch], file_len);
    Ok(Some(format!("its header states {} bytes, the file holds {file_len}", last.end)))
}

/// Reads the edit lists of all tracks. The result is empty for other formats and for damaged files.
pub(crate) fn edits(input: &mut Input) -> io::Result<Vec<Edit>> {
    let mut head = [0; 8];
    if input.read_at(0, &mut head)? < 8 || &head[4..] != b"ftyp" {
        return Ok(Vec::new());
    }
    let end = input.len();
    let mut parser = Parser { input, boxes_left: MAX_BOXES };
    let mut edits = Vec::new();
    let Some(movie) = parser.child(0, end, *b"moov")? else { return Ok(edits) };
    let movie_scale = match parser.child(movie.0, movie.1, *b"mvhd")? {
        Some(mvhd) => parser.after_times(mvhd.0)?,
        None => 0,
    };
    let mut position = movie.0;
    while let Some(found) = parser.next_box(position, movie.1)? {
        if found.name == *b"trak" {
            edits.extend(parser.track(found.start, found.end, movie_scale)?);
        }
        position = found.end;
    }
    Ok(edits)
}

struct Parser<'a> {
    input: &'a mut Input,
    boxes_left: u32,
}

/// A box of an MP4 file: its name, and the byte positions in the file at which its contents start and end.
struct Found {
    name: [u8; 4],
    start: u64,
    end: u64,
}

impl Parser<'_> {
    /// Reads the header of the box at the byte position `position`, in a parent box that ends at `end`. Returns
    /// `None` if no valid box fits there, or if too many boxes have been read.
    fn next_box(&mut self, position: u64, end: u64) -> io::Result<Option<Found>> {
        if self.boxes_left == 0 || position.saturating_add(8) > end {
            return Ok(None);
        }
        self.boxes_left -= 1;
        let size = u64::from(self.u32_at(position)?);
        let name = self.u32_at(position + 4)?.to_be_bytes();
        let (header, size) = match size {
            0 => (8, end - position),
            1 => (16, self.u64_at(position + 8)?),
            size => (8, size),
        };
        let found = Found { name, start: position + header, end: position.saturating_add(size) };
        Ok(Some(found).filter(|f| f.start <= f.end && f.end <= end))
    }

    /// Finds the first box called `name` between the byte positions `start` and `end`. Returns the byte positions at
    /// which its contents start and end, or `None` if there is no such box.
    fn child(&mut self, start: u64, end: u64, name: [u8; 4]) -> io::Result<Option<(u64, u64)>> {
        let mut position = start;
        while let Some(found) = self.next_box(position, end)? {
            if found.name == name {
                return Ok(Some((found.start, found.end)));
            }
            position = found.end;
        }
        Ok(None)
    }

    /// Reads the edit list of a track. `start` and `end` are the byte positions at which the contents of the track's
    /// box start and end. Returns `None` if the track has no usable edit list.
    fn track(&mut self, start: u64, end: u64, movie_scale: u32) -> io::Result<Option<Edit>> {
        let Some(header) = self.child(start, end, *b"tkhd")? else { return Ok(None) };
        let Some(edts) = self.child(start, end, *b"edts")? else { return Ok(None) };
        let Some(elst) = self.child(edts.0, edts.1, *b"elst")? else { return Ok(None) };
        let Some(media) = self.child(start, end, *b"mdia")? else { return Ok(None) };
        let Some(mdhd) = self.child(media.0, media.1, *b"mdhd")? else { return Ok(None) };
        let media_scale = self.after_times(mdhd.0)?;
        let track_id = self.after_times(header.0)?;
        if movie_scale == 0 || media_scale == 0 {
            return Ok(None);
        }
        let entries = self.entries(elst)?;
        let empty = entries.iter().take_while(|e| e.media_time < 0).count();
        let lead: u64 = entries[..empty].iter().fold(0, |sum, e| sum.saturating_add(e.duration));
        let Some(first) = entries.get(empty) else { return Ok(None) };
        // After the initial pauses, a list usually has one entry. If it has several, only the start of the first of
        // these is applied, so the length of the played part is unknown.
        let length =
            (entries.len() == empty + 1 && first.duration > 0).then(|| first.duration as f64 / f64::from(movie_scale));
        Ok(Some(Edit {
            track_id,
            lead: lead as f64 / f64::from(movie_scale),
            skip: first.media_time as f64 / f64::from(media_scale),
            length,
        }))
    }

    fn entries(&mut self, (start, end): (u64, u64)) -> io::Result<Vec<Entry>> {
        let long = self.version(start)? == 1;
        let entry_len = if long { 20 } else { 12 };
        let count = u64::from(self.u32_at(start + 4)?).min(end.saturating_sub(start + 8) / entry_len);
        let mut entries = Vec::new();
        for at in (0..count.min(MAX_ENTRIES)).map(|i| start + 8 + i * entry_len) {
            entries.push(if long {
                Entry { duration: self.u64_at(at)?, media_time: self.u64_at(at + 8)?.cast_signed() }
            } else {
                let media_time = i64::from(self.u32_at(at + 4)?.cast_signed());
                Entry { duration: u64::from(self.u32_at(at)?), media_time }
            });
        }
        Ok(entries)
    }

    /// Reads the field that follows the two dates (creation and modification) in a header box. In `mvhd` and `mdhd`
    /// it is the time scale, in `tkhd` the track ID. `start` is the byte position of the contents of the box.
    fn after_times(&mut self, start: u64) -> io::Result<u32> {
        let offset = if self.version(start)? == 1 { 20 } else { 12 };
        self.u32_at(start + offset)
    }

    fn version(&mut self, start: u64) -> io::Result<u32> {
        Ok(self.u32_at(start)? >> 24)
    }

    /// Reads the 32-bit number at the byte position `position`. Bytes beyond the end of the file count as zero.
    fn u32_at(&mut self, position: u64) -> io::Result<u32> {
        let mut field = [0; 4];
        self.input.read_at(position, &mut field)?;
        Ok(u32::from_be_bytes(field))
    }

    fn u64_at(&mut self, position: u64) -> io::Result<u64> {
        Ok(u64::from(self.u32_at(position)?) << 32 | u64::from(self.u32_at(position + 4)?))
    }
}

/// An entry of an edit list. `duration` is in the movie's time scale. `media_time`, the start of the played part, is
/// in the media's time scale. A `media_time` of -1 means a pause.
struct Entry {
    duration: u64,
    media_time: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn atom(name: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend(name.as_bytes());
        bytes.extend(body);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    fn movie(elst: &[u32]) -> Vec<u8> {
        let track = [
            atom("tkhd", &words(&[7, 0, 0, 42, 0])),
            atom("edts", &atom("elst", &words(elst))),
            atom("mdia", &atom("mdhd", &words(&[0, 0, 0, 48_000, 0]))),
        ];
        let moov = [atom("mvhd", &words(&[0, 0, 0, 1000, 0])), atom("trak", &track.concat())];
        [atom("ftyp", b"M4A "), atom("mdat", b"abc"), atom("moov", &moov.concat())].concat()
    }

    fn read(bytes: Vec<u8>) -> Vec<Edit> {
        edits(&mut Input::new(Box::new(io::Cursor::new(bytes))).unwrap()).unwrap()
    }

    #[test]
    fn edit_lists_give_lead_skip_and_length() {
        let found = read(movie(&[0, 2, 500, u32::MAX, 0x10000, 9000, 1024, 0x10000]));
        assert_eq!(found, [Edit { track_id: 42, lead: 0.5, skip: 1024.0 / 48_000.0, length: Some(9.0) }]);
        assert_eq!(read(movie(&[0, 1, 0, 1024, 0x10000]))[0].length, None);
        assert_eq!(read(movie(&[0, 0])), []);
        assert_eq!(read(b"RIFF....WAVE".to_vec()), []);
    }

    proptest! {
        #[test]
        fn hostile_edit_lists_do_not_panic(at in 0usize..180, byte: u8, cut in 0usize..180) {
            let mut bytes = movie(&[0, 1, 9000, 1024, 0x10000]);
            let n = bytes.len();
            bytes[at % n] = byte;
            bytes.truncate(n - cut % n);
            prop_assert!(read(bytes).len() <= 1);
        }
    }
}
