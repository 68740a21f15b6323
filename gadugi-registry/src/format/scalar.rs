//! How single values look in JSON: names as text, durations in seconds, paths without loss.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use gadugi_core::AttemptNo;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// A validated name: written by `Display`, read by `FromStr`, so that a file cannot hold an invalid one.
#[derive(Debug, Clone)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: FromStr,
    T::Err: Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

pub(crate) fn texts<T: Clone>(names: &[T]) -> Vec<Text<T>> {
    names.iter().cloned().map(Text).collect()
}

pub(crate) fn from_texts<T>(names: Vec<Text<T>>) -> Vec<T> {
    names.into_iter().map(|name| name.0).collect()
}

/// The number of an attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) AttemptNo);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0.get())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        AttemptNo::new(number).map(Self).ok_or_else(|| D::Error::custom("attempts are counted from 1"))
    }
}

/// A duration as a number of seconds, to the microsecond. Every whole number of microseconds up to 71
/// years is read back as it was; longer than 584,000 years is written as 584,000 years.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        serializer.serialize_f64(micros as f64 / 1e6)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if seconds < 0.0 {
            return Err(D::Error::custom("a duration is not negative"));
        }
        Ok(Self(Duration::from_micros((seconds * 1e6).round() as u64)))
    }
}

/// A path: a string where it is UTF-8, else `{"bytes_hex": "…"}` with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct PathForm(pub(crate) PathBuf);

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum PathText {
    Text(String),
    Bytes { bytes_hex: String },
}

impl Serialize for PathForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match self.0.to_str() {
            Some(text) => PathText::Text(text.to_owned()),
            None => PathText::Bytes { bytes_hex: hex(self.0.as_os_str().as_encoded_bytes()) },
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PathForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match PathText::deserialize(deserializer)? {
            PathText::Text(text) => Ok(Self(text.into())),
            PathText::Bytes { bytes_hex } => {
                let path = unhex(&bytes_hex).and_then(path_of_bytes);
                path.map(Self).ok_or_else(|| D::Error::custom("not the bytes of a path"))
            }
        }
    }
}

impl From<&Path> for PathForm {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

#[cfg(unix)]
fn path_of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

/// Elsewhere than on Unix a path is not made of bytes.
#[cfg(not(unix))]
fn path_of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
