//! Turns a [`Report`] into Markdown for people, JSON for scripts and JUnit for CI servers.
//!
//! All three say the same, and none says more than what was measured: an unknown figure is called
//! unknown, or is `null`, and is never 0.

mod agents;
mod escape;
mod home;
mod json;
mod junit;
mod markdown;
mod merge;
mod outlook;
mod words;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gadugi_core::registry::RegistryError;
use gadugi_core::{AttemptNo, AttemptRef, Phase, Report, TaskId};

use crate::fs::{RunFolder, open_regular, replace_by};

use junit::write_junit;

pub use escape::shell as shell_word;
pub use json::{json, write_json};
pub use junit::junit;
pub use markdown::{markdown, review};
pub use merge::{merge_figures, merge_json, merge_junit, merge_markdown, merge_tasks, not_merged, write_merge_reports};

/// The path of a command's output; `None` where there is none.
pub type LogPath<'a> = &'a dyn Fn(&AttemptRef, Phase) -> Option<PathBuf>;

/// The end of a command's output, whatever bytes it has; `None` where there is none.
pub type LogTail<'a> = &'a dyn Fn(&AttemptRef, Phase) -> Option<Vec<u8>>;

/// Length of the end of an output in JUnit.
const MAX_TAIL: u64 = 16 * 1024;

/// Where [`write_reports`] has put the reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenReports {
    /// `report.md`.
    pub markdown: PathBuf,
    /// `report.json`.
    pub json: PathBuf,
    /// `junit.xml`.
    pub junit: PathBuf,
}

/// Writes `report.md`, `report.json` and `junit.xml` into the folder of a run, each whole or not at all, in
/// place of earlier ones. Output is looked for in the folders of the attempts; what cannot be read of it
/// is left out. It blocks.
///
/// # Errors
/// [`RegistryError::Write`].
pub fn write_reports(run_folder: &Path, report: &Report) -> Result<WrittenReports, RegistryError> {
    let folder = RunFolder::new(run_folder.to_owned());
    let outputs = Outputs::default();
    let log = |attempt: &AttemptRef, phase: Phase| {
        let path = folder.attempt(attempt).join(phase.output_file());
        outputs.is_there(attempt, phase, &path).then_some(path)
    };
    let end = |attempt: &AttemptRef, phase: Phase| log(attempt, phase).and_then(|path| tail(&path).ok());
    let write = |name: &str, content: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
        let path = run_folder.join(name);
        match replace_by(&path, content) {
            Ok(()) => Ok(path),
            Err(source) => Err(RegistryError::Write { path, source }),
        }
    };
    Ok(WrittenReports {
        markdown: write("report.md", &|to| to.write_all(markdown(report, &log).as_bytes()))?,
        json: write("report.json", &|to| write_json(report, &log, to))?,
        junit: write("junit.xml", &|to| write_junit(report, &end, to))?,
    })
}

/// The existing outputs. Each is looked for once: several reports name it, and a run can have many.
#[derive(Default)]
struct Outputs {
    known: RefCell<HashMap<TaskId, OutputsOfTask>>,
}

type OutputsOfTask = HashMap<(AttemptNo, Phase), bool>;

impl Outputs {
    fn is_there(&self, attempt: &AttemptRef, phase: Phase, path: &Path) -> bool {
        let mut known = self.known.borrow_mut();
        let of_task = known.entry(attempt.task.clone()).or_default();
        *of_task.entry((attempt.number, phase)).or_insert_with(|| path.exists())
    }
}

/// Opens an output to read it. A task can put anything in the place of its log; only a regular file is opened, since
/// anything else could be waited for, or read, for ever.
///
/// # Errors
/// When it cannot be opened, or is no regular file.
pub fn open_log(path: &Path) -> io::Result<File> {
    open_regular(path, File::options().read(true))
}

/// The end of an output, at most 16 KiB.
///
/// # Errors
/// When the file cannot be read.
pub fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_log(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(MAX_TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}
