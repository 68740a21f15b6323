//! An error with all its causes, in one line.

use std::error::Error;

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
