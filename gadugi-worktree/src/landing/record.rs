//! The record of a landing, in the folder `landings/<merge>` of the state folder.
//!
//! `order` says what is to be done, `acting` what is about to be changed, and `result` how it has ended. Each is complete on the
//! disk before the next step.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use gadugi_core::merge::Landing;
use gadugi_core::{BranchName, MergeId};
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice, ByteVec};

use crate::error::GitError;
use crate::files::ordinary;
use crate::files::paths::remove_if_empty;
use crate::repo::ids::to_commit;

/// The folder of a landing.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
}

/// A landing that is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) branch: BranchName,
    pub(super) old: Option<ObjectId>,
    pub(super) new: ObjectId,
}

/// A work tree whose files are about to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acting {
    pub(super) folder: PathBuf,
    pub(super) git_dir: PathBuf,
    /// The hash of the content of its index.
    pub(super) index: ObjectId,
    /// Files that differ between the two commits, and that stay as they are.
    pub(super) kept: Vec<BString>,
    /// Files that the user has deleted.
    pub(super) missing: Vec<BString>,
}

/// How a landing has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Landed { followed: Vec<PathBuf> },
    Moved { now: Option<ObjectId> },
    Blocked { worktree: PathBuf, reason: String, files: Vec<String> },
    Failed { message: String, is_no_room: bool },
}

impl Outcome {
    pub(super) fn into_landing(self) -> Result<Landing, GitError> {
        match self {
            Self::Landed { followed } => Ok(Landing::Landed { followed }),
            Self::Moved { now } => Ok(Landing::Moved { now: now.map(to_commit) }),
            Self::Blocked { worktree, reason, files } => Ok(Landing::Blocked { worktree, reason, files }),
            Self::Failed { message, is_no_room } => Err(GitError::LandingFailed { message, is_no_room }),
        }
    }
}

impl Place {
    pub(super) fn of(state: &Path, merge: &MergeId) -> Self {
        Self { folder: state.join("landings").join(merge.as_str()) }
    }

    /// Whether something may be between the two commits.
    pub(super) fn is_acting(&self) -> bool {
        self.folder.join("acting").symlink_metadata().is_ok()
    }

    pub(super) fn has_order(&self) -> bool {
        self.folder.join("order").symlink_metadata().is_ok()
    }

    /// The index apart of a work tree, by its number.
    pub(super) fn index(&self, number: usize) -> PathBuf {
        self.folder.join(format!("index-{number}"))
    }

    pub(super) fn write_order(&self, order: &Order) -> Result<(), GitError> {
        fs::create_dir_all(&self.folder).map_err(GitError::io("create", &self.folder))?;
        let mut text = Text::default();
        text.line("branch", order.branch.as_str());
        order.old.iter().for_each(|old| text.line("old", old.to_string()));
        text.line("new", order.new.to_string());
        self.write("order", &text)
    }

    pub(super) fn read_order(&self) -> Result<Option<Order>, GitError> {
        let Some(lines) = self.read("order")? else { return Ok(None) };
        let (mut branch, mut old, mut new) = (None, None, None);
        for (name, value) in lines {
            match &*name {
                "branch" => branch = Some(value.to_string().parse()?),
                "old" => old = ObjectId::from_hex(&value).ok(),
                "new" => new = ObjectId::from_hex(&value).ok(),
                _ => {}
            }
        }
        let damaged = || self.damaged("order");
        Ok(Some(Order { branch: branch.ok_or_else(damaged)?, old, new: new.ok_or_else(damaged)? }))
    }

    pub(super) fn write_acting(&self, all: &[Acting]) -> Result<(), GitError> {
        let mut text = Text::default();
        for one in all {
            text.line("worktree", gix::path::into_bstr(&one.folder)?.as_bytes());
            text.line("git-dir", gix::path::into_bstr(&one.git_dir)?.as_bytes());
            text.line("index", one.index.to_string());
            one.kept.iter().for_each(|path| text.line("kept", path));
            one.missing.iter().for_each(|path| text.line("missing", path));
        }
        self.write("acting", &text)
    }

    pub(super) fn read_acting(&self) -> Result<Option<Vec<Acting>>, GitError> {
        let Some(lines) = self.read("acting")? else { return Ok(None) };
        let mut all: Vec<Acting> = Vec::new();
        for (name, value) in lines {
            if name == "worktree" {
                let folder = gix::path::from_bstring(value).map_err(|_| self.damaged("acting"))?;
                let index = ObjectId::null(gix::hash::Kind::Sha1);
                let git_dir = PathBuf::new();
                all.push(Acting { folder, git_dir, index, kept: Vec::new(), missing: Vec::new() });
                continue;
            }
            let one = all.last_mut().ok_or_else(|| self.damaged("acting"))?;
            match &*name {
                "git-dir" => one.git_dir = gix::path::from_bstring(value).map_err(|_| self.damaged("acting"))?,
                "index" => one.index = ObjectId::from_hex(&value).map_err(|_| self.damaged("acting"))?,
                "kept" => one.kept.push(value),
                "missing" => one.missing.push(value),
                _ => {}
            }
        }
        Ok(Some(all))
    }

    /// Notes that nothing is changed any more.
    pub(super) fn remove_acting(&self) -> Result<(), GitError> {
        remove(&self.folder.join("acting"))
    }

