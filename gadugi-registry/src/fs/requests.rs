//! Requests to stop, from a process that does not drive the run to the one that does: a file each, which
//! the driver takes away.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use gadugi_core::registry::RegistryError;
use gadugi_core::{TaskId, error_chain};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::durable::{create_folders, link_once};
use super::log::unwritable;
use super::regular::{self, MAX_RECORD};
use crate::format::{FormatError, Text, from_json, from_texts, texts, to_json};

const VERSION: u64 = 1;

/// Asks the driver of a run to stop it, or some of its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRequest {
    /// The tasks; none means all.
    pub tasks: Vec<TaskId>,
    /// Whether without grace.
    pub now: bool,
}

/// The result of [`take_requests`](crate::FsRegistry::take_requests).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TakenRequests {
    /// The requests, oldest first by the clocks of those who asked.
    pub requests: Vec<StopRequest>,
    /// A sentence for each file that was none; it is removed too, unless it is a folder.
    pub damage: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct RequestForm {
    tasks: Vec<Text<TaskId>>,
    now: bool,
}

pub(super) fn post(folder: &Path, request: &StopRequest) -> Result<(), RegistryError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let failed = |source| RegistryError::Write { path: folder.to_owned(), source };
    let form = RequestForm { tasks: texts(&request.tasks), now: request.now };
    let json = to_json(VERSION, &form).map_err(|error| unwritable(folder.to_owned(), error))?;
    create_folders(folder).map_err(failed)?;
    loop {
        // Sorts by time. Processes of several namespaces may have one number, hence the loop.
        let time = Timestamp::now().as_nanosecond();
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{time:020}-{}-{next}.json", std::process::id());
        match link_once(&folder.join(name), json.as_bytes()) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

pub(super) fn take(folder: &Path) -> Result<TakenRequests, RegistryError> {
    let unreadable = |source| RegistryError::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TakenRequests::default()),
        Err(_) if !folder.is_dir() => {
            let damage = vec![format!("{} is no folder, so requests to stop cannot be left there", folder.display())];
            return Ok(TakenRequests { damage, ..TakenRequests::default() });
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut taken = TakenRequests::default();
    for path in paths {
        match regular::read(&path, MAX_RECORD).map_err(|error| error.to_string()).and_then(|json| parse(&json)) {
            Ok(request) => taken.requests.push(request),
            Err(why) => taken.damage.push(format!("the request {} cannot be understood: {why}", path.display())),
        }
        match fs::remove_file(&path) {
            // It was told, and is in nobody's way.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
            removed => removed.map_err(|source| RegistryError::Write { path, source })?,
        }
    }
    Ok(taken)
}

fn parse(json: &[u8]) -> Result<StopRequest, String> {
    let form: RequestForm = from_json(VERSION, json).map_err(|error: FormatError| error_chain(&error))?;
    Ok(StopRequest { tasks: from_texts(form.tasks), now: form.now })
}
