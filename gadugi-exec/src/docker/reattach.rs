//! Finds the command of an earlier driver again, by its container and by the files in the folder of its attempt.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::models::ContainerSummaryStateEnum;
use bollard::query_parameters::ListContainersOptionsBuilder;
use gadugi_core::executor::{CommandRef, ExecError, ExecIdentity, Reattached, RunningTask};
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::api::error::DockerError;
use super::container::{self, Container, Exit, Life, labels, life, started};
use super::files::CommandFiles;
use super::record::{ContainerRecord, EndRecord, Status, Token, Unstarted};
use super::task::{DockerTask, identity};
use super::unstarted::{self, Removed};
use super::{NAME, Shared};

/// The records of a command in the folder of its attempt.
struct Records {
    files: CommandFiles,
    container: Option<ContainerRecord>,
    end: Option<EndRecord>,
}

/// Pause in which a daemon begins a start that it was asked for.
const SETTLE_INTERVAL: Duration = Duration::from_millis(200);

/// Time for a container that is being started or removed.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn running(shared: &Arc<Shared>, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
    let token = token_of(command)?;
    let watch = |fault| watch_fault(command, fault);
    let records = read_records(command).await.map_err(watch)?;
    if records.end.is_some() {
        return Ok(None);
    }
    let Some(record) = record(&records, token).map_err(watch)? else { return Ok(None) };
    let container = connect(shared, record, records.files).await.map_err(watch)?;
    let found = container.inspect().await.map_err(watch)?;
    let runs = found.is_some_and(|found| !matches!(life(&found), Some(Life::Exited(_) | Life::Created)));
    Ok(runs.then(|| identity(&container.record)))
}

pub(super) async fn reattach(shared: &Arc<Shared>, command: &CommandRef) -> Result<Reattached, ExecError> {
    let token = token_of(command)?;
    let watch = |fault| watch_fault(command, fault);
    let records = read_records(command).await.map_err(watch)?;
    let record = record(&records, token).map_err(watch)?;
    if let Some(end) = &records.end {
        let named = || ContainerRecord::named(end.container.clone(), end.nonce.clone(), String::new());
        let record = record.unwrap_or_else(named);
        if let Ok(container) = connect(shared, record.clone(), records.files.clone()).await {
            // It was kept, and then perhaps not removed.
            container.remove(true).await.ok();
        }
        return Ok(Reattached::Found(Box::new(DockerTask::ended(&record, end.end()))));
    }
    let Some(record) = record else {
        // It is recorded before it is started, so nothing has begun. Containers that were only created do no harm, and are
        // removed another time if they cannot be listed now.
        return Ok(match remove_unstarted(shared, command).await {
            Ok(Some(id)) => Reattached::Gone { why: format!("its container {id} was started without a note of it") },
            _ => Reattached::NeverStarted,
        });
    };
    let container = Arc::new(connect(shared, record, records.files).await.map_err(watch)?);
    find(container, command.identity.is_some()).await.map_err(watch)
}

/// Finds a recorded container. `has_begun`: the start of the command was recorded too, which comes last.
async fn find(container: Arc<Container>, has_begun: bool) -> Result<Reattached, DockerError> {
    let begun = Instant::now();
    let mut has_settled = false;
    loop {
        let Some(found) = container.inspect().await? else {
            return match container.record.unbegun {
                // Removed by an earlier driver, which was killed before it could remove the record.
                Some(unbegun) => Ok(unstarted::finish(&container, unbegun).await?.into()),
                None => Ok(Reattached::Gone { why: "its container was removed by somebody else".to_owned() }),
            };
        };
        match life(&found) {
            // The driver that should have handed over the secrets died before. The container waits for them, or has just given up.
            Some(Life::Running | Life::Exited(_)) if !has_begun && waits_in_vain(&container, &found) => {
                return Ok(unstarted::remove(&container, Unstarted::Waits).await?.into());
            }
            Some(Life::Running) => {
                // The time so far is by the daemon's clock, the rest by this process's.
                let ran =
                    started(&found).and_then(|since| Duration::try_from(Timestamp::now().duration_since(since)).ok());
                let now = Instant::now();
                let began = ran.and_then(|ran| now.checked_sub(ran)).unwrap_or(now);
                return Ok(Reattached::Found(Box::new(DockerTask::supervise(container, None, began))));
            }
            Some(Life::Exited(exit)) => return Ok(ended(container, &exit).await),
            // The driver that created it may have asked for the start just before it died.
            Some(Life::Created) if !has_settled => {
                has_settled = true;
                sleep(SETTLE_INTERVAL).await;
            }
            Some(Life::Created) => {
                let waits = waits_in_vain(&container, &found);
                let unbegun =
                    container.record.unbegun.unwrap_or(if waits { Unstarted::Waits } else { Unstarted::Created });
                match unstarted::remove(&container, unbegun).await {
                    Err(fault) if fault.status() == Some(409) && begun.elapsed() < CHANGE_TIMEOUT => {}
                    removed => return Ok(removed?.into()),
                }
            }
            None if begun.elapsed() < CHANGE_TIMEOUT => sleep(SETTLE_INTERVAL).await,
            None => return Ok(Reattached::Gone { why: "the daemon removes its container".to_owned() }),
        }
    }
}

