//! The rules for ignored files, as git applies them, and whether they are the user's.

use std::path::{Path, PathBuf};

use gix::bstr::{BStr, BString, ByteSlice};
use gix::glob::pattern::Case;
use gix::glob::search::pattern;
use gix::ignore::search::{Ignore, pattern_matching_relative_path};

use crate::error::GitError;
use crate::inspect::UserRules;

pub(super) type List = pattern::List<Ignore>;

/// The verdict of rules on a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is not ignored.
    Open,
    /// It is ignored, but not by rules of the user's alone.
    Hidden,
    /// It is ignored by rules of the user's.
    Ignored,
}

/// The rules that ignore a folder, and with it all that is in it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    /// By all rules, as git sees it.
    by_any: bool,
    /// By the rules of the user's alone.
    by_users: bool,
}

impl Fate {
    /// The fate of a file in a folder that the user's rules ignore.
    pub(super) fn of_users() -> Self {
        Self { by_any: true, by_users: true }
    }

    pub(super) fn verdict(self) -> Verdict {
        match (self.by_any, self.by_users) {
            (false, _) => Verdict::Open,
            (true, false) => Verdict::Hidden,
            (true, true) => Verdict::Ignored,
        }
    }
}

/// The rules that hold in the whole work tree.
pub(super) struct Everywhere {
    /// The current lists, by precedence.
    now: Vec<List>,
    /// The user's lists before the run; `None` where they are the same.
    users: Option<Vec<List>>,
    case: Case,
}

impl Everywhere {
    pub(super) fn of(rules: &UserRules) -> Result<Self, GitError> {
        let lists = |files: &[Vec<u8>]| files.iter().map(|file| list(file, PathBuf::new(), None)).collect();
        let users = (rules.before != rules.now).then(|| lists(&rules.before)).transpose()?;
        let case = if rules.ignores_case { Case::Fold } else { Case::Sensitive };
        Ok(Self { now: lists(&rules.now)?, users, case })
    }
}

fn list(text: &[u8], source: PathBuf, root: Option<&Path>) -> Result<List, GitError> {
    let parse = Ignore { support_precious: false };
    List::from_bytes(text, source, root, parse).map_err(|error| gix::Error::from_error(error).into())
}

/// The rules that hold in a folder: those of its own file, of the folders above it, and those that hold everywhere.
pub(super) struct Level<'a> {
    everywhere: &'a Everywhere,
    above: Option<&'a Level<'a>>,
    own: Option<List>,
    /// Whether its own rules are the user's: they are committed, or would be.
    is_users: bool,
}

impl<'a> Level<'a> {
    /// The level above the root.
    pub(super) fn top(everywhere: &'a Everywhere) -> Self {
        Self { everywhere, above: None, own: None, is_users: true }
    }

    /// A folder below, with the text of its `.gitignore`. One that git does not track and that ignores itself would be lost
    /// with the worktree, and so would all files that it ignores.
    pub(super) fn below(&'a self, folder: &BStr, text: Option<&[u8]>, is_tracked: bool) -> Result<Self, GitError> {
        let mut level = Self { everywhere: self.everywhere, above: Some(self), own: None, is_users: true };
        if let Some(text) = text {
            let path = joined(folder, b".gitignore".into());
            let source = gix::path::from_bstring(path.clone())?;
            level.own = Some(list(text, source, Some(Path::new("")))?);
            level.is_users = is_tracked || level.last_match(path.as_bstr(), false, false) != Some(true);
        }
        Ok(level)
    }

    /// The fate of a file or folder in this folder, which has a fate of its own.
    pub(super) fn fate(&self, above: Fate, path: &BStr, is_folder: bool) -> Fate {
        let by_any = above.by_any || self.last_match(path, is_folder, false) == Some(true);
        let by_users = match self.are_all_users() {
            // Both are the same then, but for what is above.
            true if above.by_any == above.by_users => by_any,
            _ => above.by_users || self.last_match(path, is_folder, true) == Some(true),
        };
        Fate { by_any, by_users }
    }

    /// Whether the last rule that matches a path ignores it; `None` where none matches.
    fn last_match(&self, path: &BStr, is_folder: bool, only_users: bool) -> Option<bool> {
        let name = path.rfind_byte(b'/').map(|slash| slash + 1);
        let ask = |list: &List| {
            let found = pattern_matching_relative_path(list, path, name, Some(is_folder), self.everywhere.case)?;
            Some(!found.pattern.is_negative())
        };
        let mut level = Some(self);
        while let Some(this) = level {
            let own = this.own.as_ref().filter(|_| this.is_users || !only_users);
            if let Some(answer) = own.and_then(ask) {
                return Some(answer);
            }
            level = this.above;
        }
        let Everywhere { now, users, .. } = self.everywhere;
        users.as_ref().filter(|_| only_users).unwrap_or(now).iter().find_map(ask)
    }

    fn are_all_users(&self) -> bool {
        let mut level = Some(self);
        while let Some(this) = level {
            if !this.is_users {
                return false;
            }
            level = this.above;
        }
        self.everywhere.users.is_none()
    }
}

/// The path of something in a folder, which is empty for the root.
pub(super) fn joined(folder: &BStr, name: &BStr) -> BString {
    let mut path = folder.to_owned();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
