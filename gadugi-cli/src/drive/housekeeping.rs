//! Housekeeping beside a run: what crashes and earlier runs have left behind. Never a reason for the run to fail.

use std::sync::Arc;

use gadugi_core::{Executor, Worktrees, error_chain};

use crate::context::Context;
use crate::prepare;
use crate::site::Site;
use crate::terminal::Terminal;

/// Removes worktrees that a crash left half created.
pub(crate) async fn prune(worktrees: Arc<dyn Worktrees>, terminal: Terminal) {
    if let Err(error) = worktrees.prune(false).await {
        terminal.detail(&error_chain(&error));
    }
}

/// Removes what runs that are over have left with these executors.
pub(crate) async fn collect(site: Arc<Site>, executors: Vec<Arc<dyn Executor>>, terminal: Terminal) {
    let (removed, collected) = site.collect_leftovers(&executors).await;
    removed.iter().for_each(|what| terminal.detail(&format!("removed {what}")));
    if let Err(failure) = collected {
        terminal.detail(&failure.texts().0);
    }
}

/// Deletes what a killed process has released and not deleted.
pub(crate) async fn delete_leftovers(context: &Context, site: &Arc<Site>) {
    let config = prepare::config_or_default(context, site);
    let commit = site.head().commit;
    if let Ok(worktrees) = site.worktrees(&context.surroundings, &config, &commit) {
        prune(worktrees, context.terminal.clone()).await;
        collect(Arc::clone(site), Vec::new(), context.terminal.clone()).await;
        site.leave_deletion(&context.terminal);
    }
}
