//! Files that are ignored, but not by the user's rules.
//!
//! A `.gitignore` that is committed, or that is seen as changed or new and committed with the rest, counts, and git's rules
//! hold. One that ignores itself is neither: it would vanish with the worktree, and with it all files that it ignores. Such
//! files count as uncommitted, and so do those that are ignored by a rule which was added to `info/exclude` or
//! `core.excludesFile` since the run started, and a repository in an ignored folder.

use std::collections::BTreeSet;

use gadugi_core::worktrees::Unsaved;
use gix::bstr::BString;

/// Number of paths of a kind that are named.
const MAX_NAMED: usize = 10;

/// Such files, as paths in the worktree.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// Files and symbolic links.
    pub(crate) files: BTreeSet<BString>,
    /// Folders that are repositories of their own.
    pub(crate) nested: BTreeSet<BString>,
    /// Paths that cannot be read, ignored or not.
    pub(crate) unseen: BTreeSet<BString>,
}

impl Hidden {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.nested.is_empty() && self.unseen.is_empty()
    }

    /// Each path, with the reason why it is not committed.
    pub(crate) fn unsaved(&self) -> impl Iterator<Item = Unsaved> {
        let of = |paths: &BTreeSet<BString>, why: &str| {
            let named = paths.iter().map(|path| Unsaved { path: path.to_string(), why: why.to_owned() });
            named.take(MAX_NAMED).collect::<Vec<_>>()
        };
        let files = of(&self.files, "is ignored by a rule that was not there before the run, or that hides itself");
        let nested = of(&self.nested, "is a repository of its own");
        files.into_iter().chain(nested).chain(of(&self.unseen, "cannot be looked at"))
    }

    /// The number of paths; a nested repository counts as one.
    pub(crate) fn count(&self) -> u64 {
        (self.files.len() + self.nested.len() + self.unseen.len()) as u64
    }
}
