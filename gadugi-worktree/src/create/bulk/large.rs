//! Files that are too large to be held in memory: git prints each once, and it is written to all worktrees as it comes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use super::files::Writer;
use super::index::Stat;
use super::layout::Item;
use crate::error::GitError;
use crate::threads::cancel::Awaited;
use crate::threads::scarce::patiently;

const BUFFER: usize = 256 * 1024;

/// Writes an entry to all these worktrees. `git` is the command git, which knows the repository. The answers are in the order
/// of the worktrees.
///
/// # Errors
/// When git does not print it in full, or that is given up; then the files are there and not whole.
pub(super) fn write(
    mut git: Command,
    item: &Item,
    writers: &mut [Writer<'_>],
    awaited: &Awaited,
) -> Result<Vec<Result<Stat, GitError>>, GitError> {
    let mut files: Vec<Result<File, GitError>> = writers.iter_mut().map(|writer| writer.create(item)).collect();
    git.args(["cat-file", "blob", &item.id.to_string()]);
    git.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut git = patiently(|| git.spawn().map_err(GitError::Start))?;
    let follow = |source| GitError::Watch { command: "cat-file".to_owned(), source };
    let mut stdout = git.stdout.take().ok_or_else(|| follow(io::ErrorKind::BrokenPipe.into()))?;
    let mut buffer = vec![0; BUFFER];
    let read = loop {
        if awaited.check().is_err() {
            break Ok(());
        }
        match stdout.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(length) => {
                for (file, writer) in files.iter_mut().zip(&mut *writers) {
                    if let Ok(open) = file
                        && let Err(error) = open.write_all(&buffer[..length])
                    {
                        *file = Err(writer.failed(item, error));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    // If git still prints, it learns so that nobody reads that.
    drop(stdout);
    let output = git.wait_with_output().map_err(follow)?;
    awaited.check()?;
    read.map_err(follow)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(GitError::Plumbing { command: "cat-file".to_owned(), status: output.status, stderr });
    }
    let finish = |(file, writer): (Result<File, GitError>, &mut Writer<'_>)| {
        writer.finish(&file?).map_err(|error| writer.failed(item, error))
    };
    Ok(files.into_iter().zip(writers).map(finish).collect())
}
