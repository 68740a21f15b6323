//! The entries of `git stash` that were made in a worktree.
//!
//! All worktrees share one stash, and a user who applies an entry needs to know its worktree. So a worktree with stash entries
//! counts as one that holds work, although the stash itself outlives it.

use std::io;

use gadugi_core::Lease;
use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};

use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;
use crate::history::is_ancestor;
use crate::isolation;
use crate::repo::ids::to_object;

/// The stash entries of a worktree.
pub(crate) struct Stashed {
    /// In the stash that all worktrees share.
    pub(crate) shared: u64,
    /// In the stash of an isolated task, kept by references of their own.
    pub(crate) apart: u64,
    /// The revision of each entry for `git stash apply`, the latest first.
    pub(crate) revisions: Vec<String>,
}

/// The stash entries that were made on these branches of a lease, or with a detached `HEAD` on its commits, and those from
/// isolation.
pub(crate) fn entries(
    repo: &gix::Repository,
    lease: &Lease,
    branches: &[&BStr],
    head: Option<ObjectId>,
) -> Result<Stashed, GitError> {
    let log = real(repo.common_dir()).join("logs/refs/stash");
    let text = match ordinary::read(&log) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(GitError::io("read", &log)(error)),
    };
    let mut revisions = Vec::new();
    for line in text.lines() {
        let Some((ids, message)) = line.split_once_str("\t") else { continue };
        let is_its = match made_on(message.as_bstr()) {
            Some(name) if branches.contains(&name) => true,
            Some(name) if name == "(no branch)" => is_on_its_commits(repo, lease, ids.as_bstr(), head)?,
            _ => false,
        };
        if is_its && let Some(id) = ids.split_str(" ").nth(1) {
            revisions.push(id.to_str_lossy().into_owned());
        }
    }
    let shared = revisions.len() as u64;
    revisions.reverse();
    let kept = isolation::kept_refs(repo, lease)?;
    let in_isolation = kept.iter().filter(|name| {
        let last = name.rsplit('/').next().unwrap_or_default();
        last == "stash" || last.starts_with("stash@")
    });
    let in_isolation: Vec<String> = in_isolation.cloned().collect();
    let apart = in_isolation.len() as u64;
    revisions.extend(in_isolation);
    Ok(Stashed { shared, apart, revisions })
}

/// The branch in the message of an entry: `WIP on main: 1234567 Subject`, or `On main: what the user says`.
fn made_on(message: &BStr) -> Option<&BStr> {
    let rest = message.strip_prefix(b"WIP on ").or_else(|| message.strip_prefix(b"On "))?;
    Some(rest.split_once_str(": ")?.0.as_bstr())
}

/// Whether an entry was made on a commit of the lease's attempt, with no branch checked out.
fn is_on_its_commits(
    repo: &gix::Repository,
    lease: &Lease,
    ids: &BStr,
    head: Option<ObjectId>,
) -> Result<bool, GitError> {
    let entry = ids.split_str(" ").nth(1).and_then(|id| ObjectId::from_hex(id).ok());
    let (Some(entry), Some(base), Some(head)) = (entry, &lease.base, head) else { return Ok(false) };
    // One that was thrown away since may be gone.
    let Ok(entry) = repo.find_commit(entry) else { return Ok(false) };
    let Some(on) = entry.parent_ids().next().map(gix::Id::detach) else { return Ok(false) };
    Ok(on != to_object(base) && !is_ancestor(repo, on, to_object(base))? && is_ancestor(repo, on, head)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_of_an_entry_is_read_from_its_message() {
        let branch = |message: &'static str| made_on(message.into()).map(ToString::to_string);
        assert_eq!(branch("WIP on gadugi/a: 1234567 Begin: again"), Some("gadugi/a".to_owned()));
        assert_eq!(branch("On gadugi/a: for later"), Some("gadugi/a".to_owned()));
        assert_eq!(branch("WIP on (no branch): 1234567 Begin"), Some("(no branch)".to_owned()));
        assert_eq!(branch("made by hand"), None);
    }
}
