//! The alphabet of GPT-2's byte-level byte-pair encoding, which represents every byte by a printable character.
//!
//! Bytes that are printable Latin-1 characters are represented by themselves. The other 68 bytes are represented, in
//! order, by the characters from U+0100 on.

/// The character that represents a byte.
pub(super) fn character_of(byte: u8) -> char {
    if is_printable(byte) {
        return char::from(byte);
    }
    let index = (0..byte).filter(|byte| !is_printable(*byte)).count();
    (0x100..).filter_map(char::from_u32).nth(index).expect("there are more characters than bytes")
}

/// The byte that a character represents. `None` if the character is not part of the alphabet.
pub(super) fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => Some(byte).filter(|byte| is_printable(*byte)),
        Err(_) => (0..=255).filter(|byte| !is_printable(*byte)).nth((code - 0x100) as usize),
    }
}

/// Whether a byte is a printable Latin-1 character other than the space.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_covers_every_byte_once() {
        let mut bytes: Vec<u8> = (0..0x144).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte_of('\u{120}'), Some(b' '));
        assert_eq!(byte_of('\u{144}'), None);
        assert!((0..=255).all(|byte| byte_of(character_of(byte)) == Some(byte)));
    }
}
