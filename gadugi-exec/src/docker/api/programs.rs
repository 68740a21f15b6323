//! The check that the image of a task has the program that the task runs.
//!
//! The container's init finds that out too, but only when the container runs; then it is an exit code like others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;
use gadugi_core::executor::{ExecError, ExecRequest};
use gadugi_core::plan::Program;

use super::{Daemon, status};

/// As in `execvp(3)`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// An image, the `PATH` of the command, and a program.
type Key = (String, Option<String>, String);

/// Programs that images have or lack. An image that gets other content under its name during a run is not asked about again.
#[derive(Default)]
pub(in crate::docker) struct Programs {
    known: Mutex<HashMap<Key, bool>>,
}

impl Programs {
    /// Refuses a command whose program is missing in its image.
    ///
    /// # Errors
    /// [`ExecError::NotFound`] when it is certain that there is no such program.
    pub(in crate::docker) async fn require(
        &self,
        daemon: &Daemon,
        container: &str,
        request: &ExecRequest,
    ) -> Result<(), ExecError> {
        let (program, image) = match (&request.program, &request.resources.image) {
            (Program::Argv(argv), Some(image)) => match argv.first() {
                Some(program) => (program.clone(), image.clone()),
                None => return Ok(()),
            },
            // The programs of a script are not known, but it needs a shell.
            _ => ("sh".to_owned(), request.resources.image.clone().unwrap_or_default()),
        };
        let there = if program.contains('/') && request.folder.join(&program).starts_with(&request.folder) {
            request.folder.join(&program).symlink_metadata().is_ok()
        } else {
            let key = (image, request.env.get("PATH").cloned(), program.clone());
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
            match known {
                Some(there) => there,
                None => {
                    let there = is_there(daemon, container, &key, request).await;
                    self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, there);
                    there
                }
            }
        };
        if there { Ok(()) } else { Err(ExecError::NotFound { program }) }
    }
}

/// Whether a created container has a program; `true` when the daemon does not answer.
async fn is_there(daemon: &Daemon, container: &str, (image, path, program): &Key, request: &ExecRequest) -> bool {
    if program.contains('/') {
        return has(daemon, container, &request.folder.join(program).to_string_lossy()).await;
    }
    let path = match path {
        Some(path) => path.clone(),
        None => {
            let inspected = daemon.client.inspect_image(image).await;
            let env = inspected.ok().and_then(|image| image.config?.env).unwrap_or_default();
            let path = env.iter().find_map(|variable| variable.strip_prefix("PATH="));
            // What an image does not say, the daemon sets to more than this; then nothing is certain.
            match path {
                Some(path) => path.to_owned(),
                None => format!("{DEFAULT_PATH}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin"),
            }
        }
    };
    for folder in path.split(':').filter(|folder| folder.starts_with('/')) {
        if has(daemon, container, &format!("{}/{program}", folder.trim_end_matches('/'))).await {
            return true;
        }
    }
    false
}

/// Whether a container has a file; `true` when the daemon does not answer.
async fn has(daemon: &Daemon, container: &str, path: &str) -> bool {
    let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
    match daemon.client.get_container_archive_info(container, Some(options)).await {
        Ok(_) => true,
        Err(error) => status(&error) != Some(404),
    }
}
