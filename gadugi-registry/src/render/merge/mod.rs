//! The reports of a merge: Markdown for people, JSON for scripts and JUnit for CI servers.

mod json;
mod junit;
mod markdown;
mod words;

use std::path::Path;

use gadugi_core::merge::MergeRecord;
use gadugi_core::registry::RegistryError;

use super::WrittenReports;
use crate::fs::replace;

pub use json::merge_json;
pub use junit::merge_junit;
pub use markdown::merge_markdown;
pub use words::{merge_figures, merge_tasks, not_merged};

/// Writes the reports of a merge into its folder.
///
/// # Errors
/// [`RegistryError::Write`].
pub fn write_merge_reports(folder: &Path, record: &MergeRecord) -> Result<WrittenReports, RegistryError> {
    let write = |name: &str, content: String| {
        let path = folder.join(name);
        match replace(&path, content.as_bytes()) {
            Ok(()) => Ok(path),
            Err(source) => Err(RegistryError::Write { path, source }),
        }
    };
    Ok(WrittenReports {
        markdown: write("report.md", merge_markdown(record))?,
        json: write("report.json", merge_json(record))?,
        junit: write("junit.xml", merge_junit(record))?,
    })
}
