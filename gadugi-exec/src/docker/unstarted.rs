//! Containers whose command has not begun: they are removed, and the command may be started anew. A removal that is cut short
//! anywhere is finished by the next driver, with the same result.

use gadugi_core::crash_point;

use super::api::error::DockerError;
use super::container::Container;
use super::record::{ContainerRecord, Unstarted};

/// The result of a removal: it decides whether the command may be started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removed {
    NeverStarted,
    /// It may have begun, for this reason. It stays recorded.
    MayHaveBegun(&'static str),
}

/// Records that the command has not begun, for the driver that comes after a kill of this one and finds no container.
pub(super) fn record(container: &Container, unbegun: Unstarted) {
    let record = ContainerRecord { unbegun: Some(unbegun), ..container.record.clone() };
    // Without the record, a kill before the end of the removal leaves the command lost.
    container.files.update_container(&record).ok();
    crash_point("container-unbegun");
}

/// Removes the container. One that runs all the same stays, which is an error (409), unless it only waits for secrets.
pub(super) async fn remove(container: &Container, unbegun: Unstarted) -> Result<Removed, DockerError> {
    record(container, unbegun);
    container.remove(unbegun == Unstarted::Waits).await?;
    finish(container, unbegun).await
}

/// Decides after the removal whether the command may have begun, and removes its record if not.
pub(super) async fn finish(container: &Container, unbegun: Unstarted) -> Result<Removed, DockerError> {
    crash_point("container-unbegun-removed");
    if unbegun == Unstarted::Created {
        // It may have begun and ended between the question and the removal.
        if container.start_is_remembered(None).await {
            return Ok(Removed::MayHaveBegun("it ended before anybody was there to see it"));
        }
        if container.kill_orphans().await {
            let why = "the Docker daemon died while it started it, and did not know it any more";
            return Ok(Removed::MayHaveBegun(why));
        }
        if !container.is_daemon_from_before().await {
            return Ok(Removed::MayHaveBegun("the Docker daemon was begun again when it was to start it"));
        }
    }
    container.files.unrecord_container()?;
    Ok(Removed::NeverStarted)
}
