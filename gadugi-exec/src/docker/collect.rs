//! Containers whose run is over: their driver died before it could remove them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use gadugi_core::RunId;
use gadugi_core::executor::ExecError;
use jiff::Timestamp;

use super::api::Daemon;
use super::api::error::DockerError;
use super::container::{self, labels};
use super::{NAME, Shared};

/// Age from which a container of an unknown run is removed. A younger one may belong to a run that another process is just
/// starting (as in Nomad's reconciler of dangling containers).
const MIN_AGE_SECONDS: i64 = 300;

/// Returns the runs that have containers.
pub(super) async fn left_by(shared: &Arc<Shared>) -> Result<BTreeSet<RunId>, ExecError> {
    let (_, listed) = list(shared).await.map_err(fault)?;
    Ok(listed.iter().filter_map(|found| label(found, labels::RUN)?.parse().ok()).collect())
}

/// Removes the containers of finished and of unknown runs. Returns a description of each.
pub(super) async fn collect(shared: &Arc<Shared>, runs: &BTreeMap<RunId, bool>) -> Result<Vec<String>, ExecError> {
    let (daemon, listed) = list(shared).await.map_err(fault)?;
    let (mut removed, mut failed) = (Vec::new(), None);
    for found in listed.iter().filter(|found| is_left(found, &shared.settings.repository, runs)) {
        let Some(id) = &found.id else { continue };
        // A container that cannot be removed keeps no other one.
        if let Err(error) = container::remove(&daemon.client, id, true).await {
            failed.get_or_insert(error);
            continue;
        }
        let name = found.names.iter().flatten().next().map_or(id.as_str(), |name| name.trim_start_matches('/'));
        removed.push(format!("container {name} ({})", found.status.as_deref().unwrap_or("unknown")));
    }
    match failed {
        Some(error) if removed.is_empty() => Err(fault(error)),
        _ => Ok(removed),
    }
}

/// Lists all containers of the repository.
async fn list(shared: &Arc<Shared>) -> Result<(Arc<Daemon>, Vec<ContainerSummary>), DockerError> {
    let daemon = shared.daemon().await.map_err(DockerError::Daemon)?;
    let filter = labels::by_labels([format!("{}={}", labels::REPOSITORY, shared.settings.repository)].into_iter());
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let listed = daemon.client.list_containers(Some(options)).await;
    Ok((daemon, listed.map_err(DockerError::request("list its containers"))?))
}

fn fault(fault: DockerError) -> ExecError {
    ExecError::Watch { identity: format!("the containers of {NAME}"), source: Box::new(fault) }
}

fn label<'a>(found: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    found.labels.as_ref()?.get(name).map(String::as_str)
}

fn is_left(found: &ContainerSummary, repository: &str, runs: &BTreeMap<RunId, bool>) -> bool {
    // The daemon was asked for no others; that is not left to it alone.
    if label(found, labels::REPOSITORY) != Some(repository) || label(found, labels::NONCE).is_none() {
        return false;
    }
    let Some(run) = label(found, labels::RUN).and_then(|run| run.parse().ok()) else { return false };
    let age = || Timestamp::now().as_second() - found.created.unwrap_or(i64::MAX);
    runs.get(&run).copied().unwrap_or_else(|| age() > MIN_AGE_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(repository: &str, age: i64) -> ContainerSummary {
        let labels = [
            (labels::REPOSITORY, repository),
            (labels::RUN, "20261122-083355-k7q"),
            (labels::NONCE, "0123456789abcdef"),
        ];
        ContainerSummary {
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            created: Some(Timestamp::now().as_second() - age),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn only_what_is_over_or_old_and_unknown_and_of_this_repository_is_left_behind() {
        let known = |is_over| BTreeMap::from([("20261122-083355-k7q".parse().expect("a run"), is_over)]);
        let none = BTreeMap::new();
        assert!(is_left(&found("here", 0), "here", &known(true)));
        assert!(!is_left(&found("here", 999), "here", &known(false)));
        assert!(!is_left(&found("there", 999), "here", &known(true)));
        assert!(is_left(&found("here", 999), "here", &none));
        assert!(!is_left(&found("here", 10), "here", &none), "its run may just begin");
        let unlabelled = ContainerSummary { labels: None, ..found("here", 999) };
        assert!(!is_left(&unlabelled, "here", &known(true)));
    }
}
