//! References that keep commits of an attempt in isolation that are not on its branch:
//! `refs/gadugi/kept/<run>/<task>/<attempt>/` and the name of its branch, `stash`, or `HEAD`.

use std::collections::BTreeMap;

use gadugi_core::Lease;
use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::refs::FullName;

use crate::durable;
use crate::error::GitError;
use crate::history::is_ancestor;
use crate::repo::refs;

/// Length limit for names: file systems have none that are much longer.
const MAX_NAME_LENGTH: usize = 200;

/// The kept references of an attempt.
pub(super) struct Kept {
    prefix: String,
    /// The commits, by the part of the name after the prefix.
    known: BTreeMap<BString, ObjectId>,
}

/// The full names of all kept references of an attempt.
pub(crate) fn names(repo: &gix::Repository, lease: &Lease) -> Result<Vec<String>, GitError> {
    let kept = Kept::of(repo, lease)?;
    Ok(kept.known.keys().map(|name| format!("{}{name}", kept.prefix)).collect())
}

/// The same, each with its commit.
pub(crate) fn names_and_commits(repo: &gix::Repository, lease: &Lease) -> Result<Vec<(String, ObjectId)>, GitError> {
    let Kept { prefix, known } = Kept::of(repo, lease)?;
    Ok(known.into_iter().map(|(name, commit)| (format!("{prefix}{name}"), commit)).collect())
}

/// Keeps commits of an attempt that no other reference leads to, with a name for each.
pub(crate) fn keep(repo: &gix::Repository, lease: &Lease, commits: Vec<(BString, ObjectId)>) -> Result<(), GitError> {
    if commits.is_empty() {
        return Ok(());
    }
    let mut kept = Kept::of(repo, lease)?;
    for (name, commit) in commits {
        kept.keep(repo, name.as_bstr(), commit)?;
    }
    Ok(())
}

impl Kept {
    pub(super) fn of(repo: &gix::Repository, lease: &Lease) -> Result<Self, GitError> {
        let prefix = format!("refs/gadugi/kept/{}/{}/{}/", lease.run, lease.attempt.task, lease.attempt.number);
        let mut known = BTreeMap::new();
        let references = repo.references()?;
        // gix refuses to look below the names of Windows devices, such as `con`, on every system.
        let found = references.prefixed(prefix.as_str()).or_else(|_| references.prefixed("refs/gadugi/kept/"))?;
        for reference in found {
            let reference = reference?;
            let name = reference.name().as_bstr().strip_prefix(prefix.as_bytes()).map(BString::from);
            if let (Some(name), Some(id)) = (name, reference.target().try_id()) {
                known.insert(name, id.to_owned());
            }
        }
        Ok(Self { prefix, known })
    }

    /// The commits that are kept.
    pub(super) fn commits(&self) -> impl Iterator<Item = ObjectId> {
        self.known.values().copied()
    }

    /// Keeps a commit under a name like the given one, which may be anything that the task has called a branch. Returns the
    /// full reference.
    pub(super) fn keep(&mut self, repo: &gix::Repository, name: &BStr, commit: ObjectId) -> Result<String, GitError> {
        if let Some((name, _)) = self.known.iter().find(|(_, kept)| **kept == commit) {
            return Ok(format!("{}{name}", self.prefix));
        }
        let wanted = self.usable(name);
        for number in 1_u32.. {
            let mut name = wanted.clone();
            if number > 1 {
                name.extend_from_slice(format!("@{number}").as_bytes());
            }
            let from = match self.known.get(&name) {
                Some(kept) if is_ancestor(repo, *kept, commit)? => Some(*kept),
                Some(_) => continue,
                None => None,
            };
            let full = self.full(&name).ok_or_else(|| GitError::NoReference { name: name.to_string() })?;
            if refs::set(repo, full.as_ref(), from, commit, "gadugi: kept")? {
                durable::references(repo, [full.as_ref()])?;
                self.known.insert(name, commit);
                return Ok(full.to_string());
            }
        }
        unreachable!("cannot happen because an attempt has fewer than four thousand million branches")
    }

    /// A name that git allows below the prefix, beside those that are there.
    fn usable(&self, name: &BStr) -> BString {
        let mut usable = gix::validate::reference::name_partial_or_sanitize(name);
        if usable.len() > MAX_NAME_LENGTH || self.full(&usable).is_none() {
            usable = "renamed".into();
        }
        // Git keeps `a` and `a/b` at one path, so it cannot have both.
        let is_above =
            |a: &BString, b: &BString| b.strip_prefix(a.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
        if self.known.keys().any(|known| is_above(known, &usable) || is_above(&usable, known)) {
            usable = usable.replace("/", "-").into();
            while self.known.keys().any(|known| is_above(&usable, known)) {
                usable.extend_from_slice(b"-");
            }
        }
        usable
    }

    fn full(&self, name: &BString) -> Option<FullName> {
        let mut full = BString::from(self.prefix.as_str());
        full.extend_from_slice(name);
        FullName::try_from(full).ok()
    }
}
