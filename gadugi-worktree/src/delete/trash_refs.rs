//! References that keep the commits of deleted branches: `refs/gadugi/trash/<run>/<task>`.
//!
//! They are kept for a while, counted from a note of ours for each of them. Git's reflog is of no use for that: it may not be
//! written, and its times may be set by the committer.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gadugi_core::Lease;
use gadugi_core::worktrees::Pruned;
use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::refs::FullName;

use crate::delete::trash::RETENTION;
use crate::durable;
use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::remove_if_empty;
use crate::repo::refs;
use crate::settings::WorktreeSettings;

const PREFIX: &str = "refs/gadugi/trash/";

/// The references that a dry run would have made, and the commits that they would keep, where these are known.
pub(crate) type Promised = HashMap<String, Option<ObjectId>>;

/// Keeps a commit under `refs/gadugi/trash/<run>/<task>`; further ones of the task get `@2`, `@3` and so on at the end, which
/// no task's name has. Returns the name of the reference.
pub(crate) fn keep(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    lease: &Lease,
    commit: ObjectId,
    message: &str,
) -> Result<String, GitError> {
    durable::commit(settings, repo, lease.base.as_ref(), commit)?;
    loop {
        let full = free(repo, lease, Some(commit), &Promised::new())?;
        let name = full.as_bstr().to_str_lossy().into_owned();
        // Before the reference: one without a note would count from later on, never from earlier.
        Note::of(settings, name.strip_prefix(PREFIX).unwrap_or(&name)).write(commit)?;
        if repo.try_find_reference(full.as_ref())?.is_some() || refs::set(repo, full.as_ref(), None, commit, message)? {
            durable::references(repo, [full.as_ref()])?;
            return Ok(name);
        }
    }
}

/// Reserves the name of the reference that would keep a commit, for a dry run.
pub(crate) fn promise(
    repo: &gix::Repository,
    lease: &Lease,
    commit: Option<ObjectId>,
    promised: &mut Promised,
) -> Result<String, GitError> {
    let full = free(repo, lease, commit, promised)?;
    let name = full.as_bstr().to_str_lossy().into_owned();
    promised.insert(name.clone(), commit);
    Ok(name)
}

/// The first reference of a task that keeps no other commit.
fn free(
    repo: &gix::Repository,
    lease: &Lease,
    commit: Option<ObjectId>,
    promised: &Promised,
) -> Result<FullName, GitError> {
    let name = format!("{PREFIX}{}/{}", lease.run, lease.attempt.task);
    for number in 1_u32.. {
        let name = if number == 1 { name.clone() } else { format!("{name}@{number}") };
        let kept = match promised.get(&name) {
            Some(known) => Some(*known),
            None => {
                let full: &str = &name;
                let existing = repo.try_find_reference(full)?;
                existing.map(|existing| existing.target().try_id().map(ToOwned::to_owned))
            }
        };
        if kept.is_none_or(|kept| commit.is_some() && kept == commit) {
            return Ok(name.try_into().expect("cannot fail because ids follow git's rules for references"));
        }
    }
    unreachable!("cannot happen because a task has fewer than four thousand million attempts")
}

/// Removes references that have kept their commits for long enough. One without a note gets one, and counts from now.
pub(crate) fn expire(
    settings: &WorktreeSettings,
    repo: &gix::Repository,
    dry_run: bool,
) -> Result<Vec<Pruned>, GitError> {
    let mut known = Vec::new();
    for reference in repo.references()?.prefixed(PREFIX)? {
        let reference = reference?;
        if let Some(id) = reference.target().try_id() {
            known.push((reference.name().to_owned(), id.to_owned()));
        }
    }
    let (mut expired, mut going) = (Vec::new(), Vec::new());
    for (full, commit) in &known {
        let full_text = full.as_bstr().to_str_lossy().into_owned();
        let note = Note::of(settings, full_text.strip_prefix(PREFIX).unwrap_or(&full_text));
        match note.age(*commit)? {
            Some(age) if age <= RETENTION => {}
            Some(_) if dry_run => expired.push(Pruned::Expired { reference: full_text }),
            Some(_) => going.push((full.as_ref(), *commit, note)),
            None if dry_run => {}
            None => note.write(*commit)?,
        }
    }
    let references: Vec<_> = going.iter().map(|(full, commit, _)| (*full, *commit)).collect();
    for ((full, _, note), deleted) in going.iter().zip(refs::delete_all(repo, &references)?) {
        if deleted? {
            note.remove()?;
            expired.push(Pruned::Expired { reference: full.as_bstr().to_str_lossy().into_owned() });
        }
    }
    Ok(expired)
}

/// The time from which a reference has kept a commit.
struct Note(PathBuf);

impl Note {
    fn of(settings: &WorktreeSettings, name: &str) -> Self {
        Self(settings.state.join("discarded").join(name))
    }

    fn write(&self, commit: ObjectId) -> Result<(), GitError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder).map_err(GitError::io("create", folder))?;
        }
        ordinary::write(&self.0, format!("{commit} {}\n", now.as_secs())).map_err(GitError::io("write", &self.0))
    }

    /// Time for which it has kept this commit, by its content or by the time of the file, whichever is less; `None` without a
    /// valid note, as after a crash. A time in the future counts as zero.
    fn age(&self, commit: ObjectId) -> Result<Option<Duration>, GitError> {
        let text = match ordinary::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(GitError::io("read", &self.0))?,
        };
        let Some((id, seconds)) = text.strip_suffix('\n').and_then(|line| line.split_once(' ')) else {
            return Ok(None);
        };
        let Ok(seconds) = seconds.parse() else { return Ok(None) };
        if ObjectId::from_hex(id.as_bytes()).ok() != Some(commit) {
            return Ok(None);
        }
        let written = self.0.metadata().and_then(|metadata| metadata.modified());
        let written = written.map_err(GitError::io("look at", &self.0))?;
        let said = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let age = |since: SystemTime| since.elapsed().unwrap_or_default();
        Ok(Some(age(written).min(age(said))))
    }

    fn remove(&self) -> Result<(), GitError> {
        fs::remove_file(&self.0).map_err(GitError::io("remove", &self.0))?;
        self.0.ancestors().skip(1).take(2).try_for_each(|folder: &Path| remove_if_empty(folder))
    }
}
