//! Repairs wrong sizes in the headers of WAV and AIFF files, and reads the 64-bit sizes of RF64 files.
//!
//! A recorder that was interrupted leaves zeros or outdated values in the size fields. A program that writes to a
//! pipe leaves all bits set. A program that writes more than 4 GB leaves the lower 32 bits of the size. RF64 (EBU
//! Tech 3306) stores 64-bit sizes in a separate chunk. The demuxer relies on the size fields, so wrong ones are
//! patched: the samples then reach to the end of the file.

use std::io;

use crate::error::WarningKind;
use crate::input::{Input, Patch};

/// The value of a size field that means "unknown".
const UNKNOWN: u32 = u32::MAX;

/// The maximum number of chunks that are read. No real file has more chunks before its samples.
const MAX_CHUNKS: usize = 10_000;

/// The stated size of the samples is used if at most this many unknown bytes follow them. These bytes can be a tag,
/// half a chunk, or the rest of a disk sector. If they are audio after all, at most a syllable is lost.
const MAX_TRAILING_BYTES: u64 = 2048;

/// A file format, WAV or AIFF, with the functions that read and write its size fields.
#[derive(Clone, Copy)]
struct Family {
    /// The name of the chunk that contains the samples.
    data: [u8; 4],
    /// Decodes the size field of a chunk.
    read: fn([u8; 4]) -> u32,
    /// Encodes the size field of a chunk.
    write: fn(u32) -> [u8; 4],
}

const WAV: Family = Family { data: *b"data", read: u32::from_le_bytes, write: u32::to_le_bytes };
const AIFF: Family = Family { data: *b"SSND", read: u32::from_be_bytes, write: u32::to_be_bytes };

/// Patches the size fields of `input` if it is a WAV, RF64 or AIFF file with wrong sizes. Returns the kind and text
/// of a warning if the header states a wrong size.
pub(crate) fn repair(input: &mut Input) -> io::Result<Option<(WarningKind, String)>> {
    let mut head = [0; 12];
    let n = input.read_at(0, &mut head)?;
    let family = match (&head[..4], &head[8..]) {
        (b"RIFF" | b"RF64" | b"BW64", b"WAVE") if n == 12 => WAV,
        (b"FORM", b"AIFF" | b"AIFC") if n == 12 => AIFF,
        _ => return Ok(None),
    };
    let Some(data) = family.find_data(input)? else { return Ok(None) };
    let available = input.len() - data.start;
    let is_known = data.size != u64::from(UNKNOWN);
    let size =
        if is_known && data.size < available { family.size_within_longer_file(input, &data)? } else { available };
    // The size field of AIFF has 32 bits and no value for "unknown", so the demuxer cannot read more samples than the
    // field can state.
    let max_size =
        if family.data == AIFF.data { (u64::from(UNKNOWN) + 8).saturating_sub(data.start) } else { u64::MAX };
    let size = size.min(max_size);
    let mismatch = (is_known && data.size != 0 && data.size != size).then(|| {
        let kind = if data.size > available { WarningKind::Truncated } else { WarningKind::WrongSize };
        (kind, format!("its header states {} bytes of samples, {size} can be read", data.size))
    });
    // An AIFF file may have other chunks after the samples, so nothing is patched if the size is right.
    if family.data == AIFF.data && size == data.size {
        return Ok(mismatch);
    }
    let end = data.start + size;
    let file_size = if family.data == WAV.data { UNKNOWN } else { u32::try_from(end - 8).unwrap_or(UNKNOWN) };
    let mut patches = vec![
        Patch { offset: 4, bytes: (family.write)(file_size).to_vec() },
        Patch { offset: data.start - 4, bytes: (family.write)(u32::try_from(size).unwrap_or(UNKNOWN)).to_vec() },
    ];
    if family.data == WAV.data {
        patches.push(Patch { offset: 0, bytes: b"RIFF".to_vec() });
    }
    input.patch(patches, end);
    Ok(mismatch)
}

/// The data chunk: the position of its samples, and their size in bytes according to the header.
struct Data {
    start: u64,
    size: u64,
}

impl Family {
    /// Finds the chunk that contains the samples. Returns `None` if there is none.
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
            // The chunk `ds64` contains: u64 RIFF size, u64 data size, u64 sample count, and more.
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

