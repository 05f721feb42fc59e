//! The input of the demuxers: a seekable source of bytes in which wrong header fields are replaced.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

/// A seekable source of the bytes of a recording: a file, a cursor over bytes, or any other type that can read and
/// seek.
///
/// Every type that implements the four required traits is a source.
pub trait Source: Read + Seek + Send + Sync {}

impl<T: Read + Seek + Send + Sync + ?Sized> Source for T {}

/// Bytes that replace a wrong header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// A source of known length. Patches, which are replacement bytes for wrong header fields, hide some of its bytes.
pub(crate) struct Input {
    inner: Box<dyn Source>,
    position: u64,
    len: u64,
    patches: Vec<Patch>,
}

impl Input {
    pub(crate) fn new(mut inner: Box<dyn Source>) -> io::Result<Self> {
        let len = inner.seek(SeekFrom::End(0))?;
        inner.seek(SeekFrom::Start(0))?;
        Ok(Self { inner, position: 0, len, patches: Vec::new() })
    }

    /// The length of the input in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Sets the replacement bytes, and the position `end` at which the source ends.
    pub(crate) fn patch(&mut self, patches: Vec<Patch>, end: u64) {
        self.patches = patches;
        self.len = self.len.min(end);
    }

    /// Reads `buffer.len()` bytes at `offset`, or fewer if the source ends before that. Returns the number of bytes
    /// read.
    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.seek(SeekFrom::Start(offset))?;
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let n = loop {
            match self.inner.read(&mut buffer[..wanted]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        for patch in &self.patches {
            for (at, &byte) in (patch.offset..).zip(&patch.bytes) {
                if let Some(i) = at.checked_sub(self.position).filter(|&i| i < n as u64) {
                    buffer[i as usize] = byte;
                }
            }
        }
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.len.checked_add_signed(delta),
        };
        let target = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.position = self.inner.seek(SeekFrom::Start(target))?;
        Ok(self.position)
    }
}

impl MediaSource for Input {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_apply_to_every_read_that_overlaps_them() {
        let bytes: Vec<u8> = (0..32).collect();
        let mut expected = bytes.clone();
        expected[10..14].copy_from_slice(b"abcd");
        expected.truncate(20);
        for start in 0..20 {
            for len in 1..20 {
                let mut input = Input::new(Box::new(io::Cursor::new(bytes.clone()))).unwrap();
                input.patch(vec![Patch { offset: 10, bytes: b"abcd".to_vec() }], 20);
                let mut buffer = vec![0; len];
                let n = input.read_at(start as u64, &mut buffer).unwrap();
                assert_eq!(&buffer[..n], &expected[start..(start + len).min(20)]);
            }
        }
    }
}
