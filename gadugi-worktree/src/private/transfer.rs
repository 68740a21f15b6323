//! The way of objects from a quarantine into the repository: as a pack that git makes there, and takes in here as it takes in
//! what it fetches from a stranger.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use gix::ObjectId;

use crate::error::GitError;
use crate::private::git::{Git, finish};
use crate::private::quarantine::{MOST_BYTES, Quarantine};

/// Packs with fewer objects are taken apart, as by `git fetch`.
const FEW: u32 = 100;

/// Brings what these commits need into the repository. Nothing refers to it then.
pub(super) fn transfer(
    quarantine: &Quarantine,
    common_dir: &Path,
    tips: &[ObjectId],
    known: &[ObjectId],
    deadline: Instant,
) -> Result<(), GitError> {
    let input = quarantine.file_with(&revisions(tips, known))?;
    // What the repository has, for whatever reason, is not packed.
    let args = ["pack-objects", "--revs", "--stdout", "--thin", "--local", "--delta-base-offset", "-q"];
    let mut packing = quarantine.git().start(&args, input.into(), Stdio::piped())?;
    let Some(mut pack) = packing.stdout() else { return finish([packing]) };
    let header = packing.first_bytes(&mut pack, 12)?;
    let (Some(version), Some(count)) = (number(&header, 4), number(&header, 8)) else {
        drop(pack);
        return finish([packing]);
    };
    let header = format!("--pack_header={version},{count}");
    let most = format!("--max-input-size={MOST_BYTES}");
    let git = Git::new(common_dir, deadline);
    let taking: &[&str] = if count < FEW {
        &["unpack-objects", "-q", "--strict", &header, &most]
    } else {
        &["index-pack", "--stdin", "--fix-thin", "--strict", &header, &most]
    };
    let taking = git.start(taking, pack.into(), Stdio::null())?;
    finish([packing, taking])
}

/// Makes sure that the repository has everything that can be reached from these commits and not from those which it is
/// known to have in full.
pub(super) fn check(
    quarantine: &Quarantine,
    common_dir: &Path,
    tips: &[ObjectId],
    known: &[ObjectId],
    deadline: Instant,
) -> Result<(), GitError> {
    let input = quarantine.file_with(&revisions(tips, known))?;
    Git::new(common_dir, deadline).run(&["rev-list", "--objects", "--quiet", "--stdin"], input.into())
}

fn revisions(tips: &[ObjectId], known: &[ObjectId]) -> String {
    let tips = tips.iter().map(|id| format!("{id}\n"));
    tips.chain(known.iter().map(|id| format!("^{id}\n"))).collect()
}

/// A number in the header of a pack.
fn number(header: &[u8], at: usize) -> Option<u32> {
    header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}
