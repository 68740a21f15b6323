//! The checksum that a file carries as its second member, in a line of its own.
//!
//! ```json
//! {
//!   "v": 2,
//!   "crc": "0c9fb6e1",
//! ```
//!
//! The checksum is the CRC-32C of the file without that line.

use super::FormatError;

/// The start and the end of the line.
const BEGIN: &[u8] = b"  \"crc\": \"";
const END: &[u8] = b"\",\n";
const DIGITS: usize = 8;

/// Adds the line to a file that has none.
pub(super) fn seal(json: &str) -> String {
    let (head, tail) = json.split_at(second_newline(json.as_bytes()).unwrap_or(json.len()));
    let crc = crc32c::crc32c(json.as_bytes());
    format!("{head}  \"crc\": \"{crc:08x}\",\n{tail}")
}

/// Whether a file has that line.
///
/// # Errors
/// [`FormatError::Checksum`] when it has one that belongs to other bytes.
pub(super) fn is_sealed(json: &[u8]) -> Result<bool, FormatError> {
    let Some(at) = second_newline(json) else { return Ok(false) };
    let (head, rest) = json.split_at(at);
    let Some((line, tail)) = rest.split_at_checked(BEGIN.len() + DIGITS + END.len()) else { return Ok(false) };
    if !line.starts_with(BEGIN) || !line.ends_with(END) {
        return Ok(false);
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(head), tail);
    let digits = &line[BEGIN.len()..BEGIN.len() + DIGITS];
    if digits == format!("{crc:08x}").as_bytes() { Ok(true) } else { Err(FormatError::Checksum) }
}

/// Where the third line begins.
fn second_newline(json: &[u8]) -> Option<usize> {
    let mut newlines = json.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    newlines.nth(1).map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_any_flipped_bit_is_not_taken_for_a_sealed_one() {
        let sealed = seal("{\n  \"v\": 2,\n  \"what\": \"something\"\n}\n");
        assert!(is_sealed(sealed.as_bytes()).expect("its own checksum"));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(is_sealed(&flipped), Ok(true)), "bit {bit}");
        }
    }

    #[test]
    fn no_bytes_make_looking_for_a_seal_panic() {
        for json in ["", "{", "{\n", "{\n\n", "{\n\n  \"crc\": \"", "{\n\n  \"crc\": \"0123456é\",\n"] {
            assert!(!matches!(is_sealed(json.as_bytes()), Ok(true)), "{json}");
        }
    }
}
