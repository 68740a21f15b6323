//! What is named and was not copied, and why: a sentence for each reason, for however many files.

use std::collections::BTreeMap;

/// A reason why a file is not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// What to copy could not be found out.
    NotFound,
    /// It is neither tracked nor ignored.
    NotIgnored,
    /// It, or a folder, cannot be read.
    Unreadable,
    /// It is a pipe, a socket or a device.
    Special,
    /// What the worktree starts from does not ignore it.
    NotIgnoredThere,
    /// Only the user's own configuration ignores it.
    IgnoredByUserOnly,
    /// There is something else in its place, or on the way to it.
    InTheWay,
}

impl Trouble {
    /// The sentence, around what it is about.
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

/// How many files are named for one reason.
const MOST_NAMED: usize = 3;

/// All troubles of one walk, or of one worktree.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<Trouble, (Vec<String>, u64)>);

impl Troubles {
    pub(super) fn note(&mut self, trouble: Trouble, what: impl Into<String>) {
        let (named, all) = self.0.entry(trouble).or_default();
        *all += 1;
        if named.len() < MOST_NAMED {
            named.push(what.into());
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for (trouble, (named, all)) in other.0 {
            let (known, sum) = self.0.entry(trouble).or_default();
            *sum += all;
            known.extend(named.into_iter().take(MOST_NAMED.saturating_sub(known.len())));
        }
    }

    pub(super) fn into_messages(self) -> Vec<String> {
        let message = |(trouble, (named, all)): (Trouble, (Vec<String>, u64))| {
            let (before, after) = trouble.around();
            let more = all - named.len() as u64;
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("{before}{}{more}{after}", named.join(", "))
        };
        self.0.into_iter().map(message).collect()
    }
}
