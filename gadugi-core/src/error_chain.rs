//! Errors with all their causes: as one line, and as a test for a full disk.

use std::error::Error;
use std::io::{self, ErrorKind};

/// The error's text and those of its sources, joined by `: `. Our messages never repeat their source's
/// text, so each fact stands there once.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Whether an error comes from a disk that is full, for all or for this user, or cannot be written to any more. What
/// comes next fails in the same way.
#[must_use]
pub fn is_no_room(error: &(dyn Error + 'static)) -> bool {
    let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::ReadOnlyFilesystem];
    std::iter::successors(Some(error), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| full.contains(&error.kind()) || error.get_ref().is_some_and(|inner| is_no_room(inner)))
}
