//! What is ignored, but not by rules of the user's.
//!
//! A `.gitignore` that is committed, or that is seen as changed or new and is committed with the rest, says for good
//! what it hides, and git's rules hold. One that hides itself is neither: with the worktree it would vanish, and with
//! it all that it hides. What such a file hides counts as not committed, and so does what is hidden by a rule that has come
//! into `info/exclude` or `core.excludesFile` since the run began, and a repository in an ignored folder.

use std::collections::BTreeSet;

use gadugi_core::Unsaved;
use gix::bstr::BString;

/// So many paths of a kind are named.
const NAMED: usize = 10;

/// What is hidden so, as paths in the worktree.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// Files and symbolic links.
    pub(crate) files: BTreeSet<BString>,
    /// Folders that are repositories of their own.
    pub(crate) nested: BTreeSet<BString>,
    /// What cannot be looked at, be it ignored or not.
    pub(crate) unseen: BTreeSet<BString>,
}

impl Hidden {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.nested.is_empty() && self.unseen.is_empty()
    }

    /// Each path, and why it is not committed.
    pub(crate) fn unsaved(&self) -> impl Iterator<Item = Unsaved> {
        let of = |paths: &BTreeSet<BString>, why: &str| {
            let named = paths.iter().map(|path| Unsaved { path: path.to_string(), why: why.to_owned() });
            named.take(NAMED).collect::<Vec<_>>()
        };
        let files = of(&self.files, "is ignored by a rule that was not there before the run, or that hides itself");
        let nested = of(&self.nested, "is a repository of its own");
        files.into_iter().chain(nested).chain(of(&self.unseen, "cannot be looked at"))
    }

    /// How many paths; a nested repository counts as one.
    pub(crate) fn count(&self) -> u64 {
        (self.files.len() + self.nested.len() + self.unseen.len()) as u64
    }
}
