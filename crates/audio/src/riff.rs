//! WAV and AIFF headers that lie about sizes, and RF64.
//!
//! A recorder that was cut off leaves zeros in the size fields; a program that writes to a pipe leaves all ones; RF64
//! (EBU Tech 3306) keeps 64-bit sizes in a chunk of its own. The demuxer takes the fields at their word, so wrong ones
//! are patched: what counts is where the data starts and where the file ends.

use std::io;

use crate::input::{Input, Patch};

/// The size of chunk that means "not known".
const UNKNOWN: u32 = u32::MAX;

/// No file has more chunks before its data.
const MAX_CHUNKS: usize = 10_000;

/// How the chunks of a file are written.
#[derive(Clone, Copy)]
struct Family {
    /// Name of the chunk with the samples.
    data: [u8; 4],
    /// Reads a chunk's size.
    read: fn([u8; 4]) -> u32,
    /// Writes it.
    write: fn(u32) -> [u8; 4],
}

const WAV: Family = Family { data: *b"data", read: u32::from_le_bytes, write: u32::to_le_bytes };
const AIFF: Family = Family { data: *b"SSND", read: u32::from_be_bytes, write: u32::to_be_bytes };

/// Patches the size fields of `input` if it is a WAV, RF64 or AIFF file that needs it.
///
/// Returns what the header promises beyond the end of the file, if it does: a sentence for a warning.
pub(crate) fn repair(input: &mut Input) -> io::Result<Option<String>> {
    let mut head = [0; 12];
    let n = input.read_at(0, &mut head)?;
    let family = match (&head[..4], &head[8..]) {
        (b"RIFF" | b"RF64" | b"BW64", b"WAVE") if n == 12 => WAV,
        (b"FORM", b"AIFF" | b"AIFC") if n == 12 => AIFF,
        _ => return Ok(None),
    };
    let Some(data) = family.find_data(input)? else { return Ok(None) };
    let held = input.len() - data.start;
    let (size, lie) = match data.size {
        // A zero is believed only if the rest of the file is other chunks.
        0 if held > 0 && !family.chunks_follow(input, data.start)? => (held, None),
        promised if promised == u64::from(UNKNOWN) => (held, None),
        promised if promised > held => {
            (held, Some(format!("its header promises {promised} bytes of samples, the file holds {held}")))
        }
        promised => (promised, None),
    };
    // AIFF may have its other chunks after the samples; they are left alone unless the sizes are wrong.
    if family.data == AIFF.data && size == data.size {
        return Ok(lie);
    }
    let end = data.start + size;
    let whole = if family.data == WAV.data { UNKNOWN } else { u32::try_from(end - 8).unwrap_or(UNKNOWN) };
    let mut patches = vec![
        Patch { offset: 4, bytes: (family.write)(whole).to_vec() },
        Patch { offset: data.start - 4, bytes: (family.write)(u32::try_from(size).unwrap_or(UNKNOWN)).to_vec() },
    ];
    if family.data == WAV.data {
        patches.push(Patch { offset: 0, bytes: b"RIFF".to_vec() });
    }
    input.patch(patches, end);
    Ok(lie)
}

/// The data chunk: where its samples start, and how many bytes the header says that they are.
struct Data {
    start: u64,
    size: u64,
}

impl Family {
    /// Walks the chunks to the samples.
    fn find_data(self, input: &mut Input) -> io::Result<Option<Data>> {
        let mut position = 12;
        let mut size_64 = None;
        for _ in 0..MAX_CHUNKS {
            let Some((name, size)) = self.chunk_at(input, position)? else { return Ok(None) };
            let start = position + 8;
            if name == self.data {
                let size = size_64.filter(|_| size == UNKNOWN).unwrap_or(u64::from(size));
                return Ok(Some(Data { start, size }));
            }
            // ds64: u64 RIFF size, u64 data size, u64 sample count, ...
            if name == *b"ds64" {
                let mut field = [0; 8];
                if input.read_at(start + 8, &mut field)? == 8 {
                    size_64 = Some(u64::from_le_bytes(field));
                }
            }
            position = start + u64::from(size) + u64::from(size & 1);
        }
        Ok(None)
    }

