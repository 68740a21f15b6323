//! A bare repository of our own that holds copies of what a task has in its folder of objects: the objects themselves and
//! packs of them, and nothing that tells of them. Indexes of packs are made anew.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use gix::bstr::ByteVec;
use gix::hash::Kind;

use crate::aside;
use crate::error::GitError;
use crate::private::folder::Folder;
use crate::private::git::Git;
use crate::private::place::create_private;
use crate::private::seal::objects_of;

/// How much one attempt may bring, as it lies on disk.
pub(super) const MOST_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// How many files of objects it may have. Git packs them long before.
const MOST_FILES: u64 = 1_000_000;

/// It is deleted when this is dropped, or by the next one in its place.
pub(super) struct Quarantine {
    folder: PathBuf,
    kind: Kind,
    deadline: Instant,
    bytes: u64,
}

impl Quarantine {
    /// Makes an empty one that borrows from the repository, in a place of ours.
    pub(super) fn make(folder: PathBuf, common_dir: &Path, kind: Kind, deadline: Instant) -> Result<Self, GitError> {
        aside::delete(&folder)?;
        for below in ["objects/info", "objects/pack", "refs"] {
            create_private(&folder.join(below))?;
        }
        let write = |name: &str, text: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(GitError::io("write", &path))
        };
        let config = match kind {
            Kind::Sha256 => "[core]\nrepositoryformatversion = 1\nbare = true\n[extensions]\nobjectformat = sha256\n",
            _ => "[core]\nrepositoryformatversion = 0\nbare = true\n",
        };
        write("config", config.as_bytes())?;
        write("HEAD", b"ref: refs/heads/none\n")?;
        let mut objects = gix::path::into_bstr(objects_of(common_dir))?.into_owned();
        objects.push_byte(b'\n');
        write("objects/info/alternates", &objects)?;
        // The history of a shallow repository ends where it says, not where the task says.
        let shallow = common_dir.join("shallow");
        match fs::read(&shallow) {
            Ok(text) => write("shallow", &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(GitError::io("read", &shallow)(error)),
        }
        Ok(Self { folder, kind, deadline, bytes: 0 })
    }

    pub(super) fn git(&self) -> Git {
        Git::new(&self.folder, self.deadline)
    }

    /// A file in it with something that git is to read.
    pub(super) fn file_with(&self, text: &str) -> Result<File, GitError> {
        let path = self.folder.join("input");
        fs::write(&path, text).map_err(GitError::io("write", &path))?;
        File::open(&path).map_err(GitError::io("open", &path))
    }

    /// Copies all objects of a task's git folder.
    pub(super) fn take(&mut self, git: &Folder) -> Result<(), GitError> {
        let Some(objects) = git.folder("objects")? else { return Ok(()) };
        let mut files = 0;
        for first in objects.names(MOST_FILES)? {
            if first.len() == 2 && is_hex(&first) && is_folder(&objects, &first)? {
                files += self.take_loose(&objects, &first, MOST_FILES - files)?;
            }
        }
        if is_folder(&objects, OsStr::new("pack"))?
            && let Some(packs) = objects.folder("pack")?
        {
            for name in packs.names(MOST_FILES)? {
                let id = name.to_str().and_then(|name| name.strip_prefix("pack-")?.strip_suffix(".pack"));
                if id.is_some_and(|id| id.len() == self.kind.len_in_hex() && is_hex(id)) {
                    self.take_pack(&packs, &name)?;
                }
            }
        }
        Ok(())
    }

    /// What is missed since it is no file, or has no name of an object, is found missing where it is needed.
    fn take_loose(&mut self, objects: &Folder, first: &OsStr, most: u64) -> Result<u64, GitError> {
        let Some(from) = objects.folder(first)? else { return Ok(0) };
        let to = self.folder.join("objects").join(first);
        create_private(&to)?;
        let mut files = 0;
        for name in from.names(most)? {
            let is_object = name.len() == self.kind.len_in_hex() - 2 && is_hex(&name);
            if is_object && from.kind(&name)?.is_some_and(|kind| kind.is_file()) {
                files += 1;
                if let Some((file, size)) = from.file(&name)? {
                    self.admit(&from, &name, size)?;
                    let path = to.join(&name);
                    let mut copy = File::create_new(&path).map_err(GitError::io("create", &path))?;
                    io::copy(&mut file.take(size), &mut copy)
                        .map_err(GitError::io("copy", &from.path().join(&name)))?;
                }
            }
        }
        Ok(files)
    }

    fn take_pack(&mut self, packs: &Folder, name: &OsStr) -> Result<(), GitError> {
        if !packs.kind(name)?.is_some_and(|kind| kind.is_file()) {
            return Ok(());
        }
        if let Some((file, size)) = packs.file(name)? {
            self.admit(packs, name, size)?;
            let most = format!("--max-input-size={}", size.max(1));
            self.git().run(&["index-pack", "--stdin", &most], Stdio::from(file))?;
        }
        Ok(())
    }

    fn admit(&mut self, folder: &Folder, name: &OsStr, size: u64) -> Result<(), GitError> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MOST_BYTES {
            return Err(GitError::TooMuch { path: folder.path().join(name), most: MOST_BYTES, of: "bytes of objects" });
        }
        if Instant::now() > self.deadline {
            return Err(GitError::TookTooLong { command: "copy".into() });
        }
        Ok(())
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        // One that stays is deleted by the next import, or by prune.
        aside::delete(&self.folder).ok();
    }
}

fn is_folder(folder: &Folder, name: &OsStr) -> Result<bool, GitError> {
    Ok(folder.kind(name)?.is_some_and(|kind| kind.is_dir()))
}

fn is_hex(name: impl AsRef<OsStr>) -> bool {
    name.as_ref().as_encoded_bytes().iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
