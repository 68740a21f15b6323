//! Finds a command again by its container and by what lies in the folder of its attempt, whoever has started it.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::models::ContainerSummaryStateEnum;
use bollard::query_parameters::ListContainersOptionsBuilder;
use gadugi_core::{CommandRef, ExecError, ExecIdentity, Reattached, RunningTask};
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

/// What the folder of an attempt tells of a command.
struct Noted {
    files: CommandFiles,
    container: Option<ContainerRecord>,
    end: Option<EndRecord>,
}

/// Until a daemon that was asked to start something has at least begun with it.
const SETTLING: Duration = Duration::from_millis(200);

/// How long a container is watched that is about to start or to go.
const LONGEST_CHANGE: Duration = Duration::from_secs(60);

pub(super) async fn running(shared: &Arc<Shared>, command: &CommandRef) -> Result<Option<ExecIdentity>, ExecError> {
    let token = token_of(command)?;
    let watch = |fault| watch_fault(command, fault);
    let noted = noted(command).await.map_err(watch)?;
    if noted.end.is_some() {
        return Ok(None);
    }
    let Some(record) = record(&noted, token).map_err(watch)? else { return Ok(None) };
    let container = connect(shared, record, noted.files).await.map_err(watch)?;
    let found = container.look().await.map_err(watch)?;
    let runs = found.is_some_and(|found| !matches!(life(&found), Some(Life::Exited(_) | Life::Created)));
    Ok(runs.then(|| identity(&container.record)))
}

pub(super) async fn reattach(shared: &Arc<Shared>, command: &CommandRef) -> Result<Reattached, ExecError> {
    let token = token_of(command)?;
    let watch = |fault| watch_fault(command, fault);
    let noted = noted(command).await.map_err(watch)?;
    let record = record(&noted, token).map_err(watch)?;
    if let Some(end) = &noted.end {
        let named = || ContainerRecord::named(end.container.clone(), end.nonce.clone(), String::new());
        let record = record.unwrap_or_else(named);
        if let Ok(container) = connect(shared, record.clone(), noted.files.clone()).await {
            // It was kept, and then perhaps not removed.
            container.remove(true).await.ok();
        }
        return Ok(Reattached::Found(Box::new(DockerTask::ended(&record, end.end()))));
    }
    let Some(record) = record else {
        // It is noted before it is started, so nothing has begun. What was created is in nobody's way, and what cannot be
        // looked for now is removed another time.
        return Ok(match remove_unstarted(shared, command).await {
            Ok(Some(id)) => Reattached::Gone { why: format!("its container {id} was started without a note of it") },
            _ => Reattached::NeverStarted,
        });
    };
    let container = Arc::new(connect(shared, record, noted.files).await.map_err(watch)?);
    find(container, command.identity.is_some()).await.map_err(watch)
}

/// What became of a container that was noted. `has_begun` where its start was recorded, which comes after everything else.
async fn find(container: Arc<Container>, has_begun: bool) -> Result<Reattached, DockerError> {
    let begun = Instant::now();
    let mut has_settled = false;
    loop {
        let Some(found) = container.look().await? else {
            return match container.record.unbegun {
                // By an earlier driver, which was killed before it could take the note back.
                Some(unbegun) => Ok(unstarted::finish(&container, unbegun).await?.into()),
                None => Ok(Reattached::Gone { why: "its container was removed by somebody else".to_owned() }),
            };
        };
        match life(&found) {
            // Whoever was to give it its secrets has died before. It waits for them, or has just given that up.
            Some(Life::Running | Life::Exited(_)) if !has_begun && waits_in_vain(&container, &found) => {
                return Ok(unstarted::remove(&container, Unstarted::Waits).await?.into());
            }
            Some(Life::Running) => {
                // The daemon's clock says how long, and this process's goes on from there.
                let ran =
                    started(&found).and_then(|since| Duration::try_from(Timestamp::now().duration_since(since)).ok());
                let now = Instant::now();
                let began = ran.and_then(|ran| now.checked_sub(ran)).unwrap_or(now);
                return Ok(Reattached::Found(Box::new(DockerTask::follow(container, None, began))));
            }
            Some(Life::Exited(exit)) => return Ok(ended(container, &exit).await),
            // Whoever was about to start it may have asked for that with their last breath.
            Some(Life::Created) if !has_settled => {
                has_settled = true;
                sleep(SETTLING).await;
            }
            Some(Life::Created) => {
                let waits = waits_in_vain(&container, &found);
                let unbegun =
                    container.record.unbegun.unwrap_or(if waits { Unstarted::Waits } else { Unstarted::Created });
                match unstarted::remove(&container, unbegun).await {
                    Err(fault) if fault.status() == Some(409) && begun.elapsed() < LONGEST_CHANGE => {}
                    removed => return Ok(removed?.into()),
                }
            }
            None if begun.elapsed() < LONGEST_CHANGE => sleep(SETTLING).await,
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

/// Whether a container was to get secrets before it begins, and cannot have got any.
fn waits_in_vain(container: &Container, found: &ContainerInspectResponse) -> bool {
    container::waits(found) && !container.files.is_handed_over()
}

/// The end of a container that nobody was there to see.
async fn ended(container: Arc<Container>, exit: &Exit) -> Reattached {
    let began = exit.took().and_then(|took| Instant::now().checked_sub(took)).unwrap_or_else(Instant::now);
    if container.true_status(exit, false).await == Status::Unknown {
        // Its output is taken all the same, and its end is kept as what it is.
        let task = DockerTask::follow(Arc::clone(&container), None, began);
        drop(task.wait().await);
        let why = "the Docker daemon was begun again while it ran, and has ended it".to_owned();
        return Reattached::Gone { why };
    }
    Reattached::Found(Box::new(DockerTask::follow(container, None, began)))
}

/// Which container it is, by its identity and by its note.
fn record(noted: &Noted, token: Option<Token>) -> Result<Option<ContainerRecord>, DockerError> {
    Ok(match (token, &noted.container) {
        (Some(token), Some(noted)) if token.nonce == noted.nonce => Some(noted.clone()),
        (Some(token), _) => Some(ContainerRecord::named(token.id, token.nonce, token.daemon)),
        (None, Some(noted)) => Some(noted.clone()),
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

async fn noted(command: &CommandRef) -> Result<Noted, DockerError> {
    let (folder, phase) = (command.files.clone(), command.phase);
    let noted = spawn_blocking(move || {
        let files = CommandFiles::of(&folder, phase).map_err(DockerError::file(&folder))?;
        let (container, end) = (files.container()?, files.end()?);
        Ok(Noted { files, container, end })
    });
    noted.await.unwrap_or(Err(DockerError::ShutDown))
}

/// Removes containers of a command that were created and never started. Gives one that was, against all that is promised.
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
        let noted = |nonce: &str| Noted {
            files: CommandFiles::of(std::path::Path::new("/nowhere"), gadugi_core::Phase::Main).expect("a path"),
            container: Some(ContainerRecord::named("ab".repeat(32), nonce.to_owned(), "D".to_owned())),
            end: None,
        };
        let token = || Some(Token { id: "cd".repeat(6), nonce: "01".to_owned(), daemon: "D".to_owned() });
        let id = |noted, token| record(&noted, token).expect("a record").expect("a container").id;
        assert_eq!(id(noted("01"), token()), "ab".repeat(32));
        assert_eq!(id(noted("02"), token()), "cd".repeat(6));
        assert_eq!(id(noted("02"), None), "ab".repeat(32));
    }
}
