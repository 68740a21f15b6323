//! Changing references.
//!
//! gix does it too, but a killed process leaves lock files there that cannot be told from those of others; and where there are
//! packed references it locks them for every change.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};
use gix::refs::FullNameRef;
use gix::refs::store::WriteReflog;

use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::{real, remove_if_empty};
use crate::repo::lock_file::{LockFile, NotTaken};

/// As git's `core.filesRefLockTimeout`.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// Number of references that are deleted together: the lock of each takes a file handle.
const DELETED_AT_ONCE: usize = 64;

/// As git's `core.packedRefsTimeout`.
const PACKED_LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Size limit for a reflog that is read as a whole.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;

/// Compare-and-swap of a reference: moves `name` from `from` (`None`: absent) to `to`. Returns whether it matched.
pub(crate) fn set(
    repo: &gix::Repository,
    name: &FullNameRef,
    from: Option<ObjectId>,
    to: ObjectId,
    message: &str,
) -> Result<bool, GitError> {
    let path = path(repo, name)?;
    let lock = acquire(repo, &path, LOCK_TIMEOUT)?;
    let found = target(repo, name)?;
    if found != from.map(Some) {
        return Ok(false);
    }
    append_to_log(repo, name, from, to, message)?;
    remove_empty_folders(&path);
    lock.replace(format!("{to}\n").as_bytes())?;
    Ok(true)
}

/// Deletes a reference that leads to `from`, with its log. Returns whether it is gone: it stays when it leads elsewhere.
pub(crate) fn delete(repo: &gix::Repository, name: &FullNameRef, from: ObjectId) -> Result<bool, GitError> {
    let mut deleted = delete_some(repo, &[(name, from)])?;
    deleted.pop().unwrap_or(Ok(true))
}

/// The same for many references. Packed references are written once for several of them.
pub(crate) fn delete_all(
    repo: &gix::Repository,
    references: &[(&FullNameRef, ObjectId)],
) -> Result<Vec<Result<bool, GitError>>, GitError> {
    let mut answers = Vec::with_capacity(references.len());
    for some in references.chunks(DELETED_AT_ONCE) {
        answers.extend(delete_some(repo, some)?);
    }
    Ok(answers)
}

