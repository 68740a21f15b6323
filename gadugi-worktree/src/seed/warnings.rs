//! Warnings about named files that were not copied: a sentence for each reason, for any number of files.

use std::collections::BTreeMap;

/// A reason why a file is not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Warning {
    /// The files to copy could not be determined.
    NotFound,
    /// It is neither tracked nor ignored.
    NotIgnored,
    /// It, or a folder, cannot be read.
    Unreadable,
    /// It is a pipe, a socket or a device.
    Special,
    /// The worktree's commit does not ignore it.
    NotIgnoredThere,
    /// Only the user's own configuration ignores it.
    IgnoredByUserOnly,
    /// Another file is in its place, or on the way to it.
    InTheWay,
}

impl Warning {
    /// The sentence, before and after the files.
    fn around(self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => ("nothing is copied into worktrees, since it cannot be told what there is: ", ""),
            Self::NotIgnored => (
                "not copied into worktrees, since git would commit it there: ",
                "; name it in .gitignore or .git/info/exclude",
            ),
            Self::Unreadable => {
                ("not copied into worktrees, since it cannot be read: ", "; let yourself read it, or take it out")
            }
            Self::Special => ("not copied into worktrees, since it is a pipe, a socket or a device: ", ""),
            Self::NotIgnoredThere => (
                "not copied into the worktree, since the commit that it starts from does not ignore it: ",
                "; commit the .gitignore that does, or name it in .git/info/exclude",
            ),
            Self::IgnoredByUserOnly => (
                "not copied into the worktree, since only your own git configuration ignores it, which a task need not see: ",
                "; name it in .gitignore or .git/info/exclude",
            ),
            Self::InTheWay => {
                ("not copied into the worktree, since something else is in its place there: ", "; rename one of them")
            }
        }
    }
}

/// Number of files that are named for one reason.
const MAX_NAMED: usize = 3;

/// All warnings of one walk, or of one worktree.
#[derive(Debug, Default)]
pub(super) struct Warnings(BTreeMap<Warning, (Vec<String>, u64)>);

impl Warnings {
    pub(super) fn note(&mut self, warning: Warning, what: impl Into<String>) {
        let (named, all) = self.0.entry(warning).or_default();
        *all += 1;
        if named.len() < MAX_NAMED {
            named.push(what.into());
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for (warning, (named, all)) in other.0 {
            let (known, sum) = self.0.entry(warning).or_default();
            *sum += all;
            known.extend(named.into_iter().take(MAX_NAMED.saturating_sub(known.len())));
        }
    }

    pub(super) fn into_messages(self) -> Vec<String> {
        let message = |(warning, (named, all)): (Warning, (Vec<String>, u64))| {
            let (before, after) = warning.around();
            let more = all - named.len() as u64;
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("{before}{}{more}{after}", named.join(", "))
        };
        self.0.into_iter().map(message).collect()
    }
}