    /// Returns the size of the samples in bytes, for a file that contains more bytes than the stated size.
    ///
    /// It is worse to lose speech than to decode some noise at the end. So the stated size is used only if nothing
    /// but complete chunks and a few bytes follow it. The same rule applies to a size above 4 GB whose lower 32 bits
    /// equal the stated size. Otherwise all bytes up to the end of the file count as samples. A stated size of zero
    /// is used only if at least one chunk follows it, because recorders write zero at the start.
    fn size_within_longer_file(self, input: &mut Input, data: &Data) -> io::Result<u64> {
        let available = input.len() - data.start;
        let beyond_4_gb = data.size + ((available - data.size) & !u64::from(u32::MAX));
        for size in [data.size, beyond_4_gb] {
            // A chunk of odd size should be followed by a padding byte, but not every program writes one.
            for end in size..=size + (size & 1) {
                let rest = self.after_chunks(input, data.start + end)?;
                if rest > data.start && is_negligible(input, rest)? {
                    return Ok(size);
                }
            }
        }
        Ok(available)
    }

    /// Skips all complete chunks that follow each other from `position` on. Returns the position after the last of
    /// them.
    fn after_chunks(self, input: &mut Input, mut position: u64) -> io::Result<u64> {
        for _ in 0..MAX_CHUNKS {
            let Some((name, size)) = self.chunk_at(input, position)? else { break };
            let next = position + 8 + u64::from(size) + u64::from(size & 1);
            // The padding byte of the last chunk may be missing.
            if next > input.len() + 1 || !name.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
                break;
            }
            position = next;
        }
        Ok(position)
    }

    /// Reads the name and the size of the chunk at `position`. Returns `None` at the end of the file.
    fn chunk_at(self, input: &mut Input, position: u64) -> io::Result<Option<([u8; 4], u32)>> {
        let mut header = [0; 8];
        if input.read_at(position, &mut header)? < 8 {
            return Ok(None);
        }
        let [a, b, c, d, size @ ..] = header;
        Ok(Some(([a, b, c, d], (self.read)(size))))
    }
}