fn delete_some(
    repo: &gix::Repository,
    references: &[(&FullNameRef, ObjectId)],
) -> Result<Vec<Result<bool, GitError>>, GitError> {
    let mut going = Vec::new();
    let mut answers = Vec::with_capacity(references.len());
    for (name, from) in references {
        answers.push(lock_to_delete(repo, name, *from).map(|answer| match answer {
            Ok(held) => {
                going.push((*name, held));
                true
            }
            Err(is_gone) => is_gone,
        }));
    }
    if going.is_empty() {
        return Ok(answers);
    }
    let packed = real(repo.common_dir()).join("packed-refs");
    // Held to the end, so that nobody packs a reference while it goes.
    let packed_lock = acquire(repo, &packed, PACKED_LOCK_TIMEOUT)?;
    match ordinary::read(&packed) {
        Ok(text) => {
            let names: HashSet<&BStr> = going.iter().map(|(name, _)| name.as_bstr()).collect();
            if let Some(without) = without(&text, &names) {
                packed_lock.replace(&without)?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(GitError::io("read", &packed)(error)),
    }
    for (_, Held { path, log, .. }) in &going {
        remove(log)?;
        remove(path)?;
    }
    drop(packed_lock);
    for (name, Held { path, log, lock }) in going {
        drop(lock);
        for file in [path, log] {
            // Up to `refs/heads` and the like. One that is not empty stays, and so do all above it.
            let folders = file.ancestors().skip(1).take(name.as_bstr().find_iter(b"/").count().saturating_sub(2));
            for folder in folders {
                remove_if_empty(folder).ok();
            }
        }
    }
    Ok(answers)
}

/// A reference that is to be deleted, locked against other changes.
struct Held {
    path: PathBuf,
    log: PathBuf,
    lock: LockFile,
}

/// Takes the lock of a reference that leads to `from`; otherwise returns whether it is gone.
fn lock_to_delete(repo: &gix::Repository, name: &FullNameRef, from: ObjectId) -> Result<Result<Held, bool>, GitError> {
    let path = path(repo, name)?;
    let lock = acquire(repo, &path, LOCK_TIMEOUT)?;
    Ok(match target(repo, name)? {
        None => Err(true),
        Some(found) if found != Some(from) => Err(false),
        Some(_) => Ok(Held { log: log(repo, name)?, path, lock }),
    })
}

/// The last line of the log of a reference; `None` where there is none.
pub(crate) fn last_of_log(repo: &gix::Repository, name: &FullNameRef) -> Result<Option<String>, GitError> {
    let log = log(repo, name)?;
    match ordinary::read(&log) {
        Ok(text) => Ok(text.lines().next_back().map(|line| line.to_str_lossy().into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(GitError::io("read", &log)(error)),
    }
}

/// Whether a line of the log of a reference has a message for which `is_it` holds.
pub(crate) fn any_of_log(
    repo: &gix::Repository,
    name: &FullNameRef,
    is_it: impl Fn(&BStr) -> bool,
) -> Result<bool, GitError> {
    let log = log(repo, name)?;
    match ordinary::read(&log) {
        Ok(text) => Ok(text.lines().any(|line| line.split_once_str("\t").is_some_and(|(_, text)| is_it(text.into())))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(GitError::io("read", &log)(error)),
    }
}

/// The log of a reference; `None` where there is none, or it is no file or a very large one: a task may have put it there.
pub(crate) fn log_of(repo: &gix::Repository, name: &FullNameRef) -> Result<Option<Vec<u8>>, GitError> {
    read_log(&log(repo, name)?)
}

/// The same, for a log whose path is known.
pub(crate) fn read_log(log: &Path) -> Result<Option<Vec<u8>>, GitError> {
    let is_readable = |metadata: fs::Metadata| metadata.is_file() && metadata.len() <= MAX_LOG_BYTES;
    if !log.symlink_metadata().is_ok_and(is_readable) {
        return Ok(None);
    }
    ordinary::read(log).map(Some).map_err(GitError::io("read", log))
}

/// Moves the `HEAD` of a worktree, in the folder of its git files.
pub(crate) fn set_head(common_dir: &Path, admin: &Path, wanted: &HeadAt) -> Result<(), GitError> {
    if head_in(admin).as_ref() == Some(wanted) {
        return Ok(());
    }
    let lock = LockFile::acquire(&real(common_dir), &admin.join("HEAD"), LOCK_TIMEOUT).map_err(held)?;
    let text = match wanted {
        HeadAt::Branch(name) => format!("ref: {name}\n"),
        HeadAt::Commit(id) => format!("{id}\n"),
    };
    lock.replace(text.as_bytes())
}

/// Removes the remains of an interrupted change of a reference that does not exist.
pub(crate) fn forget(repo: &gix::Repository, name: &FullNameRef) -> Result<(), GitError> {
    let path = path(repo, name)?;
    let _lock = acquire(repo, &path, LOCK_TIMEOUT)?;
    if target(repo, name)?.is_none() {
        remove(&log(repo, name)?)?;
    }
    Ok(())
}

fn acquire(repo: &gix::Repository, resource: &Path, patience: Duration) -> Result<LockFile, GitError> {
    LockFile::acquire(&real(repo.common_dir()), resource, patience).map_err(held)
}

fn held(error: NotTaken) -> GitError {
    match error {
        NotTaken::Held { lock } => GitError::ReferenceLocked { lock },
        NotTaken::Failed(error) => error,
    }
}

/// The commit that a reference leads to: `None` when it does not exist, `Some(None)` when it leads to another reference.
fn target(repo: &gix::Repository, name: &FullNameRef) -> Result<Option<Option<ObjectId>>, GitError> {
    ordinary::check(&path(repo, name)?)?;
    let reference = repo.try_find_reference(name)?;
    Ok(reference.map(|reference| reference.target().try_id().map(ToOwned::to_owned)))
}

/// The file of a reference that is not packed.
pub(crate) fn path(repo: &gix::Repository, name: &FullNameRef) -> Result<PathBuf, GitError> {
    Ok(real(repo.common_dir()).join(gix::path::from_bstr(name.as_bstr())?))
}

/// The log file of a reference.
pub(crate) fn log(repo: &gix::Repository, name: &FullNameRef) -> Result<PathBuf, GitError> {
    Ok(real(repo.common_dir()).join("logs").join(gix::path::from_bstr(name.as_bstr())?))
}

fn append_to_log(
    repo: &gix::Repository,
    name: &FullNameRef,
    from: Option<ObjectId>,
    to: ObjectId,
    message: &str,
) -> Result<(), GitError> {
    let log = log(repo, name)?;
    let is_made = match repo.refs.write_reflog {
        WriteReflog::Disable => return Ok(()),
        WriteReflog::Always => true,
        WriteReflog::Normal => name.as_bstr().starts_with(b"refs/heads/"),
    };
    if !is_made && !log.is_file() {
        return Ok(());
    }
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(GitError::io("create", folder))?;
    }
    remove_empty_folders(&log);
    let line = log_line(repo, from, to, message)?;
    // In one go, so that a crash leaves no half of a line.
    ordinary::append_to(&log).and_then(|mut file| file.write_all(&line)).map_err(GitError::io("write", &log))
}

/// A line of the log of a reference (git-reflog(1)).
pub(crate) fn log_line(
    repo: &gix::Repository,
    from: Option<ObjectId>,
    to: ObjectId,
    message: &str,
) -> Result<Vec<u8>, GitError> {
    let committer = repo.committer().ok_or(GitError::NoCommitter)??;
    let from = from.unwrap_or_else(|| to.kind().null());
    let mut line = format!("{from} {to} ").into_bytes();
    committer.trim().write_to(&mut line).expect("cannot fail because it is written to memory");
    line.extend_from_slice(format!("\t{message}\n").as_bytes());
    Ok(line)
}

/// Packed references without some of them; `None` when none of these is among them.
fn without(packed: &[u8], names: &HashSet<&BStr>) -> Option<Vec<u8>> {
    let is_of = |line: &[u8]| {
        let name = line.trim_end().split_once_str(" ").map(|(_, name)| name.as_bstr());
        !line.starts_with(b"#") && name.is_some_and(|name| names.contains(name))
    };
    let mut rest = Vec::with_capacity(packed.len());
    let (mut found, mut skips) = (false, false);
    for line in packed.lines_with_terminator() {
        // What a tag leads to stands in the line after it.
        skips = if line.starts_with(b"^") { skips } else { is_of(line) };
        found |= skips;
        if !skips {
            rest.extend_from_slice(line);
        }
    }
    found.then_some(rest)
}

/// Removes folders in the place of a file that hold nothing but such folders, as references below it leave them.
fn remove_empty_folders(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_folders(&entry.path());
        }
    }
    // One that holds something is found to be in the way by what comes next.
    if folder.is_dir() {
        remove_if_empty(folder).ok();
    }
}

fn remove(file: &Path) -> Result<(), GitError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::io("remove", file)(error)),
        _ => Ok(()),
    }
}

