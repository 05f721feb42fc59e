//! WAV and AIFF headers that lie about sizes, and RF64.
//!
//! A recorder that was cut off leaves zeros in the size fields, or what was right a while before; a program that writes
//! to a pipe leaves all ones; one that writes more than 4 GB leaves what is left of the size in 32 bits; RF64 (EBU Tech
//! 3306) keeps 64-bit sizes in a chunk of its own. The demuxer takes the fields at their word, so wrong ones are patched:
//! what counts is where the data starts and where the file ends.

use std::io;

use crate::error::WarningKind;
use crate::input::{Input, Patch};

/// The size of chunk that means "not known".
const UNKNOWN: u32 = u32::MAX;

/// No file has more chunks before its data.
const MAX_CHUNKS: usize = 10_000;

/// So many bytes at the end of a file are no reason to doubt its header: a tag, half a chunk, the fill of a sector. If
/// they were sound, it would be a syllable at most.
const SCRAP: u64 = 2048;

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
/// Returns what is wrong with the size in the header, if it is stated and not believed: a warning.
pub(crate) fn repair(input: &mut Input) -> io::Result<Option<(WarningKind, String)>> {
    let mut head = [0; 12];
    let n = input.read_at(0, &mut head)?;
    let family = match (&head[..4], &head[8..]) {
        (b"RIFF" | b"RF64" | b"BW64", b"WAVE") if n == 12 => WAV,
        (b"FORM", b"AIFF" | b"AIFC") if n == 12 => AIFF,
        _ => return Ok(None),
    };
    let Some(data) = family.find_data(input)? else { return Ok(None) };
    let held = input.len() - data.start;
    let known = data.size != u64::from(UNKNOWN);
    let size = if known && data.size < held { family.size_with_more_behind(input, &data)? } else { held };
    // A FORM counts its bytes in 32 bits and has no word for "not known": what is beyond cannot be shown.
    let room = if family.data == AIFF.data { (u64::from(UNKNOWN) + 8).saturating_sub(data.start) } else { u64::MAX };
    let size = size.min(room);
    let lie = (known && data.size != 0 && data.size != size).then(|| {
        let kind = if data.size > held { WarningKind::Truncated } else { WarningKind::WrongSize };
        (kind, format!("its header promises {} bytes of samples, {size} can be read", data.size))
    });
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

    /// The size of the samples where the file goes on behind the promised one.
    ///
    /// Speech that is lost weighs more than a noise at the end. So a size counts only if no more than other chunks
    /// and scrap follows: the promised one, or the one that wrapped to it. Else all is taken to be samples. A promise of
    /// zero needs at least one chunk for a witness, as it is also what a recorder starts with.
    fn size_with_more_behind(self, input: &mut Input, data: &Data) -> io::Result<u64> {
        let held = input.len() - data.start;
        let wrapped = data.size + ((held - data.size) & !u64::from(u32::MAX));
        for size in [data.size, wrapped] {
            // Not every program pads an odd chunk.
            for end in size..=size + (size & 1) {
                let rest = self.after_chunks(input, data.start + end)?;
                if rest > data.start && is_scrap(input, rest)? {
                    return Ok(size);
                }
            }
        }
        Ok(held)
    }

    /// Where the whole chunks end that start at `position`.
    fn after_chunks(self, input: &mut Input, mut position: u64) -> io::Result<u64> {
        for _ in 0..MAX_CHUNKS {
            let Some((name, size)) = self.chunk_at(input, position)? else { break };
            let next = position + 8 + u64::from(size) + u64::from(size & 1);
            // The last chunk may lack its padding.
            if next > input.len() + 1 || !name.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
                break;
            }
            position = next;
        }
        Ok(position)
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

/// True if what is left from `position` on is next to nothing, or zeros: the fill of a file made in advance.
fn is_scrap(input: &mut Input, mut position: u64) -> io::Result<bool> {
    if input.len() <= position + SCRAP {
        return Ok(true);
    }
    let mut block = vec![0; 1 << 16];
    loop {
        match input.read_at(position, &mut block)? {
            0 => return Ok(true),
            n if block[..n].iter().any(|b| *b != 0) => return Ok(false),
            n => position += n as u64,
        }
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
    fn a_size_that_is_too_small_gives_way_to_what_is_there() {
        let sound = [0x11; 10_000];
        for promised in [0, 2, 4_000, 4_001, 7_900] {
            let mut input = wav("RIFF", promised + 36, &[("data", promised, &sound)]);
            let lie = repair(&mut input).unwrap();
            assert_eq!(shown(&mut input, 20), (10_000, 10_020), "promised {promised}");
            assert_eq!(lie.map(|l| l.0), (promised > 0).then_some(WarningKind::WrongSize), "promised {promised}");
        }
    }

    #[test]
    fn scrap_behind_an_honest_size_is_left_out() {
        let scraps: [&[u8]; 5] =
            [&[0x11; 128], &[0x11; 2048], &[0; 16_000], b"\0LIST\x02\0\0\0ab", b"LIST\xff\0\0\0ab"];
        for scrap in scraps {
            let mut input = wav("RIFF", 40, &[("data", 4, &[b"1234", scrap].concat())]);
            assert_eq!(repair(&mut input).unwrap(), None);
            assert_eq!(shown(&mut input, 20), (4, 24));
            let behind = [&[1; 3000], scrap].concat();
            let mut input = wav("RIFF", 40, &[("data", 4, b"1234"), ("LIST", 3000, &behind)]);
            assert_eq!(repair(&mut input).unwrap(), None, "scrap behind a chunk");
            assert_eq!(shown(&mut input, 20), (4, 24));
        }
        let mut input = wav("RIFF", 40, &[("data", 3, b"123"), ("LIST", 2, b"ab"), ("JUNK", 3000, &[1; 3000])]);
        assert_eq!(repair(&mut input).unwrap(), None, "an odd size without padding");
        assert_eq!(shown(&mut input, 20), (3, 23));
    }

    /// A file too large to be held: a head, then ones, then a tail.
    struct Large {
        head: Vec<u8>,
        tail: Vec<u8>,
        len: u64,
        position: u64,
    }

    impl Large {
        fn input(head: &[u8], samples: u64, tail: &[u8]) -> Input {
            let len = head.len() as u64 + samples + tail.len() as u64;
            Input::new(Box::new(Self { head: head.to_vec(), tail: tail.to_vec(), len, position: 0 })).unwrap()
        }
    }

    impl io::Read for Large {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(self.len.saturating_sub(self.position) as usize);
            for (at, byte) in (self.position..).zip(&mut buffer[..n]) {
                let in_tail = (at + self.tail.len() as u64).checked_sub(self.len);
                *byte = match in_tail {
                    Some(i) => self.tail[i as usize],
                    None => self.head.get(at as usize).copied().unwrap_or(1),
                };
            }
            self.position += n as u64;
            Ok(n)
        }
    }

    impl io::Seek for Large {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            self.position = match to {
                io::SeekFrom::Start(at) => at,
                io::SeekFrom::Current(by) => self.position.saturating_add_signed(by),
                io::SeekFrom::End(by) => self.len.saturating_add_signed(by),
            };
            Ok(self.position)
        }
    }

    #[test]
    fn a_size_that_wrapped_at_4_gb_is_unwrapped() {
        let tail = [b"LIST\x00\x10\0\0".to_vec(), vec![2; 0x1000]].concat();
        for samples in [(1u64 << 32) + 10_000, (3 << 32) + 5] {
            for tail in [&[][..], &tail] {
                let mut head = b"RIFF....WAVEdata".to_vec();
                head.extend((samples as u32).to_le_bytes());
                let mut input = Large::input(&head, samples, tail);
                assert_eq!(repair(&mut input).unwrap().map(|l| l.0), Some(WarningKind::WrongSize));
                assert_eq!(shown(&mut input, 20), (UNKNOWN, 20 + samples));
            }
        }
        let mut piped = Large::input(b"RIFF....WAVEdata\xff\xff\xff\xff", (1 << 32) + 100, b"");
        assert_eq!(repair(&mut piped).unwrap(), None);
        assert_eq!(shown(&mut piped, 20), (UNKNOWN, 20 + (1 << 32) + 100));
    }

    #[test]
    fn an_aiff_file_whose_size_is_too_small_is_read_as_far_as_a_form_goes() {
        let head = b"FORM\0\0\0\x20AIFFSSND\0\0\x10\0";
        for (samples, expected) in [(10_000, 10_000), (1u64 << 33, u32::MAX - 12)] {
            let mut input = Large::input(head, samples, b"");
            assert_eq!(repair(&mut input).unwrap().map(|l| l.0), Some(WarningKind::WrongSize));
            let mut shown = [0; 20];
            input.read_at(0, &mut shown).unwrap();
            assert_eq!(shown[16..], expected.to_be_bytes());
            assert_eq!(shown[4..8], (expected + 12).to_be_bytes());
        }
        let mut input = Large::input(head, 0x1000, b"ANNO\0\0\0\x02ab");
        assert_eq!(repair(&mut input).unwrap(), None);
        assert_eq!(input.len(), 20 + 0x1000 + 10);
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
