//! Repairs the headers of truncated Matroska and `WebM` files (RFC 8794, RFC 9559).
//!
//! The demuxer skips an element that claims to reach beyond the end of the file. In a truncated file, the segment is
//! such an element, and it contains all others. So the size of the segment is patched to "unknown", as in a live
//! stream. The size of the last cluster (a group of packets) is patched in the same way. The index (seek head) is
//! hidden, because it points beyond the end of the file.

use std::io;

use crate::input::{Input, Patch};

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114d_9b74;
const CLUSTER: u32 = 0x1f43_b675;

/// An element ID that has no meaning in Matroska. Demuxers must skip such elements, so this ID hides an element.
const UNASSIGNED: [u8; 4] = [0x11, 0x4d, 0x9b, 0x75];

/// The maximum number of elements of a segment that are read. Even a file of a hundred hours has fewer.
const MAX_ELEMENTS: u32 = 1_000_000;

/// The maximum number of seek heads (index elements) that are hidden. A file has one or two. The number is limited
/// because every read checks all patches.
const MAX_SEEK_HEADS: usize = 4;

/// Patches `input` if it is a truncated Matroska file, and returns the text of the warning about it. Returns `None`
/// for any other file.
pub(crate) fn repair(input: &mut Input) -> io::Result<Option<String>> {
    let Some(header) = Element::read(input, 0)?.filter(|e| e.id == EBML) else { return Ok(None) };
    let Some(segment) = header.end().map(|end| Element::read(input, end)).transpose()?.flatten() else {
        return Ok(None);
    };
    let file_len = input.len();
    let Some(stated_end) = segment.end().filter(|end| segment.id == SEGMENT && *end > file_len) else {
        return Ok(None);
    };
    let mut patches = vec![segment.unknown_size()];
    let mut position = segment.start;
    for _ in 0..MAX_ELEMENTS {
        let Some(element) = Element::read(input, position)? else { break };
        // The first patch is that of the segment; all others are seek heads.
        if element.id == SEEK_HEAD && patches.len() <= MAX_SEEK_HEADS {
            patches.push(Patch { offset: position, bytes: UNASSIGNED.to_vec() });
        }
        match element.end() {
            Some(end) if end <= file_len => position = end,
            _ => {
                patches.extend((element.id == CLUSTER).then(|| element.unknown_size()));
                break;
            }
        }
    }
    input.patch(patches, file_len);
    Ok(Some(format!("its header states {stated_end} bytes, the file holds {file_len}")))
}

/// The header of an EBML element.
struct Element {
    id: u32,
    /// Position of the element's size field. `size_len` is the number of bytes of that field.
    size_at: u64,
    size_len: usize,
    size: Option<u64>,
    /// Position of the element's contents.
    start: u64,
}

impl Element {
    /// Reads the header of the element at `position`. Returns `None` if it is missing or malformed.
    fn read(input: &mut Input, position: u64) -> io::Result<Option<Self>> {
        let mut bytes = [0; 12];
        let n = input.read_at(position, &mut bytes)?;
        let parsed = number(&bytes[..n]).filter(|id| id.1 <= 4).and_then(|(_, id_len)| {
            let id = bytes[..id_len].iter().fold(0, |id, b| id << 8 | u32::from(*b));
            let (size, size_len) = number(&bytes[id_len..n])?;
            let size_at = position.checked_add(id_len as u64)?;
            let start = size_at.checked_add(size_len as u64)?;
            // A size field with all bits set means that the size is unknown.
            let size = Some(size).filter(|s| *s != (1 << (7 * size_len)) - 1);
            Some(Self { id, size_at, size_len, size, start })
        });
        Ok(parsed)
    }

    fn end(&self) -> Option<u64> {
        self.start.checked_add(self.size?)
    }

    /// The patch that sets the size of this element to "unknown".
    fn unknown_size(&self) -> Patch {
        let mut bytes = vec![0xff; self.size_len];
        bytes[0] = 0xff >> (self.size_len - 1);
        Patch { offset: self.size_at, bytes }
    }
}

/// Decodes an EBML number, whose length varies. Also returns its length in bytes, which is the number of leading zero
/// bits plus one.
fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first().filter(|b| **b != 0)?;
    let len = first.leading_zeros() as usize + 1;
    let tail = bytes.get(1..len)?;
    let head = u64::from(first) & ((1 << (8 - len)) - 1);
    Some((tail.iter().fold(head, |n, b| n << 8 | u64::from(*b)), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_are_decoded() {
        assert_eq!(number(&[0x81]), Some((1, 1)));
        assert_eq!(number(&[0x40, 0x02, 9]), Some((2, 2)));
        assert_eq!(number(&[1, 0, 0, 0, 0, 0, 1, 0]), Some((256, 8)));
        assert_eq!(number(&[0x40]), None);
        assert_eq!(number(&[0; 12]), None);
        assert_eq!(number(&[]), None);
    }

    #[test]
    fn a_cut_file_gets_unknown_sizes_and_no_index() {
        let mut whole = vec![0x1a, 0x45, 0xdf, 0xa3, 0x80, 0x18, 0x53, 0x80, 0x67, 0x40, 30];
        whole.extend([0x11, 0x4d, 0x9b, 0x74, 0x82, 1, 2]);
        whole.extend([0x1f, 0x43, 0xb6, 0x75, 0x82, 3, 4]);
        whole.extend([0x1f, 0x43, 0xb6, 0x75, 0x8b, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        let mut input = Input::new(Box::new(io::Cursor::new(whole.clone()))).unwrap();
        assert_eq!(repair(&mut input).unwrap(), None);

        whole.truncate(whole.len() - 3);
        let mut input = Input::new(Box::new(io::Cursor::new(whole.clone()))).unwrap();
        assert!(repair(&mut input).unwrap().is_some());
        let mut patched = vec![0; whole.len()];
        input.read_at(0, &mut patched).unwrap();
        let mut expected = whole;
        expected[9..11].copy_from_slice(&[0x7f, 0xff]);
        expected[14] = 0x75;
        expected[29] = 0xff;
        assert_eq!(patched, expected);
    }

    #[test]
    fn the_number_of_patches_is_limited() {
        let seek_head = [0x11, 0x4d, 0x9b, 0x74, 0x80];
        let head = [0x1a, 0x45, 0xdf, 0xa3, 0x80, 0x18, 0x53, 0x80, 0x67, 0x4f, 0xff];
        let mut input = Input::new(Box::new(io::Cursor::new([&head[..], &seek_head.repeat(100)].concat()))).unwrap();
        assert!(repair(&mut input).unwrap().is_some());
        let mut patched = vec![0; 500];
        input.read_at(11, &mut patched).unwrap();
        let hidden = patched.chunks(5).take_while(|element| element.starts_with(&UNASSIGNED)).count();
        assert_eq!(hidden, MAX_SEEK_HEADS);
        assert_eq!(patched[5 * hidden..], seek_head.repeat(100 - hidden));
    }
}