impl From<Removed> for Reattached {
    fn from(removed: Removed) -> Self {
        match removed {
            Removed::NeverStarted => Self::NeverStarted,
            Removed::MayHaveBegun(why) => Self::Gone { why: why.to_owned() },
        }
    }
}

/// Whether a container waits for secrets and cannot have received any.
fn waits_in_vain(container: &Container, found: &ContainerInspectResponse) -> bool {
    container::waits(found) && !container.files.is_handed_over()
}

/// Returns the result for a container that ended while no driver was running.
async fn ended(container: Arc<Container>, exit: &Exit) -> Reattached {
    let began = exit.took().and_then(|took| Instant::now().checked_sub(took)).unwrap_or_else(Instant::now);
    if container.true_status(exit, false).await == Status::Unknown {
        // Its output is written to the log all the same, and its end is recorded as unknown.
        let task = DockerTask::supervise(Arc::clone(&container), None, began);
        drop(task.wait().await);
        let why = "the Docker daemon was begun again while it ran, and has ended it".to_owned();
        return Reattached::Gone { why };
    }
    Reattached::Found(Box::new(DockerTask::supervise(container, None, began)))
}

/// Returns the container of a command, by its identity and its record.
fn record(records: &Records, token: Option<Token>) -> Result<Option<ContainerRecord>, DockerError> {
    Ok(match (token, &records.container) {
        (Some(token), Some(recorded)) if token.nonce == recorded.nonce => Some(recorded.clone()),
        (Some(token), _) => Some(ContainerRecord::named(token.id, token.nonce, token.daemon)),
        (None, Some(recorded)) => Some(recorded.clone()),
        (None, None) => None,
    })
}

async fn connect(shared: &Arc<Shared>, record: ContainerRecord, files: CommandFiles) -> Result<Container, DockerError> {
    let daemon = shared.daemon().await.map_err(DockerError::Daemon)?;
    // The one that was greeted may be gone by now.
    daemon.ping().await.map_err(|unreachable| unreachable.into_fault(&shared.settings.endpoint))?;
    if !record.daemon.is_empty() && record.daemon != daemon.id {
        let endpoint = shared.settings.endpoint.to_string();
        return Err(DockerError::OtherDaemon { daemon: record.daemon, endpoint });
    }
    Ok(Container::new(Arc::clone(shared), daemon, record, files))
}

async fn read_records(command: &CommandRef) -> Result<Records, DockerError> {
    let (folder, phase) = (command.files.clone(), command.phase);
    let records = spawn_blocking(move || {
        let files = CommandFiles::of(&folder, phase).map_err(DockerError::file(&folder))?;
        let (container, end) = (files.container()?, files.end()?);
        Ok(Records { files, container, end })
    });
    records.await.unwrap_or(Err(DockerError::ShutDown))
}

/// Removes containers of a command that were created and never started. Returns the id of one that was started all the same.
async fn remove_unstarted(shared: &Arc<Shared>, command: &CommandRef) -> Result<Option<String>, DockerError> {
    let daemon = shared.daemon().await.map_err(DockerError::Daemon)?;
    let filter = labels::filter(&shared.settings, &command.run, &command.attempt, command.phase);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let listed = daemon.client.list_containers(Some(options)).await;
    for found in listed.map_err(DockerError::request("list its containers"))? {
        let Some(id) = found.id else { continue };
        if found.state != Some(ContainerSummaryStateEnum::CREATED) {
            return Ok(Some(id));
        }
        container::remove(&daemon.client, &id, false).await?;
    }
    Ok(None)
}

fn token_of(command: &CommandRef) -> Result<Option<Token>, ExecError> {
    let Some(identity) = &command.identity else { return Ok(None) };
    let foreign = || ExecError::Identity { executor: NAME.to_owned(), token: identity.token.clone() };
    let token = Some(&identity.token).filter(|_| identity.executor == NAME).and_then(|token| token.parse().ok());
    token.map(Some).ok_or_else(foreign)
}

fn watch_fault(command: &CommandRef, fault: DockerError) -> ExecError {
    let identity = command.identity.as_ref().map_or_else(|| command.attempt.to_string(), |known| known.token.clone());
    ExecError::Watch { identity, source: Box::new(fault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_completes_an_identity_and_another_note_does_not() {
        let records = |nonce: &str| Records {
            files: CommandFiles::of(std::path::Path::new("/nowhere"), gadugi_core::Phase::Main).expect("a path"),
            container: Some(ContainerRecord::named("ab".repeat(32), nonce.to_owned(), "D".to_owned())),
            end: None,
        };
        let token = || Some(Token { id: "cd".repeat(6), nonce: "01".to_owned(), daemon: "D".to_owned() });
        let id = |records, token| record(&records, token).expect("a record").expect("a container").id;
        assert_eq!(id(records("01"), token()), "ab".repeat(32));
        assert_eq!(id(records("02"), token()), "cd".repeat(6));
        assert_eq!(id(records("02"), None), "ab".repeat(32));
    }
}
