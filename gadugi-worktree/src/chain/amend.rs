//! Showing a conflict, and adding content from elsewhere to a chain.

use std::collections::BTreeSet;

use gadugi_core::crash_point;
use gadugi_core::merge::{AmendContent, AmendRequest, Amended, ConflictRequest, Link, MarkedConflict};
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};

use super::add::{Adder, Onto, tree_of};
use super::generated::{Patterns, changed, with_named_of};
use super::{kept, memory, retried};
use crate::error::GitError;
use crate::repo::ids::{to_commit, to_object, to_tree};
use crate::settings::WorktreeSettings;
use crate::snapshot::markers;

/// Makes a commit with the conflict of a link in its files.
pub(crate) fn mark_conflict(
    settings: &WorktreeSettings,
    request: &ConflictRequest,
) -> Result<MarkedConflict, GitError> {
    retried(|| {
        let mut repo = memory::open(settings)?;
        let onto = to_object(&request.onto);
        let adder = Adder::new(&repo, onto, request.strategy, &request.regenerate)?;
        let merged = adder.merge(Onto { commit: onto, tree: adder.tree }, &request.link)?;
        let message = format!("gadugi: conflict of {}\n", request.link.name);
        // Both are its parents, so that the history of both sides can be read in its worktree.
        let commit = repo.new_commit(message, merged.tree, [onto, to_object(&request.link.tip)])?.id;
        memory::write(&mut repo, commit)?;
        kept::keep(&repo, &request.merge, commit)?;
        crash_point("chain-conflict-marked");
        Ok(MarkedConflict { commit: to_commit(commit), files: merged.conflicts })
    })
}

/// Adds content of another commit to the tip of a chain.
pub(crate) fn amend(settings: &WorktreeSettings, request: &AmendRequest) -> Result<Amended, GitError> {
    retried(|| {
        let mut repo = memory::open(settings)?;
        let (onto, from) = (to_object(&request.onto), to_object(&request.from));
        let (tip, tree) = match &request.content {
            AmendContent::Files { patterns, message } => {
                let (before, content) = (tree_of(&repo, onto)?, tree_of(&repo, from)?);
                let (tree, differs) = with_named_of(&repo, before, content, &Patterns::new(patterns))?;
                if !differs {
                    return Ok(Amended::Added { tip: request.onto.clone(), tree: to_tree(before) });
                }
                (repo.new_commit(message, tree, [onto])?.id, tree)
            }
            AmendContent::Resolution { link, strategy } => {
                // Rebased, it would be in conflict again with the next commit.
                let adder = Adder::new(&repo, onto, *strategy, &[])?;
                let found = Objections::to(&adder, link, from)?;
                if !found.markers.is_empty() || !found.unrelated.is_empty() {
                    return Ok(Amended::Refused { markers: found.markers, unrelated: found.unrelated });
                }
                let tree = tree_of(&repo, from)?;
                (adder.commit(link, onto, tree)?, tree)
            }
        };
        memory::write(&mut repo, tip)?;
        kept::keep(&repo, &request.merge, tip)?;
        crash_point("chain-amended");
        Ok(Amended::Added { tip: to_commit(tip), tree: to_tree(tree) })
    })
}

/// What speaks against a resolution.
struct Objections {
    markers: Vec<String>,
    unrelated: Vec<String>,
}

impl Objections {
    fn to(adder: &Adder<'_>, link: &Link, from: ObjectId) -> Result<Self, GitError> {
        let repo = adder.repo;
        let (onto, tip) = (adder.start, to_object(&link.tip));
        let tree = tree_of(repo, from)?;
        let merged = adder.merge(Onto { commit: onto, tree: adder.tree }, link)?;
        let mut related: BTreeSet<BString> = merged.conflicts.iter().map(|file| BString::from(&**file)).collect();
        for base in bases(adder, link)? {
            related.extend(changed(repo, base, adder.tree)?);
            related.extend(changed(repo, base, tree_of(repo, tip)?)?);
        }
        let own = changed(repo, merged.tree, tree)?;
        let unrelated = own.difference(&related).map(ToString::to_string).collect();
        // Markers that the branch itself has are none of the merge's.
        let not_of_branch = changed(repo, tree_of(repo, tip)?, tree)?;
        let index = repo.index_from_tree(&tree)?;
        let mut markers = markers::added(repo, &index, onto, from)?;
        markers.retain(|file| not_of_branch.contains(file.as_bytes().as_bstr()));
        markers.sort();
        Ok(Self { markers, unrelated })
    }
}

/// The trees that both sides have started from.
fn bases(adder: &Adder<'_>, link: &Link) -> Result<Vec<ObjectId>, GitError> {
    let repo = adder.repo;
    let tip = to_object(&link.tip);
    let mut bases = vec![adder.base_tree(link)?];
    if let Some(base) = repo.merge_base(adder.start, tip)? {
        bases.push(tree_of(repo, base.detach())?);
    }
    bases.dedup();
    Ok(bases)
}
