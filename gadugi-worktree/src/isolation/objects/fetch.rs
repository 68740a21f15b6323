//! The transfer of objects from a task into the repository.
//!
//! They are copied into a first repository of our own. From there git packs those that are needed, and takes them into a second
//! one with the checks of a fetch from a stranger. When all are complete, the files of the second are moved to the user's
//! objects: no unchecked object ever lies there, not even unused.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use gadugi_core::crash_point;
use gix::ObjectId;
use gix::hash::Kind;

use crate::error::GitError;
use crate::isolation::create::objects_of;
use crate::isolation::objects::bare::Bare;
use crate::isolation::objects::git::{IMPORT_TIMEOUT, finish};
use crate::isolation::objects::publish::move_objects;
use crate::isolation::objects::quarantine::{self, MAX_BYTES};
use crate::isolation::untrusted_folder::Folder;

/// Number of objects below which a pack is unpacked, as by `git fetch`.
const MAX_LOOSE: u32 = 100;

/// Limit of objects from one attempt: each takes memory.
const MAX_OBJECTS: u32 = 1_000_000;

/// Commits that are to be brought into the repository.
pub(crate) struct Transfer<'a> {
    pub(crate) common_dir: &'a Path,
    /// The folder for our own repositories.
    pub(crate) quarantine: PathBuf,
    pub(crate) kind: Kind,
    /// `core.sharedRepository`, as git keeps it in memory.
    pub(crate) shared: i32,
    pub(crate) tips: &'a [ObjectId],
    /// Further objects; those of them that are complete are brought too.
    pub(crate) optional: &'a [ObjectId],
    /// Commits that are here with all that they need.
    pub(crate) known: &'a [ObjectId],
}

impl Transfer<'_> {
    /// Brings the commits, with all that they need, from a task's git folder; no reference leads to them yet. An interrupted
    /// transfer may have left holes, so it does not matter whether the commits themselves exist. Returns the further objects
    /// that came with them.
    pub(crate) fn run(&self, git: &Folder) -> Result<Vec<ObjectId>, GitError> {
        let deadline = Instant::now() + IMPORT_TIMEOUT;
        let make = |name: &str| Bare::make(self.quarantine.join(name), self.common_dir, self.kind, deadline);
        let (unchecked, checked) = (make("unchecked")?, make("checked")?);
        quarantine::copy(git, &unchecked)?;
        crash_point("import-quarantined");
        let mut optional = Vec::new();
        self.whole(&unchecked, self.optional, &mut optional)?;
        let all = [self.tips, &optional].concat();
        if all.is_empty() {
            return Ok(optional);
        }
        self.pack(&unchecked, &checked, &all)?;
        self.connect(&checked, &all)?;
        move_objects(&checked.objects(), &objects_of(self.common_dir), self.kind, self.shared)?;
        Ok(optional)
    }

    /// Finds the objects that are there with all that they need.
    fn whole(&self, repo: &Bare, ids: &[ObjectId], found: &mut Vec<ObjectId>) -> Result<(), GitError> {
        if ids.is_empty() {
            return Ok(());
        }
        match self.connect(repo, ids) {
            Ok(()) => found.extend_from_slice(ids),
            Err(GitError::Plumbing { .. }) if ids.len() > 1 => {
                let (first, second) = ids.split_at(ids.len() / 2);
                self.whole(repo, first, found)?;
                self.whole(repo, second, found)?;
            }
            Err(GitError::Plumbing { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Checks that everything is there that these objects need.
    fn connect(&self, repo: &Bare, ids: &[ObjectId]) -> Result<(), GitError> {
        let input = repo.file_with(&self.revisions(ids))?;
        repo.git().run(&["rev-list", "--objects", "--quiet", "--stdin"], input.into())
    }

    fn pack(&self, from: &Bare, to: &Bare, ids: &[ObjectId]) -> Result<(), GitError> {
        let input = from.file_with(&self.revisions(ids))?;
        // What the user's repository has, for whatever reason, is not packed.
        let args = ["pack-objects", "--revs", "--stdout", "--thin", "--local", "--delta-base-offset", "-q"];
        let mut packing = from.git().start(&args, input.into(), Stdio::piped())?;
        let Some(mut pack) = packing.stdout() else { return finish([packing]) };
        let header = packing.first_bytes(&mut pack, 12)?;
        let (Some(version), Some(count)) = (number(&header, 4), number(&header, 8)) else {
            drop(pack);
            return finish([packing]);
        };
        if count > MAX_OBJECTS {
            let path = self.common_dir.to_owned();
            return Err(GitError::TooMuch { path, most: u64::from(MAX_OBJECTS), of: "new objects" });
        }
        let header = format!("--pack_header={version},{count}");
        let most = format!("--max-input-size={MAX_BYTES}");
        let args: &[&str] = if count < MAX_LOOSE {
            &["unpack-objects", "-q", "--strict", &header, &most]
        } else {
            &["index-pack", "--stdin", "--fix-thin", "--strict", &header, &most]
        };
        let taking = to.git().start(args, pack.into(), Stdio::null())?;
        finish([packing, taking])
    }

    fn revisions(&self, ids: &[ObjectId]) -> String {
        let tips = ids.iter().map(|id| format!("{id}\n"));
        tips.chain(self.known.iter().map(|id| format!("^{id}\n"))).collect()
    }
}

/// A number in the header of a pack.
fn number(header: &[u8], at: usize) -> Option<u32> {
    header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}
