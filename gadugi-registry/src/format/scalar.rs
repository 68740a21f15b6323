//! The JSON form of single values: names as text, durations in seconds, paths without loss.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use gadugi_core::AttemptNo;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
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
        struct Parse<T>(PhantomData<T>);
        impl<T: FromStr<Err: Display>> Visitor<'_> for Parse<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Parse(PhantomData)).map(Self)
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

/// A path that is not UTF-8.
#[derive(serde::Serialize, serde::Deserialize)]
struct Bytes {
    bytes_hex: String,
}

impl Serialize for PathForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => Bytes { bytes_hex: hex(self.0.as_os_str().as_encoded_bytes()) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for PathForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = PathBuf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path as text, or its bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PathBuf, E> {
                Ok(text.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PathBuf, A::Error> {
                let Bytes { bytes_hex } = Bytes::deserialize(MapAccessDeserializer::new(map))?;
                let path = unhex(&bytes_hex).map(path_of_bytes);
                path.ok_or_else(|| A::Error::custom("not the bytes of a path"))
            }
        }
        deserializer.deserialize_any(Read).map(Self)
    }
}

impl From<&Path> for PathForm {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

fn path_of_bytes(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
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
