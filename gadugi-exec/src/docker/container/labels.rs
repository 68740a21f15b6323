//! The labels by which every process finds the containers of a repository, a run or a command.

use std::collections::HashMap;

use gadugi_core::executor::ExecRequest;
use gadugi_core::{AttemptRef, Phase, RunId};

use crate::docker::settings::DockerSettings;

/// The repository that a container works for, in the words of [`DockerSettings::repository`].
pub(in crate::docker) const REPOSITORY: &str = "gadugi.repo";
pub(in crate::docker) const RUN: &str = "gadugi.run";
pub(in crate::docker) const TASK: &str = "gadugi.task";
pub(in crate::docker) const ATTEMPT: &str = "gadugi.attempt";
pub(in crate::docker) const PHASE: &str = "gadugi.phase";
/// The nonce of one start.
pub(in crate::docker) const NONCE: &str = "gadugi.nonce";

/// Returns the labels of a container.
pub(in crate::docker) fn of(settings: &DockerSettings, request: &ExecRequest, nonce: &str) -> HashMap<String, String> {
    let ExecRequest { run, attempt, phase, .. } = request;
    let mut labels = of_command(run, attempt, *phase);
    labels.extend([(REPOSITORY, settings.repository.clone()), (NONCE, nonce.to_owned())]);
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the labels of a command, in whichever start.
fn of_command(run: &RunId, attempt: &AttemptRef, phase: Phase) -> Vec<(&'static str, String)> {
    vec![
        (RUN, run.to_string()),
        (TASK, attempt.task.to_string()),
        (ATTEMPT, attempt.number.to_string()),
        (PHASE, phase.word().to_owned()),
    ]
}

/// Returns the filter for the containers of one command, in whichever start.
pub(in crate::docker) fn filter(
    settings: &DockerSettings,
    run: &RunId,
    attempt: &AttemptRef,
    phase: Phase,
) -> HashMap<String, Vec<String>> {
    let labels = of_command(run, attempt, phase).into_iter().chain([(REPOSITORY, settings.repository.clone())]);
    by_labels(labels.map(|(name, value)| format!("{name}={value}")))
}

/// Returns a filter for the daemon's lists.
pub(in crate::docker) fn by_labels(labels: impl Iterator<Item = String>) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), labels.collect())])
}

/// Returns the name of the container of a command. A name exists once at a time, so that nothing is started twice.
pub(in crate::docker) fn name(settings: &DockerSettings, request: &ExecRequest) -> String {
    let ExecRequest { run, attempt, phase, .. } = request;
    let repository = crc32c::crc32c(settings.repository.as_bytes());
    let name = format!("gadugi-{repository:08x}-{run}-{}-{}", attempt.task, attempt.number);
    if *phase == Phase::Main { name } else { format!("{name}-{}", phase.word()) }
}
