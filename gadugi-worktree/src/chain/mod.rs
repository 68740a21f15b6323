//! Chains of commits that put branches together, made in memory and written in one go.
//!
//! The commits are made as snapshots are: by the user's name, without hooks, and without a signature. A signature may ask for a
//! passphrase or a key, once for each of many commits of which most are thrown away.

mod add;
mod amend;
mod blame;
mod generated;
pub(crate) mod kept;
mod memory;
mod replay;

pub(crate) use self::amend::{amend, mark_conflict};

use gadugi_core::crash_point;
use gadugi_core::merge::{Chain, ChainRequest, LinkResult};
use tracing::debug;

use self::add::Adder;
use crate::error::GitError;
use crate::repo::gc_guard::MAX_RETRIES;
use crate::repo::ids::{to_commit, to_object, to_tree};
use crate::settings::WorktreeSettings;

/// As [`chain_once`], with retries where objects have vanished meanwhile.
pub(crate) fn chain(settings: &WorktreeSettings, request: &ChainRequest) -> Result<Chain, GitError> {
    retried(|| chain_once(settings, request))
}

/// Makes an attempt more where objects, or folders for them, have vanished because of a `git gc`.
fn retried<T>(work: impl Fn() -> Result<T, GitError>) -> Result<T, GitError> {
    for _ in 0..MAX_RETRIES {
        match work() {
            Err(error) if error.may_be_of_gc() => debug!(%error, "chain retried"),
            other => return other,
        }
    }
    work()
}

fn chain_once(settings: &WorktreeSettings, request: &ChainRequest) -> Result<Chain, GitError> {
    let mut repo = memory::open(settings)?;
    let mut adder = Adder::new(&repo, to_object(&request.onto), request.strategy, &request.regenerate)?;
    let mut links = Vec::with_capacity(request.links.len());
    for link in &request.links {
        links.push(adder.add(link)?);
    }
    let (tip, tree) = (adder.tip, adder.tree);
    let to_regenerate = adder.stale.iter().map(ToString::to_string).collect();
    crash_point("chain-made");
    memory::write(&mut repo, tip)?;
    crash_point("chain-written");
    if tip != to_object(&request.onto) {
        kept::keep(&repo, &request.merge, tip)?;
    }
    crash_point("chain-kept");
    let added = links.iter().filter(|link| matches!(link, LinkResult::Added { .. })).count();
    debug!(merge = %request.merge, %tip, links = links.len(), added, "chain made");
    Ok(Chain { tip: to_commit(tip), tree: to_tree(tree), links, to_regenerate })
}
