//! Records whose damage is noticed: one line of JSON with a version and a checksum.
//!
//! Each is `{"v":1,"crc":"0c9fb6e1",…}`. The checksum is the CRC-32C of the line without its newline and without the
//! member `"crc":"…",`, as in the journal. A line that fails it is damaged.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::os::regular_file::read_regular;

const VERSION: u64 = 1;

/// Bytes of a record.
const MAX_RECORD: u64 = 1 << 20;

const BEFORE_CRC: &str = "{\"v\":1,";

/// The content of a record's file.
#[derive(Debug, PartialEq)]
pub(crate) enum Content<T> {
    Absent,
    Sound(T),
    Unsound(Unsound),
}

/// The reason why a record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsound {
    Damaged,
    /// It was written by a newer version.
    TooNew,
}

/// Returns the line of a record.
pub(crate) fn seal<T: Serialize>(record: &T) -> serde_json::Result<String> {
    let json = serde_json::to_string(record)?;
    let rest = json.strip_prefix('{').unwrap_or(&json);
    let crc = crc(BEFORE_CRC.as_bytes(), rest.as_bytes());
    Ok(format!("{BEFORE_CRC}{crc}{rest}\n"))
}

/// Reads what [`seal`] wrote.
pub(crate) fn unseal<T: DeserializeOwned>(line: &[u8]) -> Result<T, Unsound> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u64,
    }

    let line = line.strip_suffix(b"\n").ok_or(Unsound::Damaged)?;
    // The checksum holds in every version, and stands behind the version.
    let head = line.iter().position(|&byte| byte == b',').ok_or(Unsound::Damaged)? + 1;
    let (head, rest) = line.split_at(head);
    let (stated, rest) = rest.split_at_checked("\"crc\":\"01234567\",".len()).ok_or(Unsound::Damaged)?;
    if stated != crc(head, rest).as_bytes() {
        return Err(Unsound::Damaged);
    }
    let json = [head, rest].concat();
    let Versioned { v } = serde_json::from_slice(&json).map_err(|_| Unsound::Damaged)?;
    if v > VERSION {
        return Err(Unsound::TooNew);
    }
    serde_json::from_slice(&json).map_err(|_| Unsound::Damaged)
}

fn crc(head: &[u8], rest: &[u8]) -> String {
    format!("\"crc\":\"{:08x}\",", crc32c::crc32c_append(crc32c::crc32c(head), rest))
}

/// Gives a file a second name; `false` when that name is taken.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads a record.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Content<T>> {
    match read_regular(path, MAX_RECORD) {
        Ok(line) => Ok(match line.as_deref().map_or(Err(Unsound::Damaged), unseal) {
            Ok(record) => Content::Sound(record),
            Err(unsound) => Content::Unsound(unsound),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Content::Absent),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_newer_version_is_told_from_damage() {
        let (head, rest) = ("{\"v\":2,", "\"kind\":\"any\"}");
        let line = format!("{head}{}{rest}\n", crc(head.as_bytes(), rest.as_bytes()));
        assert_eq!(unseal::<serde_json::Value>(line.as_bytes()), Err(Unsound::TooNew));
    }
}
