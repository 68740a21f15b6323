//! Finds the sources of tasks that the arguments of a command name.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::input::foreign::PassedOver;
use crate::input::issue::{InputIssue, MAX_TASKS, whole};
use crate::input::no_task::kind_by_ending;
use crate::input::{Findings, glob};

/// A source of one or more tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskSource {
    /// A file, as the user named it.
    File(PathBuf),
    /// The standard input.
    Stdin,
}

impl TaskSource {
    /// The name in messages.
    pub(crate) fn shown(&self) -> &Path {
        match self {
            Self::File(file) => file,
            Self::Stdin => Path::new("<stdin>"),
        }
    }

    /// Whether it holds a batch of tasks and not one.
    pub(crate) fn is_batch(&self) -> bool {
        let extension = self.shown().extension();
        extension.is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
    }
}

/// Finds all sources, in the order of the arguments, each once.
pub(crate) fn collect(arguments: &[PathBuf], folder: &Path, findings: &mut Findings) -> Vec<TaskSource> {
    let mut collector = Collector { folder, sources: Vec::new(), seen: HashSet::new(), left_out: Vec::new() };
    for argument in arguments {
        if let Err(issue) = collector.add(argument) {
            findings.issues.push(issue);
        }
    }
    let found = collector.sources.len();
    if found > MAX_TASKS {
        findings.issues.push(InputIssue::TooManyTasks { found });
        collector.sources.clear();
    }
    findings.passed.append(&mut collector.left_out);
    collector.sources
}

struct Collector<'a> {
    /// The folder of relative arguments.
    folder: &'a Path,
    sources: Vec<TaskSource>,
    /// The real paths of the files so far.
    seen: HashSet<PathBuf>,
    /// Files of folders that are no batches and look as if they were meant to be.
    left_out: Vec<PassedOver>,
}

impl Collector<'_> {
    fn add(&mut self, argument: &Path) -> Result<(), InputIssue> {
        if argument == Path::new("-") {
            if !self.sources.contains(&TaskSource::Stdin) {
                self.sources.push(TaskSource::Stdin);
            }
            return Ok(());
        }
        match fs::metadata(self.folder.join(argument)) {
            Ok(metadata) if metadata.is_dir() => self.add_folder(argument),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_link(argument) => {
                match argument.to_str().filter(|text| glob::is_pattern(text)) {
                    Some(pattern) => self.add_all(glob::expand(pattern, self.folder)?),
                    None => return Err(InputIssue::Missing { at: whole(argument) }),
                }
                Ok(())
            }
            // Whatever else is wrong shows when it is read.
            _ => {
                self.add_file(argument.to_owned());
                Ok(())
            }
        }
    }

    fn is_link(&self, argument: &Path) -> bool {
        self.folder.join(argument).is_symlink()
    }

    fn add_folder(&mut self, argument: &Path) -> Result<(), InputIssue> {
        let folder = self.folder.join(argument);
        let list_error = |error| InputIssue::ListFolder { at: whole(argument), error };
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(list_error)? {
            let name = entry.map_err(list_error)?.file_name();
            if folder.join(&name).is_dir() {
                continue;
            }
            if is_task_file(&name) {
                names.push(name);
            } else if is_batch_of_another_kind(&name) {
                let what = "all of it (a batch is a file tasks.toml)".to_owned();
                self.left_out.push(PassedOver { at: whole(argument.join(&name)), what });
            }
        }
        if names.is_empty() {
            return Err(InputIssue::EmptyFolder { at: whole(argument) });
        }
        names.sort();
        let shown = if argument == Path::new(".") { Path::new("") } else { argument };
        self.add_all(names.into_iter().map(|name| shown.join(name)));
        Ok(())
    }

    fn add_all(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        for file in files {
            self.add_file(file);
        }
    }

    fn add_file(&mut self, shown: PathBuf) {
        let path = self.folder.join(&shown);
        // What has no real path cannot be read either, and is told when that is tried.
        let real = path.canonicalize().unwrap_or(path);
        if self.seen.insert(real) {
            self.sources.push(TaskSource::File(shown));
        }
    }
}

/// Beginnings of the names of files that are about the folder, or for all agents, and are no tasks.
const NO_TASKS: [&str; 9] =
    ["readme", "changelog", "contributing", "code_of_conduct", "license", "security", "agents", "claude", "gemini"];

/// Whether a file of a folder is taken when the folder is named.
fn is_task_file(name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    let name = name.to_string_lossy().to_ascii_lowercase();
    let ending = Path::new(&name).extension().and_then(OsStr::to_str);
    // `README.md`, and also `README.de.md`.
    let first = name.split('.').next().unwrap_or_default();
    let is_text = matches!(ending, Some("md" | "mdc" | "markdown"));
    !hidden && ((is_text && !NO_TASKS.contains(&first)) || name == "tasks.toml")
}

/// Whether a file is called as a batch of tasks is, but for its ending.
fn is_batch_of_another_kind(name: &OsStr) -> bool {
    let name = Path::new(name);
    name.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case("tasks")) && kind_by_ending(name).is_some()
}
