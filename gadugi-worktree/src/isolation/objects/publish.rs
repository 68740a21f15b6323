//! The last step of the transfer: from a repository of ours, where objects were checked, to the user's.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gadugi_core::crash_point;
use gix::ObjectId;
use gix::hash::Kind;
use gix::odb::loose::Store;

use crate::error::GitError;

/// The mode bit that git sets on a shared folder, so that files in it belong to its group.
const SET_GID: u32 = 0o2000;

/// Moves the files of objects from one folder to another, so that they survive a loss of power. Objects that need others come
/// after them as far as their kinds tell, and the index of a pack, by which git sees it, comes last. Existing files stay as
/// they are. `shared` is `core.sharedRepository`, as git keeps it in memory.
pub(super) fn move_objects(from: &Path, to: &Path, kind: Kind, shared: i32) -> Result<(), GitError> {
    let mut files = Vec::new();
    let store = Store::at(from, kind);
    for folder in list(from)? {
        let name = folder.file_name().unwrap_or_default().to_owned();
        if name != "pack" && name.len() != 2 {
            continue;
        }
        for file in list(&folder)? {
            let last = file.file_name().unwrap_or_default().to_owned();
            let rank = if name == "pack" { u8::from(file.extension() == Some(OsStr::new("idx"))) } else { 0 };
            let id = ObjectId::from_hex(&[name.as_encoded_bytes(), last.as_encoded_bytes()].concat()).ok();
            let header = id.map(|id| store.try_header(&id)).transpose().ok().flatten().flatten();
            let rank = header.map_or(rank, |(_, kind)| match kind {
                gix::objs::Kind::Blob => 0,
                gix::objs::Kind::Tree => 1,
                gix::objs::Kind::Commit => 2,
                gix::objs::Kind::Tag => 3,
            });
            files.push((rank, name.clone(), last, file));
        }
    }
    files.sort();
    let mut folders: Vec<PathBuf> = Vec::new();
    for (_, folder, name, file) in files {
        let folder = to.join(folder);
        if !folders.contains(&folder) {
            make_folder(&folder, shared)?;
            folders.push(folder.clone());
        }
        move_file(&file, &folder.join(name), shared)?;
        crash_point("import-object-moved");
    }
    folders.iter().map(PathBuf::as_path).chain([to]).try_for_each(sync)
}

fn make_folder(folder: &Path, shared: i32) -> Result<(), GitError> {
    match DirBuilder::new().create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(GitError::io("create", folder)(error)),
        Ok(()) if shared == 0 => Ok(()),
        Ok(()) => share(folder, shared),
    }
}

fn move_file(from: &Path, to: &Path, shared: i32) -> Result<(), GitError> {
    if shared == 0 {
        sync(from)?;
        // Unlike a rename, a link never takes the place of what is there, which holds the same, and may be in use.
        match fs::hard_link(from, to) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(_) => {}
        }
    }
    if to.symlink_metadata().is_ok() {
        return Ok(());
    }
    // Another file system, or one without links; or the file has to belong to the group of the folder. Git takes a name that
    // begins so for one that was left, and removes it some day.
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let near = to.with_file_name(format!("tmp_obj_{}_{name}", std::process::id()));
    fs::copy(from, &near).map_err(GitError::io("copy", from))?;
    if shared != 0 {
        share(&near, shared)?;
    }
    sync(&near)?;
    match fs::hard_link(&near, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            fs::rename(&near, to).map_err(GitError::io("rename", &near))
        }
        _ => fs::remove_file(&near).map_err(GitError::io("remove", &near)),
    }
}

/// Gives a file or folder the permissions of a shared repository.
fn share(path: &Path, shared: i32) -> Result<(), GitError> {
    let metadata = path.symlink_metadata().map_err(GitError::io("look at", path))?;
    let mode = shared_mode(metadata.permissions().mode(), metadata.is_dir(), shared);
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(GitError::io("share", path))
}

/// The mode as git computes it: a negative value replaces the mode, another one is added to it.
fn shared_mode(mode: u32, is_folder: bool, shared: i32) -> u32 {
    let mode = mode & 0o7777;
    let mut bits = shared.unsigned_abs();
    if mode & 0o200 == 0 {
        bits &= !0o222;
    }
    if mode & 0o100 != 0 {
        bits |= (bits & 0o444) >> 2;
    }
    let mode = if shared < 0 { (mode & !0o777) | bits } else { mode | bits };
    if is_folder { mode | ((mode & 0o444) >> 2) | SET_GID } else { mode }
}

fn sync(path: &Path) -> Result<(), GitError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(GitError::io("sync", path))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, GitError> {
    let failed = || GitError::io("list", folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        found.push(entry.map_err(failed())?.path());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_as_it_is_and_nothing_else_is_left() {
        for shared in [0, 0o660] {
            let root = tempfile::tempdir().expect("a folder");
            let (from, to) = (root.path().join("from"), root.path().join("to"));
            for (folder, name, text) in
                [(&from, "one", "new"), (&from, "two", "new"), (&to, "one", "old"), (&to, "three", "old")]
            {
                fs::create_dir_all(folder.join("ab")).expect("a folder");
                fs::write(folder.join("ab").join(name), text).expect("a file");
            }
            move_objects(&from, &to, Kind::Sha1, shared).expect("they are moved");
            let read = |name: &str| fs::read_to_string(to.join("ab").join(name)).expect("a file");
            assert_eq!([read("one"), read("two"), read("three")], ["old", "new", "old"]);
            assert_eq!(list(&to.join("ab")).expect("a list").len(), 3);
        }
    }
}
