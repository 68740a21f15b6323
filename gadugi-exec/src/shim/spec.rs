//! The protocol between the starter and the shim.
//!
//! The starter writes `<length>\n` and so many bytes of JSON to the shim's standard input: variables may be
//! secrets, and the arguments of a process and the files on a disk are seen by others. The shim answers on
//! its standard output, a line of JSON each: a [`Begun`], and at the end the line of `exit.json`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use gadugi_core::Phase;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::{FailedStep, ProcessId};

/// The version of this protocol. A shim of another version refuses to begin.
pub(crate) const VERSION: u32 = 2;

/// Bytes of a spec, more than any command can have.
const MAX_SPEC: u64 = 64 << 20;

/// Everything that a shim needs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) v: u32,
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) attempt: u32,
    /// The folder of the attempt.
    pub(crate) files: Text,
    #[serde(with = "phase_word")]
    pub(crate) phase: Phase,
    /// The number of this start of the command, from 1 on.
    pub(crate) generation: u32,
    pub(crate) nonce: String,
    /// The program, absolute, and its arguments with its own name first.
    pub(crate) program: Text,
    pub(crate) argv: Vec<Text>,
    pub(crate) env: Vec<(Text, Text)>,
    pub(crate) folder: Text,
    /// The file that is the command's standard input; `None` for an empty one.
    pub(crate) stdin: Option<Text>,
    pub(crate) log: Text,
    pub(crate) head_bytes: u64,
    pub(crate) tail_bytes: u64,
    /// The default grace of a request to stop.
    pub(crate) grace_ms: u64,
    /// Whether a request to stop begins with SIGINT.
    #[serde(default)]
    pub(crate) interrupt: bool,
    pub(crate) drain_ms: u64,
    /// Whether the end of the starter, which is the end of standard input, is a request to stop.
    pub(crate) die_with_parent: bool,
    /// Whether the command gets a cgroup where one can be made.
    pub(crate) cgroups: bool,
}

/// The result of the start.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Begun {
    /// The command runs its program.
    Started { shim: ProcessId, leader: ProcessId },
    /// It could not be started. Nothing runs.
    Failed { step: FailedStep, errno: i32 },
    /// Another shim has begun this start, or it was made void. Nothing runs.
    Refused,
}

/// Bytes that mostly are text: a string in JSON, or an array of numbers where they are not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl Spec {
    /// Writes the spec as [`receive`](Self::receive) reads it.
    pub(crate) fn send(&self, mut to: impl Write) -> io::Result<()> {
        let json = serde_json::to_vec(self)?;
        let length = format!("{}\n", json.len());
        to.write_all(&[length.into_bytes(), json].concat())
    }

    /// Reads what [`send`](Self::send) has written, and nothing behind it.
    pub(crate) fn receive(mut from: impl BufRead) -> io::Result<Self> {
        let mut length = String::new();
        from.by_ref().take(20).read_line(&mut length)?;
        let length: u64 = length.trim_end().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        if length > MAX_SPEC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut json = Vec::new();
        from.take(length).read_to_end(&mut json)?;
        let spec: Self = serde_json::from_slice(&json)?;
        if spec.v == VERSION { Ok(spec) } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

impl Text {
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.0.clone()))
    }
}

impl From<&OsStr> for Text {
    fn from(text: &OsStr) -> Self {
        Self(text.as_bytes().to_owned())
    }
}

impl From<&Path> for Text {
    fn from(path: &Path) -> Self {
        path.as_os_str().into()
    }
}

mod phase_word {
    use gadugi_core::Phase;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(phase: &Phase, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(phase.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Phase, D::Error> {
        let word = String::deserialize(deserializer)?;
        let found = Phase::ALL.into_iter().find(|phase| phase.word() == word);
        found.ok_or_else(|| D::Error::custom("this is no command of an attempt"))
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of bytes")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.as_bytes().to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Text, A::Error> {
                let mut text = Vec::new();
                while let Some(byte) = bytes.next_element()? {
                    text.push(byte);
                }
                Ok(Text(text))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_kind_come_through() {
        for bytes in [&b"plain \"text\"\n"[..], b"", b"\xff\x00\xfe", "grüß dich".as_bytes()] {
            let text = Text(bytes.to_owned());
            let json = serde_json::to_string(&text).expect("it can be written");
            assert_eq!(serde_json::from_str::<Text>(&json).expect("it can be read"), text, "{json}");
        }
    }

    #[test]
    fn a_spec_that_is_cut_short_is_none() {
        for sent in ["", "12", "12\n", "12\n{", "99999999999\n", "x\n{}"] {
            assert!(Spec::receive(sent.as_bytes()).is_err(), "{sent}");
        }
    }
}
