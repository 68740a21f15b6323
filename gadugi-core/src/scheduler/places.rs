//! Worktrees for the attempts of a batch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::crash_point::crash_point;
use crate::registry::{RegistryError, Ticket};
use crate::worktrees::{BranchFate, Made, ReleaseRequest, WorktreeError, WorktreeRequest, Worktrees};

/// Why an attempt has no worktree.
#[derive(Debug)]
pub(super) enum NoWorktree {
    Worktree(WorktreeError),
    /// Its intent is not on disk, so nothing may be done for it.
    Unrecorded(RegistryError),
}

/// What an attempt waits for: its worktree, with the time that it took to make it.
pub(super) type WorktreeResult = Result<(Made, Duration), NoWorktree>;

/// Asks for the worktrees of a batch, once the intents are on disk, and hands them out. Those of attempts that do not wait any
/// more are given up or given back.
pub(super) async fn make_worktrees(
    worktrees: Arc<dyn Worktrees>,
    batch: Vec<(WorktreeRequest, Ticket, oneshot::Sender<WorktreeResult>)>,
) {
    let (mut requests, mut senders) = (Vec::new(), Vec::new());
    for (request, intent, sender) in batch {
        match intent.await {
            Ok(()) => {
                senders.push((sender, request.take_over.is_none()));
                requests.push(request);
            }
            // An attempt that is gone needs no answer, here and below.
            Err(error) => drop(sender.send(Err(NoWorktree::Unrecorded(error)))),
        }
    }
    crash_point("intent-kept");
    let asked = Instant::now();
    if requests.is_empty() {
        return;
    }
    let nobody_waits = async {
        for (sender, _) in &mut senders {
            sender.closed().await;
        }
    };
    let places = tokio::select! {
        biased;
        places = worktrees.create(requests) => places,
        () = nobody_waits => return,
    };
    let took = asked.elapsed();
    let mut untaken = Vec::new();
    for (place, (sender, is_new)) in places.into_iter().zip(senders) {
        if let Err(Ok((made, _))) = sender.send(place.map(|made| (made, took)).map_err(NoWorktree::Worktree))
            && is_new
        {
            untaken.push(made.lease);
        }
    }
    for lease in untaken {
        let request = ReleaseRequest { branch: BranchFate::DeleteIfMerged, discard: false, dry_run: false };
        // What stays is found by its mark.
        drop(worktrees.release(&lease, request).await);
    }
}
