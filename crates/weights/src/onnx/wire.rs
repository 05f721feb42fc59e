//! The wire format of protocol buffers, read in place: a message is a sequence of fields, each with a tag (number and
//! type) and a value. Nothing is copied or allocated.
//!
//! This is our own code, because the protobuf libraries either copy every field (including gigabytes of tensors) or
//! index into unchecked bytes.

use std::ops::Range;

/// The value of a protobuf field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// An integer of variable length (a varint).
    Varint(u64),
    /// A number of four or eight bytes, whose value is skipped.
    Fixed,
    /// Text, bytes, a message or packed numbers, as a byte range in the file.
    Bytes(Range<usize>),
}

/// The position in the file, in bytes, at which a damaged field begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: usize,
}

/// Iterates over the fields of the message in a byte range of a file. Iteration ends after the first damaged field.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Creates an iterator over the message in the byte range `message` of `file`.
    ///
    /// # Panics
    /// If the range is outside of `file`.
    pub(super) fn new(file: &'a [u8], message: Range<usize>) -> Self {
        Self { bytes: &file[..message.end], at: message.start }
    }

    fn field(&mut self) -> Option<(u64, Value)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.skip(usize::try_from(length).ok()?)?)
            }
            5 => self.skip(4).map(|_| Value::Fixed)?,
            // The wire types 3 and 4 (groups) are obsolete, so they count as damaged.
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn skip(&mut self, length: usize) -> Option<Range<usize>> {
        let range = self.at..self.at.checked_add(length)?;
        self.at = self.bytes.get(range.clone()).map(|_| range.end)?;
        Some(range)
    }

    /// Reads a varint: seven bits per byte, lowest bits first. The eighth bit of a byte says whether another byte
    /// follows. A varint has at most ten bytes; `None` if it is longer or cut off.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u64, Value), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        if at == self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.at = self.bytes.len();
        }
        Some(field.ok_or(Malformed { at }))
    }
}

/// Reads the varints that are stored one after another in a byte range of the file.
pub(super) fn varints(file: &[u8], range: Range<usize>) -> impl Iterator<Item = Result<u64, Malformed>> {
    let mut fields = Fields::new(file, range);
    std::iter::from_fn(move || {
        let at = fields.at;
        if at == fields.bytes.len() {
            return None;
        }
        let value = fields.varint();
        if value.is_none() {
            fields.at = fields.bytes.len();
        }
        Some(value.ok_or(Malformed { at }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Vec<Result<(u64, Value), Malformed>> {
        Fields::new(bytes, 0..bytes.len()).collect()
    }

    #[test]
    fn every_type_of_field_is_read() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f, 0x21, 1, 2, 3, 4, 5, 6, 7, 8];
        let expected =
            [Ok((1, Value::Varint(150))), Ok((2, Value::Bytes(5..7))), Ok((3, Value::Fixed)), Ok((4, Value::Fixed))];
        assert_eq!(fields(&bytes), expected);
        assert_eq!(fields(&[0x80; 11]), [Err(Malformed { at: 0 })]);
        assert_eq!(fields(&[0x08, 1, 0x12, 3, 0, 0]), [Ok((1, Value::Varint(1))), Err(Malformed { at: 2 })]);
        assert_eq!(
            fields(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            [Err(Malformed { at: 0 })]
        );
        assert_eq!(fields(&[0x0b]), [Err(Malformed { at: 0 })]);
    }

    #[test]
    fn packed_varints_are_read() {
        let numbers: Vec<_> = varints(&[9, 1, 0x96, 1, 0x80], 1..5).collect();
        assert_eq!(numbers, [Ok(1), Ok(150), Err(Malformed { at: 4 })]);
    }
}
