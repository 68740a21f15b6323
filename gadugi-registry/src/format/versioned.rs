//! The member `v` that every file begins with.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::FormatError;
use crate::sanitize::escape_in_json;

#[derive(Serialize)]
struct WithVersion<'a, T> {
    v: u64,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// A file of that version, indented for people, with a newline at its end.
pub(crate) fn to_json(version: u64, body: &impl Serialize) -> Result<String, FormatError> {
    let json = serde_json::to_string_pretty(&WithVersion { v: version, body }).map_err(FormatError::Json)?;
    Ok(escape_in_json(&json) + "\n")
}

/// Checks the version first, since nothing else of a newer one is known.
pub(crate) fn from_json<T: DeserializeOwned>(known: u64, json: &[u8]) -> Result<T, FormatError> {
    check_version(known, json)?;
    serde_json::from_slice(json).map_err(FormatError::Json)
}

pub(super) fn check_version(known: u64, json: &[u8]) -> Result<(), FormatError> {
    let found = version_of(json)?;
    if found > known { Err(FormatError::TooNew { found, known }) } else { Ok(()) }
}

pub(super) fn version_of(json: &[u8]) -> Result<u64, FormatError> {
    let Version { v } = serde_json::from_slice(json).map_err(FormatError::Json)?;
    Ok(v)
}
