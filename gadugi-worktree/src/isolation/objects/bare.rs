//! Bare repositories of our own, in which git may be run: they borrow the objects of the user's repository, and have nothing
//! else of the user's or a task's.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gix::bstr::ByteVec;
use gix::hash::Kind;

use crate::error::GitError;
use crate::files::ordinary;
use crate::isolation::create::objects_of;
use crate::isolation::layout::create_private;
use crate::isolation::objects::git::Git;

pub(super) struct Bare {
    folder: PathBuf,
    kind: Kind,
    deadline: Instant,
}

impl Bare {
    /// Makes one without objects of its own. Work in it has to end at the deadline.
    pub(super) fn make(folder: PathBuf, common_dir: &Path, kind: Kind, deadline: Instant) -> Result<Self, GitError> {
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
        // The history of a shallow repository ends where it says, not where a task says.
        let shallow = common_dir.join("shallow");
        match ordinary::read(&shallow) {
            Ok(text) => write("shallow", &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(GitError::io("read", &shallow)(error)),
        }
        Ok(Self { folder, kind, deadline })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.folder.join("objects")
    }

    pub(super) fn git(&self) -> Git {
        Git::new(&self.folder, self.deadline)
    }

    /// Whether the deadline has passed.
    pub(super) fn is_late(&self) -> bool {
        Instant::now() > self.deadline
    }

    /// A file in it with input for git.
    pub(super) fn file_with(&self, text: &str) -> Result<File, GitError> {
        let path = self.folder.join("input");
        fs::write(&path, text).map_err(GitError::io("write", &path))?;
        File::open(&path).map_err(GitError::io("open", &path))
    }
}