    /// True if the bytes from `position` to the end of the file are whole chunks.
    fn chunks_follow(self, input: &mut Input, mut position: u64) -> io::Result<bool> {
        for _ in 0..MAX_CHUNKS {
            if position >= input.len() {
                return Ok(position <= input.len() + 1);
            }
            match self.chunk_at(input, position)? {
                Some((name, size)) if name.iter().all(|b| b.is_ascii_graphic() || *b == b' ') => {
                    position += 8 + u64::from(size) + u64::from(size & 1);
                }
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Name and size of the chunk at `position`; `None` at the end of the file.
    fn chunk_at(self, input: &mut Input, position: u64) -> io::Result<Option<([u8; 4], u32)>> {
        let mut header = [0; 8];
        if input.read_at(position, &mut header)? < 8 {
            return Ok(None);
        }
        let [a, b, c, d, size @ ..] = header;
        Ok(Some(([a, b, c, d], (self.read)(size))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(form: &str, riff_size: u32, chunks: &[(&str, u32, &[u8])]) -> Input {
        let mut bytes = form.as_bytes().to_vec();
        bytes.extend(riff_size.to_le_bytes());
        bytes.extend(b"WAVE");
        for (name, size, body) in chunks {
            bytes.extend(name.as_bytes());
            bytes.extend(size.to_le_bytes());
            bytes.extend(*body);
        }
        Input::new(Box::new(io::Cursor::new(bytes))).unwrap()
    }

    /// Size field of the data chunk after repair, and the length that is shown.
    fn shown(input: &mut Input, data_start: u64) -> (u32, u64) {
        let mut field = [0; 4];
        input.read_at(data_start - 4, &mut field).unwrap();
        (u32::from_le_bytes(field), input.len())
    }

    #[test]
    fn sizes_that_lie_become_the_size_of_what_is_there() {
        for promised in [0, 7, u32::MAX - 1, u32::MAX] {
            let mut input = wav("RIFF", promised, &[("data", promised, b"123456")]);
            let lie = repair(&mut input).unwrap();
            assert_eq!(shown(&mut input, 20), (6, 26), "promised {promised}");
            assert_eq!(lie.is_some(), promised == 7 || promised == u32::MAX - 1);
        }
    }

    #[test]
    fn honest_sizes_and_later_chunks_stay() {
        let mut input = wav("RIFF", 0, &[("LIST", 3, b"abc\0"), ("data", 4, b"1234"), ("LIST", 2, b"ab")]);
        assert_eq!(repair(&mut input).unwrap(), None);
        assert_eq!(shown(&mut input, 32), (4, 36));
        let mut input = wav("RIFF", 0, &[("data", 0, b""), ("LIST", 2, b"ab")]);
        assert_eq!(repair(&mut input).unwrap(), None);
        assert_eq!(shown(&mut input, 20), (0, 20));
    }

    #[test]
    fn a_cut_aiff_file_gets_the_sizes_that_are_left() {
        let mut bytes = b"FORM\0\0\xff\0AIFFCOMM\0\0\0\x02abSSND\0\0\x20\0".to_vec();
        bytes.extend([0; 20]);
        let mut input = Input::new(Box::new(io::Cursor::new(bytes))).unwrap();
        assert!(repair(&mut input).unwrap().is_some());
        let mut head = [0; 30];
        input.read_at(0, &mut head).unwrap();
        assert_eq!((&head[4..8], &head[26..30]), (&[0, 0, 0, 42][..], &[0, 0, 0, 20][..]));
    }

    #[test]
    fn rf64_takes_its_size_from_ds64() {
        let mut ds64 = [0; 24];
        ds64[8] = 4;
        let chunks: [(&str, u32, &[u8]); 3] = [("ds64", 24, &ds64), ("data", u32::MAX, b"1234"), ("LIST", 2, b"ab")];
        let mut input = wav("RF64", u32::MAX, &chunks);
        assert_eq!(repair(&mut input).unwrap(), None);
        assert_eq!(shown(&mut input, 52), (4, 56));
        let mut form = [0; 4];
        input.read_at(0, &mut form).unwrap();
        assert_eq!(&form, b"RIFF");
    }
}
