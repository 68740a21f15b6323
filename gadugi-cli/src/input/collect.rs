//! From the arguments of a command to the places where its tasks stand.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::input::glob;
use crate::input::issue::{InputIssue, MAX_TASKS, whole};

/// A place where one or more tasks stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file, as the user named it.
    File(PathBuf),
    /// The standard input.
    Stdin,
}

impl Source {
    /// What it is called in messages.
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

/// Finds all places, in the order of the arguments, each once.
pub(crate) fn collect(arguments: &[PathBuf], folder: &Path, issues: &mut Vec<InputIssue>) -> Vec<Source> {
    let mut collector = Collector { folder, sources: Vec::new(), seen: HashSet::new() };
    for argument in arguments {
        if let Err(issue) = collector.add(argument) {
            issues.push(issue);
        }
    }
    let found = collector.sources.len();
    if found > MAX_TASKS {
        issues.push(InputIssue::TooManyTasks { found });
        collector.sources.clear();
    }
    collector.sources
}

struct Collector<'a> {
    /// What relative arguments are relative to.
    folder: &'a Path,
    sources: Vec<Source>,
    /// The real paths of the files so far.
    seen: HashSet<PathBuf>,
}

impl Collector<'_> {
    fn add(&mut self, argument: &Path) -> Result<(), InputIssue> {
        if argument == Path::new("-") {
            if !self.sources.contains(&Source::Stdin) {
                self.sources.push(Source::Stdin);
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
            if is_task_file(&name) && !folder.join(&name).is_dir() {
                names.push(name);
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
            self.sources.push(Source::File(shown));
        }
    }
}

/// Whether a file of a folder is taken when the folder is named.
fn is_task_file(name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    let markdown = Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"));
    !hidden && ((markdown && !name.eq_ignore_ascii_case("README.md")) || name == "tasks.toml")
}
