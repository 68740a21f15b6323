//! Copies of a task's objects in a repository of our own: loose objects and packs, without the indexes of packs, which are made
//! anew.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::process::Stdio;

use crate::error::GitError;
use crate::isolation::layout::create_private;
use crate::isolation::objects::bare::Bare;
use crate::isolation::untrusted_folder::Folder;

/// Size limit of the objects of one attempt, on disk.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Limit for the number of files of objects. Git packs them long before.
const MAX_FILES: u64 = 1_000_000;

/// Copies all objects of a task's git folder into a repository of ours.
pub(super) fn copy(git: &Folder, to: &Bare) -> Result<(), GitError> {
    let Some(objects) = git.folder("objects")? else { return Ok(()) };
    let mut copying = Copying { to, bytes: 0, files: 0 };
    for first in objects.names(MAX_FILES)? {
        if first.len() == 2 && is_hex(&first) && is_folder(&objects, &first)? {
            copying.loose(&objects, &first)?;
        }
    }
    if is_folder(&objects, OsStr::new("pack"))?
        && let Some(packs) = objects.folder("pack")?
    {
        for name in packs.names(MAX_FILES)? {
            let id = name.to_str().and_then(|name| name.strip_prefix("pack-")?.strip_suffix(".pack"));
            if id.is_some_and(|id| id.len() == to.kind().len_in_hex() && is_hex(id)) {
                copying.pack(&packs, &name)?;
            }
        }
    }
    Ok(())
}

/// A copy in progress. Files that are passed over here, since they are no ordinary ones or not named like objects, are found
/// missing where they are needed.
struct Copying<'a> {
    to: &'a Bare,
    bytes: u64,
    files: u64,
}

impl Copying<'_> {
    fn loose(&mut self, objects: &Folder, first: &OsStr) -> Result<(), GitError> {
        let Some(from) = objects.folder(first)? else { return Ok(()) };
        let to = self.to.objects().join(first);
        create_private(&to)?;
        for name in from.names(MAX_FILES - self.files)? {
            if name.len() != self.to.kind().len_in_hex() - 2 || !is_hex(&name) || !is_file(&from, &name)? {
                continue;
            }
            if let Some((file, size)) = from.file(&name)? {
                self.admit(&from, &name, size)?;
                let path = to.join(&name);
                let mut copy = File::create_new(&path).map_err(GitError::io("create", &path))?;
                io::copy(&mut file.take(size), &mut copy).map_err(GitError::io("copy", &from.at(&name)))?;
            }
        }
        Ok(())
    }

    fn pack(&mut self, packs: &Folder, name: &OsStr) -> Result<(), GitError> {
        if is_file(packs, name)?
            && let Some((file, size)) = packs.file(name)?
        {
            self.admit(packs, name, size)?;
            let most = format!("--max-input-size={}", size.max(1));
            self.to.git().run(&["index-pack", "--stdin", &most], Stdio::from(file))?;
        }
        Ok(())
    }

    fn admit(&mut self, folder: &Folder, name: &OsStr, size: u64) -> Result<(), GitError> {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_BYTES {
            return Err(GitError::TooMuch { path: folder.at(name), most: MAX_BYTES, of: "bytes of objects" });
        }
        if self.to.is_late() {
            return Err(GitError::TookTooLong { command: "index-pack".into() });
        }
        Ok(())
    }
}

fn is_folder(folder: &Folder, name: &OsStr) -> Result<bool, GitError> {
    Ok(folder.kind(name)?.is_some_and(|kind| kind.is_dir()))
}

fn is_file(folder: &Folder, name: &OsStr) -> Result<bool, GitError> {
    Ok(folder.kind(name)?.is_some_and(|kind| kind.is_file()))
}

fn is_hex(name: impl AsRef<OsStr>) -> bool {
    name.as_ref().as_encoded_bytes().iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