    pub(super) fn write_result(&self, outcome: &Outcome) -> Result<(), GitError> {
        let mut text = Text::default();
        match outcome {
            Outcome::Landed { followed } => {
                text.line("end", "landed");
                for folder in followed {
                    text.line("followed", gix::path::into_bstr(folder)?.as_bytes());
                }
            }
            Outcome::Moved { now } => {
                text.line("end", "moved");
                now.iter().for_each(|now| text.line("now", now.to_string()));
            }
            Outcome::Blocked { worktree, reason, files } => {
                text.line("end", "blocked");
                text.line("worktree", gix::path::into_bstr(worktree)?.as_bytes());
                text.line("reason", reason);
                files.iter().for_each(|file| text.line("file", file));
            }
            Outcome::Failed { message, is_no_room } => {
                text.line("end", "failed");
                text.line("message", message);
                text.line("no-room", is_no_room.to_string());
            }
        }
        self.write("result", &text)
    }

    pub(super) fn read_result(&self) -> Result<Option<Outcome>, GitError> {
        let Some(lines) = self.read("result")? else { return Ok(None) };
        let all =
            |wanted: &'static str| lines.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.clone());
        let one = |wanted: &'static str| all(wanted).next();
        let text = |wanted: &'static str| one(wanted).unwrap_or_default().to_str_lossy().into_owned();
        let path = |value: BString| gix::path::from_bstring(value).map_err(|_| self.damaged("result"));
        Ok(Some(match &*text("end") {
            "landed" => Outcome::Landed { followed: all("followed").map(path).collect::<Result<_, _>>()? },
            "moved" => Outcome::Moved { now: one("now").and_then(|now| ObjectId::from_hex(&now).ok()) },
            "blocked" => Outcome::Blocked {
                worktree: path(one("worktree").unwrap_or_default())?,
                reason: text("reason"),
                files: all("file").map(|file| file.to_str_lossy().into_owned()).collect(),
            },
            "failed" => Outcome::Failed { message: text("message"), is_no_room: text("no-room") == "true" },
            _ => return Err(self.damaged("result")),
        }))
    }

    /// Removes the record, and all that lies beside it.
    pub(super) fn remove(&self) -> Result<(), GitError> {
        // The order last, since it is what the others belong to.
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(GitError::io("list", &self.folder))?,
        };
        for entry in entries {
            let path = entry.map_err(GitError::io("list", &self.folder))?.path();
            if path.file_name().is_some_and(|name| name != "order") {
                remove(&path)?;
            }
        }
        remove(&self.folder.join("order"))?;
        remove_if_empty(&self.folder)?;
        self.folder.parent().map_or(Ok(()), remove_if_empty)
    }

    fn write(&self, name: &str, text: &Text) -> Result<(), GitError> {
        let (path, new) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        let failed = || GitError::io("write", &path);
        let mut file = ordinary::create(&new).map_err(failed())?;
        file.write_all(&text.0).and_then(|()| file.sync_all()).map_err(failed())?;
        fs::rename(&new, &path).map_err(failed())?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed())
    }

    /// The lines of a record, each a name and a value; `None` where there is none.
    fn read(&self, name: &str) -> Result<Option<Vec<(String, BString)>>, GitError> {
        let path = self.folder.join(name);
        let text = match ordinary::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(GitError::io("read", &path))?,
        };
        let mut lines = Vec::new();
        for line in text.lines() {
            let (name, value) = line.split_once_str(" ").ok_or_else(|| self.damaged(name))?;
            lines.push((name.to_str_lossy().into_owned(), unescape(value)));
        }
        Ok(Some(lines))
    }

    fn damaged(&self, name: &str) -> GitError {
        GitError::NotGits { path: self.folder.join(name), what: "no record of a landing" }
    }
}

/// Lines of a name and a value.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn line(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.push_str(name);
        self.0.push(b' ');
        let value = value.as_ref().replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D");
        self.0.push_str(value);
        self.0.push(b'\n');
    }
}

fn unescape(value: &[u8]) -> BString {
    value.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%").into()
}

fn remove(file: &Path) -> Result<(), GitError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(GitError::io("remove", file)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place { folder: folder.path().join("20261122-083355-k7q") };
        let id = |digit: &str| ObjectId::from_hex(digit.repeat(40).as_bytes()).expect("an id");
        for old in [None, Some(id("1"))] {
            let order = Order { branch: "a/b".parse().expect("a name"), old, new: id("2") };
            place.write_order(&order).expect("it is written");
            assert_eq!(place.read_order().expect("it is read"), Some(order));
        }
        let acting = |folder: &str| Acting {
            folder: folder.into(),
            git_dir: "/x/.git".into(),
            index: id("3"),
            kept: vec!["a\nb".into(), "100%".into()],
            missing: vec!["c d".into()],
        };
        let all = vec![acting("/one"), acting("/two\r\n%0A")];
        place.write_acting(&all).expect("it is written");
        assert_eq!(place.read_acting().expect("it is read"), Some(all));
        for outcome in [
            Outcome::Landed { followed: vec!["/one".into(), "/two".into()] },
            Outcome::Moved { now: None },
            Outcome::Moved { now: Some(id("4")) },
            Outcome::Blocked { worktree: "/w".into(), reason: "a b".into(), files: vec!["x".into()] },
            Outcome::Failed { message: "a\nb".into(), is_no_room: true },
        ] {
            place.write_result(&outcome).expect("it is written");
            assert_eq!(place.read_result().expect("it is read"), Some(outcome));
        }
        place.remove().expect("it goes");
        assert!(!place.folder.exists() && !place.has_order());
    }
}
