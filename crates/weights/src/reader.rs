//! Sequential reading of a file, with bounds checks.

use crate::Error;
use crate::mmap::MappedFile;

/// A file and the current position in it.
pub(crate) struct Reader<'a> {
    pub(crate) file: &'a MappedFile,
    /// Offset of the next byte.
    pub(crate) at: usize,
}

impl<'a> Reader<'a> {
    /// The next `size` bytes. If the file ends before, the error says that it ends inside `inside`.
    pub(crate) fn take(&mut self, size: usize, inside: &str) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(size);
        let Some(bytes) = end.and_then(|end| self.file.bytes().get(self.at..end)) else {
            return Err(self.file.truncated(inside));
        };
        self.at += size;
        Ok(bytes)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self, inside: &str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, inside)?);
        Ok(array)
    }

    /// The next four bytes, as a little-endian number.
    pub(crate) fn u32(&mut self, inside: &str) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(inside)?))
    }
}
