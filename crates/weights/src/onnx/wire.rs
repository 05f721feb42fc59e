//! The wire format of protocol buffers, read where it lies: a message is a sequence of fields, of each a tag (number and
//! kind) and its value. Nothing is copied and nothing allocated.
//!
//! Our own, because the libraries for it either copy every field (tensors of gigabytes among them) or index into what they
//! have not checked.

use std::ops::Range;

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A number of variable length.
    Varint(u64),
    /// A number of four or eight bytes; these are where it lies.
    Fixed,
    /// Text, bytes, a message or packed numbers: where in the file they lie.
    Bytes(Range<usize>),
}

/// The bytes from here on are no fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: usize,
}

/// The fields of the message in a range of a file; after the first that is damaged there are no more.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// # Panics
    /// When the range is not one of `file`.
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
            // Groups are not used any more.
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn skip(&mut self, length: usize) -> Option<Range<usize>> {
        let range = self.at..self.at.checked_add(length)?;
        self.at = self.bytes.get(range.clone()).map(|_| range.end)?;
        Some(range)
    }

    /// Seven bits a byte, the lowest first; the eighth says whether there are more. At most ten bytes.
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

/// Packed numbers of variable length.
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
    fn fields_of_every_kind() {
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
    fn packed_numbers() {
        let numbers: Vec<_> = varints(&[9, 1, 0x96, 1, 0x80], 1..5).collect();
        assert_eq!(numbers, [Ok(1), Ok(150), Err(Malformed { at: 4 })]);
    }
}
