//! Making a private git folder: plain files, and no process.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use gadugi_core::{BranchName, Lease, crash_point};

use crate::error::GitError;
use crate::files::paths::real;
use crate::isolation::config;
use crate::isolation::layout::IsolationFolder;
use crate::lease::admin_folder::Entry;
use crate::lease::marker::Marker;
use crate::repo::ids::to_commit;
use crate::repo::{branch, is_partial};
use crate::settings::WorktreeSettings;

/// Makes the private git folder of a lease on this branch.
pub(super) fn make(
    settings: &WorktreeSettings,
    lease: &Lease,
    branch: &BranchName,
    isolated: &IsolationFolder,
) -> Result<(), GitError> {
    let common_dir = settings.repository.common_dir();
    let entry = Entry::of_lease(common_dir, lease)?;
    let entry = entry.ok_or_else(|| GitError::NotAWorktree { path: lease.path.clone() })?;
    let repo = entry.open_with(&settings.repository.opener, common_dir, &[])?;
    if is_partial(&repo) {
        return Err(GitError::PartialClone);
    }
    let tip = branch::tip(&repo, branch)?.ok_or_else(|| GitError::BranchMissing { branch: branch.clone() })?;
    let note = Marker {
        run: lease.run.clone(),
        task: lease.attempt.task.clone(),
        attempt: Some(lease.attempt.number),
        branch: branch.clone(),
        start: lease.base.clone().unwrap_or_else(|| to_commit(tip)),
        in_the_making: false,
    };
    let config = config::text(&repo, &lease.path)?;
    let mut objects = gix::path::into_bstr(objects_of(common_dir))?.into_owned();
    if objects.contains(&b'\n') || objects.starts_with(b"\"") {
        return Err(GitError::UnnameablePath { path: objects_of(common_dir) });
    }
    objects.push(b'\n');
    let mut link = b"gitdir: ".to_vec();
    link.extend_from_slice(&gix::path::into_bstr(isolated.git())?);
    link.push(b'\n');
    isolated.make(|folder| {
        note.write(folder)?;
        write(&folder.join("gitfile"), &link)?;
        let git = folder.join("git");
        let (info, objects_info) = (git.join("info"), git.join("objects/info"));
        let reference = git.join(branch.full());
        let above = reference.parent().unwrap_or(&git);
        for folder in [&info, &objects_info, &git.join("objects/pack"), &git.join("refs/heads"), above] {
            let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(folder);
            made.map_err(GitError::io("create", folder))?;
        }
        write(&git.join("HEAD"), format!("ref: {}\n", branch.full()).as_bytes())?;
        write(&reference, format!("{tip}\n").as_bytes())?;
        write(&git.join("config"), &config)?;
        write(&objects_info.join("alternates"), &objects)?;
        for name in ["exclude", "attributes"] {
            copy(&common_dir.join("info").join(name), &info.join(name))?;
        }
        copy(&entry.admin.join("info/sparse-checkout"), &info.join("sparse-checkout"))?;
        copy(&common_dir.join("shallow"), &git.join("shallow"))?;
        copy(&entry.admin.join("index"), &git.join("index"))?;
        for shared in shared_indexes(&entry.admin)? {
            copy(&shared, &git.join(shared.file_name().unwrap_or_default()))?;
        }
        crash_point("isolation-half-made");
        Ok(())
    })
}

/// The folder of the repository's objects, without symbolic links on the way.
pub(super) fn objects_of(common_dir: &Path) -> PathBuf {
    real(&common_dir.join("objects"))
}

/// The shared index files of a worktree whose index is split.
fn shared_indexes(admin: &Path) -> Result<Vec<PathBuf>, GitError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(admin).map_err(GitError::io("list", admin))? {
        let entry = entry.map_err(GitError::io("list", admin))?;
        if entry.file_name().as_encoded_bytes().starts_with(b"sharedindex.") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn write(path: &Path, content: &[u8]) -> Result<(), GitError> {
    fs::write(path, content).map_err(GitError::io("write", path))
}

/// Copies a file of ours or of the user, where there is one.
fn copy(from: &Path, to: &Path) -> Result<(), GitError> {
    match fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::io("copy", from)(error)),
        _ => Ok(()),
    }
}