/// The position of a `HEAD`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadAt {
    /// On the branch of this full name.
    Branch(String),
    /// On a commit, without a branch.
    Commit(ObjectId),
}

/// Reads `HEAD` in a worktree's folder of git's own files, or in that of the repository for the main
/// worktree. `None` when it is neither on a branch nor on a commit.
pub(crate) fn head_in(git_dir: &Path) -> Option<HeadAt> {
    let head = ordinary::read_to_string(&git_dir.join("HEAD")).ok()?;
    match head.strip_prefix("ref:") {
        Some(branch) => Some(HeadAt::Branch(branch.trim().to_owned())),
        None => ObjectId::from_hex(head.trim().as_bytes()).ok().map(HeadAt::Commit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_reference_goes_with_the_line_that_belongs_to_it_and_no_other() {
        let packed = b"# pack-refs with: peeled \n1 refs/heads/a\n2 refs/heads/a/b\n3 refs/tags/a\n^4\n5 refs/tags/b\n";
        let text =
            |name: &str| without(packed, &HashSet::from([name.into()])).map(|text| text.to_str_lossy().into_owned());
        let head = "# pack-refs with: peeled \n";
        assert_eq!(text("refs/tags/a"), Some(format!("{head}1 refs/heads/a\n2 refs/heads/a/b\n5 refs/tags/b\n")));
        assert_eq!(text("refs/heads/a"), Some(format!("{head}2 refs/heads/a/b\n3 refs/tags/a\n^4\n5 refs/tags/b\n")));
        assert_eq!(text("heads/a"), None);
        assert_eq!(text("refs/heads/c"), None);
    }
}
