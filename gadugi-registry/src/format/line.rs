//! A line of the journal: an event with its place in the run, its time and a checksum.
//!
//! ```json
//! {"v":2,"seq":1,"at":"2026-11-22T08:33:55Z","crc":"0c9fb6e1","kind":"run_started"}
//! ```
//!
//! `v`, `seq`, `at` and `crc` come first, in this order. The checksum is the CRC-32C, as eight hexadecimal
//! digits in lower case, of the line without its newline and without the member `"crc":"…",`. Both hold
//! in every version.

use gadugi_core::Event;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::Error as _;

use super::FormatError;
use super::event::EventForm;
use super::versioned::check_version;
use crate::sanitize::escape_in_json;

/// From version 2 on there are events that the first version did not know, and times that are `null`.
const VERSION: u64 = 2;

/// The start of the member with the checksum. It cannot stand in a string before it, nor within one at all, since a quotation
/// mark in a string is written with a backslash.
const CRC: &str = "\"crc\":\"";

/// The member after the checksum where events are lost.
const LOST: &[u8] = b"\"lost\":";

/// An event as one line of JSON without a newline, in the words of the journal and without its checksum:
/// what `--json` prints.
///
/// # Errors
/// [`FormatError::NoFormat`].
pub fn event_to_json(event: &Event) -> Result<String, FormatError> {
    let (head, tail) = halves(event)?;
    Ok(head + &tail)
}

/// A line of the journal.
pub(crate) struct Line {
    pub(crate) event: Event,
    /// The number of events directly before it that are known to be lost for ever.
    pub(crate) lost: u64,
}

/// An event as a line of the journal, with its newline.
pub(crate) fn encode(event: &Event) -> Result<String, FormatError> {
    encode_after(0, event)
}

/// The same for an event before which that many are lost.
pub(crate) fn encode_after(lost: u64, event: &Event) -> Result<String, FormatError> {
    let (head, mut tail) = halves(event)?;
    if lost > 0 {
        tail = format!("\"lost\":{lost},{tail}");
    }
    let crc = crc_member(head.as_bytes(), tail.as_bytes());
    Ok(head + &crc + &tail + "\n")
}

/// The line before and after the place of its checksum.
fn halves(event: &Event) -> Result<(String, String), FormatError> {
    let form = EventForm::try_from(&event.kind)?;
    Ok((head(event.seq, event.at), tail(&form.to_json()?)))
}

fn head(seq: u64, at: Timestamp) -> String {
    format!("{{\"v\":{VERSION},\"seq\":{seq},\"at\":\"{at}\",")
}

/// The rest of a line with the members of this object.
fn tail(json: &str) -> String {
    let mut tail = escape_in_json(json);
    tail.remove(0);
    tail
}

/// A line of another journal, with its newline: an object with its place and its time.
pub(super) fn seal_line(seq: u64, at: Timestamp, json: &str) -> String {
    let (head, tail) = (head(seq, at), tail(json));
    let crc = crc_member(head.as_bytes(), tail.as_bytes());
    head + &crc + &tail + "\n"
}

/// Opens such a line: its place, its time, and its object without the first brace.
pub(super) fn open_line(line: &[u8]) -> Result<(u64, Timestamp, &[u8]), FormatError> {
    let member = find(line, CRC.as_bytes()).ok_or(FormatError::Checksum)?;
    let (head, rest) = line.split_at(member);
    let (crc, tail) = rest.split_at_checked(CRC.len() + "01234567\",".len()).ok_or(FormatError::Checksum)?;
    if written_crc(crc) != Some(crc_of(head, tail)) {
        return Err(FormatError::Checksum);
    }
    // Both halves are objects of their own, so that neither is read for what stands in the other.
    let head = [head.strip_suffix(b",").unwrap_or(head), b"}"].concat();
    let envelope = serde_json::from_slice(&head).map_err(FormatError::Json);
    match envelope {
        Ok(Envelope { v, .. }) if v > VERSION => Err(FormatError::TooNew { found: v, known: VERSION }),
        Ok(Envelope { seq, at, .. }) => Ok((seq, at, tail)),
        // Of a newer version nothing else is known.
        Err(error) => Err(check_version(VERSION, &head).err().unwrap_or(error)),
    }
}

