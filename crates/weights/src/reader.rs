//! Reads a mapped file from front to back.

use crate::Error;
use crate::mmap::MappedFile;

pub(crate) struct Reader<'a> {
    pub(crate) file: &'a MappedFile,
    pub(crate) at: usize,
}

impl<'a> Reader<'a> {
    /// Reads the next `size` bytes. If the file ends before that, returns an error with `inside`, the name of the
    /// part that is cut off.
    pub(crate) fn take(&mut self, size: usize, inside: &str) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(size);
        let Some(bytes) = end.and_then(|end| self.file.bytes().get(self.at..end)) else {
            return Err(self.file.truncated(inside));
        };
        self.at += size;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self, inside: &str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, inside)?);
        Ok(array)
    }

    /// Reads a little-endian u32. If the file ends before that, returns an error with `inside`, the name of the part
    /// that is cut off.
    pub(crate) fn u32(&mut self, inside: &str) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(inside)?))
    }
}
