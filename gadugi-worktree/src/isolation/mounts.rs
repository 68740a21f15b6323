//! The mounts that a task needs for git to work in its worktree.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use gadugi_core::Lease;
use gadugi_core::executor::Mount;

use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::real;
use crate::isolation::create::objects_of;
use crate::isolation::layout::IsolationFolder;
use crate::settings::WorktreeSettings;

/// Depth limit for alternates of alternates, as in git.
const MAX_DEPTH: usize = 5;

/// The private git folder, and read-only the objects that it borrows and the file that leads to it.
pub(super) fn mounts(
    settings: &WorktreeSettings,
    lease: &Lease,
    isolated: &IsolationFolder,
) -> Result<Vec<Mount>, GitError> {
    let git = isolated.git();
    let kind = git.symlink_metadata().map_err(GitError::io("look at", &git))?;
    if !kind.is_dir() {
        return Err(GitError::NotGits { path: git, what: "no folder" });
    }
    let objects = objects_of(settings.repository.common_dir());
    let mut seen = BTreeSet::new();
    let mut mounts = vec![Mount { source: git.clone(), target: git, writable: true }];
    borrowed(objects, 0, &mut seen)?;
    mounts.extend(seen.into_iter().map(|target| Mount { source: real(&target), target, writable: false }));
    mounts.push(Mount { source: isolated.git_file(), target: lease.path.join(".git"), writable: false });
    Ok(mounts)
}

/// Adds a folder of objects and all that it borrows from, by the paths under which git looks for them.
fn borrowed(objects: PathBuf, depth: usize, seen: &mut BTreeSet<PathBuf>) -> Result<(), GitError> {
    // Git warns of one that is gone, and goes on.
    if depth > MAX_DEPTH || !objects.is_dir() || !seen.insert(objects.clone()) {
        return Ok(());
    }
    let file = objects.join("info/alternates");
    let text = match ordinary::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(GitError::io("read", &file))?,
    };
    for path in gix::odb::alternate::parse(&text)? {
        borrowed(without_dots(&objects.join(path)), depth + 1, seen)?;
    }
    Ok(())
}

/// A path without `.` and `..`, which are resolved as git does: by its text.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_borrowed_is_followed_as_git_does_also_in_a_circle_and_past_what_is_gone() {
        let root = tempfile::tempdir().expect("a folder");
        let objects = |name: &str| root.path().join(name).join("objects");
        let lists = [
            ("a", "# from b\n\n../../b/objects\n/nowhere\n".to_owned()),
            ("b", format!("\"{}\"\n{}/.\n", objects("c").display(), objects("a").display())),
            ("c", "../../c/objects\n".to_owned()),
        ];
        for (name, list) in &lists {
            fs::create_dir_all(objects(name).join("info")).expect("a folder");
            fs::write(objects(name).join("info/alternates"), list).expect("a list");
        }
        let mut seen = BTreeSet::new();
        borrowed(objects("a"), 0, &mut seen).expect("all folders");
        assert_eq!(seen, ["a", "b", "c"].map(objects).into());
    }
}
