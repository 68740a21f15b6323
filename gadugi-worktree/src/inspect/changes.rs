//! The differences between a work tree, its index and its `HEAD`, without running anything that is configured in the work tree:
//! nested repositories and submodules are not opened, and hooks and file system monitors are not called.

use std::collections::{BTreeMap, BTreeSet};

use gix::bstr::BString;
use gix::status::tree_index::TrackRenames;

use crate::error::GitError;
use crate::inspect::self_ignored::Hidden;
use crate::inspect::unchanged::is_untouched;
use crate::inspect::{self, AttributesFile, Edit, Extent, Ignored, UserRules, conversion, index_tree};
use crate::threads::scarce::patiently;

/// All uncommitted changes in a work tree. Ignored files are counted apart.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Paths that differ between `HEAD` and the index.
    pub(crate) staged: BTreeSet<BString>,
    /// Tracked paths that differ between the index and the work tree.
    pub(crate) edited: BTreeMap<BString, Edit>,
    /// Files and symbolic links that are untracked.
    pub(crate) untracked: BTreeSet<BString>,
    /// Folders that are repositories of their own: unknown to git, or submodules in a state that it cannot commit.
    pub(crate) nested: BTreeSet<BString>,
    /// Files that are ignored, but not by the user's rules.
    pub(crate) hidden: Hidden,
    /// Files that are ignored by the user's rules.
    pub(crate) ignored: Ignored,
    /// The files of attributes, where any path differs.
    pub(crate) attributes: Vec<(BString, AttributesFile)>,
}

impl Changes {
    /// Inspects the work tree that `repo` was opened for.
    pub(crate) fn of(
        repo: &gix::Repository,
        index: &gix::index::State,
        rules: &UserRules,
        extent: Extent,
    ) -> Result<Self, GitError> {
        let other = repo.clone();
        let (staged, rest) = std::thread::scope(|scope| {
            let helper = std::thread::Builder::new().spawn_scoped(scope, move || staged(&other, index));
            let rest = match is_untouched(repo, index) {
                Ok(true) => Ok(Self::default()),
                Ok(false) => unstaged(repo, index, rules, extent),
                Err(error) => Err(error),
            };
            let staged = match helper {
                Ok(helper) => helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // There can be no more threads.
                Err(_) => staged(repo, index),
            };
            (staged, rest)
        });
        Ok(Self { staged: staged?, ..rest? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.staged.is_empty() && self.edited.is_empty() && self.untracked.is_empty() && self.nested.is_empty()
    }

    /// Tracked paths that are changed.
    pub(crate) fn tracked(&self) -> u64 {
        let only_edited = self.edited.keys().filter(|path| !self.staged.contains(*path)).count();
        (self.staged.len() + only_edited) as u64
    }

    /// All paths that are changed or new; a nested repository counts as one.
    pub(crate) fn files(&self) -> u64 {
        self.tracked() + (self.untracked.len() + self.nested.len()) as u64
    }
}

fn staged(repo: &gix::Repository, index: &gix::index::State) -> Result<BTreeSet<BString>, GitError> {
    let head = repo.head_tree_id_or_empty()?;
    let mut found = BTreeSet::new();
    // So it is in most cases, and is known without reading a tree.
    if index_tree::id_of(index)? == Some(head.detach()) {
        return Ok(found);
    }
    // Without patterns of its own, gix would look only at the part that the process works in.
    let mut everything = repo.pathspec(
        false,
        None::<&str>,
        false,
        &gix::index::State::new(repo.object_hash()),
        gix::worktree::stack::state::attributes::Source::IdMapping,
    )?;
    repo.tree_index_status(&head, index, Some(&mut everything), TrackRenames::Disabled, |change, _, _| {
        found.insert(change.location().to_owned());
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The differences between the index and the work tree, and the files beside those of the index.
pub(crate) fn unstaged(
    repo: &gix::Repository,
    index: &gix::index::State,
    rules: &UserRules,
    extent: Extent,
) -> Result<Changes, GitError> {
    patiently(|| try_unstaged(repo, index, rules, extent))
}

fn try_unstaged(
    repo: &gix::Repository,
    index: &gix::index::State,
    rules: &UserRules,
    extent: Extent,
) -> Result<Changes, GitError> {
    let found = inspect::walk(repo, index, rules, extent)?;
    let mut edited = found.edited;
    if !found.doubtful.is_empty() {
        // Nothing is written by a look.
        let repo = repo.clone().with_object_memory();
        let attributes = inspect::attributes(&repo, &found.attributes)?;
        let differing = inspect::differing(&repo, index, &found.doubtful, attributes)?;
        edited.extend(differing.into_iter().map(|entry| (entry.path(index).to_owned(), Edit::Written)));
        conversion::drop_unchanged(&repo, index, &mut edited, &found.attributes)?;
    }
    Ok(Changes {
        staged: BTreeSet::new(),
        edited,
        untracked: found.untracked,
        nested: found.nested,
        hidden: Hidden { files: found.hidden, nested: found.hidden_nested, unseen: found.unseen },
        ignored: found.ignored,
        attributes: found.attributes,
    })
}