/// Whether only a few bytes, or only zeros, follow `position`. Some programs allocate the file in advance, and zeros
/// then fill the unused rest.
fn is_negligible(input: &mut Input, mut position: u64) -> io::Result<bool> {
    if input.len() <= position + MAX_TRAILING_BYTES {
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

    /// Repairs `input` and returns the size field of its data chunk and the length of the input.
    fn sizes(input: &mut Input, data_start: u64) -> (u32, u64) {
        let mut field = [0; 4];
        input.read_at(data_start - 4, &mut field).unwrap();
        (u32::from_le_bytes(field), input.len())
    }

    #[test]
    fn sizes_beyond_the_file_become_its_size() {
        for stated in [0, 7, u32::MAX - 1, u32::MAX] {
            let mut input = wav("RIFF", stated, &[("data", stated, b"123456")]);
            let mismatch = repair(&mut input).unwrap();
            assert_eq!(sizes(&mut input, 20), (6, 26), "stated {stated}");
            assert_eq!(mismatch.is_some(), stated == 7 || stated == u32::MAX - 1);
        }
    }

    #[test]
    fn right_sizes_and_later_chunks_stay() {
        let mut input = wav("RIFF", 0, &[("LIST", 3, b"abc\0"), ("data", 4, b"1234"), ("LIST", 2, b"ab")]);
        assert_eq!(repair(&mut input).unwrap(), None);
        assert_eq!(sizes(&mut input, 32), (4, 36));
        let mut input = wav("RIFF", 0, &[("data", 0, b""), ("LIST", 2, b"ab")]);
        assert_eq!(repair(&mut input).unwrap(), None);
        assert_eq!(sizes(&mut input, 20), (0, 20));
    }

    #[test]
    fn a_size_that_is_too_small_becomes_that_of_the_file() {
        let samples = [0x11; 10_000];
        for stated in [0, 2, 4_000, 4_001, 7_900] {
            let mut input = wav("RIFF", stated + 36, &[("data", stated, &samples)]);
            let mismatch = repair(&mut input).unwrap();
            assert_eq!(sizes(&mut input, 20), (10_000, 10_020), "stated {stated}");
            assert_eq!(mismatch.map(|l| l.0), (stated > 0).then_some(WarningKind::WrongSize), "stated {stated}");
        }
    }

    #[test]
    fn a_few_bytes_after_a_right_size_are_left_out() {
        let trailers: [&[u8]; 5] =
            [&[0x11; 128], &[0x11; 2048], &[0; 16_000], b"\0LIST\x02\0\0\0ab", b"LIST\xff\0\0\0ab"];
        for trailer in trailers {
            let mut input = wav("RIFF", 40, &[("data", 4, &[b"1234", trailer].concat())]);
            assert_eq!(repair(&mut input).unwrap(), None);
            assert_eq!(sizes(&mut input, 20), (4, 24));
            let list = [&[1; 3000], trailer].concat();
            let mut input = wav("RIFF", 40, &[("data", 4, b"1234"), ("LIST", 3000, &list)]);
            assert_eq!(repair(&mut input).unwrap(), None, "after a chunk");
            assert_eq!(sizes(&mut input, 20), (4, 24));
        }
        let mut input = wav("RIFF", 40, &[("data", 3, b"123"), ("LIST", 2, b"ab"), ("JUNK", 3000, &[1; 3000])]);
        assert_eq!(repair(&mut input).unwrap(), None, "an odd size without padding");
        assert_eq!(sizes(&mut input, 20), (3, 23));
    }

    /// A file that is too large for memory. It consists of a head, many ones, and a tail.
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
    fn a_size_that_wrapped_at_4_gb_is_restored() {
        let tail = [b"LIST\x00\x10\0\0".to_vec(), vec![2; 0x1000]].concat();
        for samples in [(1u64 << 32) + 10_000, (3 << 32) + 5] {
            for tail in [&[][..], &tail] {
                let mut head = b"RIFF....WAVEdata".to_vec();
                head.extend((samples as u32).to_le_bytes());
                let mut input = Large::input(&head, samples, tail);
                assert_eq!(repair(&mut input).unwrap().map(|l| l.0), Some(WarningKind::WrongSize));
                assert_eq!(sizes(&mut input, 20), (UNKNOWN, 20 + samples));
            }
        }
        let mut piped = Large::input(b"RIFF....WAVEdata\xff\xff\xff\xff", (1 << 32) + 100, b"");
        assert_eq!(repair(&mut piped).unwrap(), None);
        assert_eq!(sizes(&mut piped, 20), (UNKNOWN, 20 + (1 << 32) + 100));
    }

    #[test]
    fn an_aiff_file_is_read_up_to_4_gb() {
        let head = b"FORM\0\0\0\x20AIFFSSND\0\0\x10\0";
        for (samples, expected) in [(10_000, 10_000), (1u64 << 33, u32::MAX - 12)] {
            let mut input = Large::input(head, samples, b"");
            assert_eq!(repair(&mut input).unwrap().map(|l| l.0), Some(WarningKind::WrongSize));
            let mut patched = [0; 20];
            input.read_at(0, &mut patched).unwrap();
            assert_eq!(patched[16..], expected.to_be_bytes());
            assert_eq!(patched[4..8], (expected + 12).to_be_bytes());
        }
        let mut input = Large::input(head, 0x1000, b"ANNO\0\0\0\x02ab");
        assert_eq!(repair(&mut input).unwrap(), None);
        assert_eq!(input.len(), 20 + 0x1000 + 10);
    }

    #[test]
    fn a_cut_aiff_file_gets_its_actual_sizes() {
        let mut bytes = b"FORM\0\0\xff\0AIFFCOMM\0\0\0\x02abSSND\0\0\x20\0".to_vec();
        bytes.extend([0; 20]);
        let mut input = Input::new(Box::new(io::Cursor::new(bytes))).unwrap();
        assert!(repair(&mut input).unwrap().is_some());
        let mut head = [0; 30];
        input.read_at(0, &mut head).unwrap();
        assert_eq!((&head[4..8], &head[26..30]), (&[0, 0, 0, 42][..], &[0, 0, 0, 20][..]));
    }

    #[test]
    fn the_size_of_an_rf64_file_is_read_from_its_ds64_chunk() {
        let mut ds64 = [0; 24];
        ds64[8] = 4;
        let chunks: [(&str, u32, &[u8]); 3] = [("ds64", 24, &ds64), ("data", u32::MAX, b"1234"), ("LIST", 2, b"ab")];
        let mut input = wav("RF64", u32::MAX, &chunks);
        assert_eq!(repair(&mut input).unwrap(), None);
        assert_eq!(sizes(&mut input, 52), (4, 56));
        let mut form = [0; 4];
        input.read_at(0, &mut form).unwrap();
        assert_eq!(&form, b"RIFF");
    }
}