fn crc_member(head: &[u8], tail: &[u8]) -> String {
    format!("{CRC}{:08x}\",", crc_of(head, tail))
}

fn crc_of(head: &[u8], tail: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), tail)
}

/// The checksum that such a member says; `None` where it is written otherwise.
fn written_crc(member: &[u8]) -> Option<u32> {
    let digits = member.strip_prefix(CRC.as_bytes())?.strip_suffix(b"\",")?;
    let digits = str::from_utf8(digits).ok()?;
    let are_ours = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(digits, 16).ok().filter(|_| are_ours)
}

/// Where a text begins in a line.
fn find(line: &[u8], text: &[u8]) -> Option<usize> {
    let first = text.first()?;
    let mut from = 0;
    loop {
        let at = from + line.get(from..)?.iter().position(|byte| byte == first)?;
        if line[at..].starts_with(text) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// The kind of event that a line of this or an older version tells of, before anything of it is checked; `None` where
/// it does not stand in its place.
pub(crate) fn kind_of(line: &[u8]) -> Option<&[u8]> {
    const KIND: &[u8] = b"\"kind\":\"";
    line[find(line, KIND)? + KIND.len()..].split(|byte| *byte == b'"').next()
}

#[derive(Deserialize)]
struct Envelope {
    v: u64,
    seq: u64,
    at: Timestamp,
}

/// Reads a line without its newline. The checksum comes before everything else, so that a damaged line
/// is never taken for one of a newer version.
pub(crate) fn decode(line: &[u8]) -> Result<Event, FormatError> {
    decode_line(line).map(|line| line.event)
}

/// The same, with what else the line says.
pub(crate) fn decode_line(line: &[u8]) -> Result<Line, FormatError> {
    let (seq, at, tail) = open_line(line)?;
    let (lost, tail) = match tail.strip_prefix(LOST) {
        Some(rest) => losses(rest)
            .ok_or_else(|| FormatError::Json(serde_json::Error::custom("the number of lost events is none")))?,
        None => (0, tail),
    };
    let form = EventForm::from_json(tail)?;
    Ok(Line { event: Event { seq, at, kind: form.into() }, lost })
}

/// The number of lost events at the beginning of a text, and what follows on it.
fn losses(text: &[u8]) -> Option<(u64, &[u8])> {
    let comma = text.iter().position(|byte| *byte == b',')?;
    Some((serde_json::from_slice(&text[..comma]).ok()?, &text[comma + 1..]))
}

#[cfg(test)]
mod tests {
    use gadugi_core::EventKind;

    use super::*;

    #[test]
    fn a_line_with_any_flipped_bit_is_refused() {
        let at = "2026-11-22T08:33:55Z".parse().expect("a time");
        let event =
            Event { seq: 7, at, kind: EventKind::RunEnded { wall: Some(std::time::Duration::MAX), interrupted: true } };
        let line = encode(&event).expect("a line");
        let line = line.trim_end().as_bytes();
        assert!(decode(line).is_ok());
        for bit in 0..line.len() * 8 {
            let mut flipped = line.to_owned();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&flipped), Err(FormatError::Checksum)), "bit {bit}");
        }
    }

    #[test]
    fn no_bytes_make_reading_a_line_panic() {
        for line in ["", "{", "\"crc\":\"", "\"crc\":\"01234567\",", "{\"crc\":\"0123456", "\"crc\":\"0123456é\","] {
            assert!(matches!(decode(line.as_bytes()), Err(FormatError::Checksum)), "{line}");
        }
    }
}
