//! `run.json` and its copy.

use std::io;
use std::path::Path;

use gadugi_core::registry::RegistryError;
use gadugi_core::{RunId, error_chain};

use super::durable::{replace, set_aside};
use super::layout::RunFolder;
use super::regular::{self, MAX_HEADER, is_unfit};
use super::{no_such_run, unreadable};
use crate::format::{FormatError, StoredRun, run_from_json};

/// The description of a run before it starts.
pub(super) struct Header {
    pub(super) run: StoredRun,
    /// The reason why the copy had to be read.
    pub(super) damage: Option<String>,
    /// The sound file.
    json: Vec<u8>,
}

enum Unread {
    Io(io::Error),
    Format(FormatError),
}

/// Reads `run.json`, or its copy where that does not work.
///
/// # Errors
/// [`RegistryError::NoSuchRun`], and those of `run.json` when its copy is of no use either.
pub(super) fn read(folder: &RunFolder, run: &RunId) -> Result<Header, RegistryError> {
    if !folder.is_run() {
        return Err(no_such_run(run));
    }
    let path = folder.header();
    let what = match read_file(&path) {
        Ok((run, json)) => return Ok(Header { run, damage: None, json }),
        Err(Unread::Format(error @ FormatError::TooNew { .. })) => return Err(unreadable(path, error)),
        Err(what) => what,
    };
    match read_file(&folder.header_copy()) {
        Ok((run, json)) => {
            let why = match &what {
                Unread::Io(error) if error.kind() == io::ErrorKind::NotFound => "is missing".to_owned(),
                Unread::Io(error) => format!("cannot be read: {error}"),
                Unread::Format(error) => format!("is damaged: {}", error_chain(error)),
            };
            Ok(Header { run, damage: Some(format!("run.json {why}; its copy is used")), json })
        }
        Err(_) => Err(match what {
            Unread::Io(source) => RegistryError::Read { path, source },
            Unread::Format(error) => unreadable(path, error),
        }),
    }
}

fn read_file(path: &Path) -> Result<(StoredRun, Vec<u8>), Unread> {
    let json = regular::read(path, MAX_HEADER).map_err(Unread::Io)?;
    let run = run_from_json(&json).map_err(Unread::Format)?;
    Ok((run, json))
}

/// Writes whichever of the two files is not as the sound one. A damaged `run.json` is set aside.
pub(super) fn mend(folder: &RunFolder, header: &Header) -> Result<(), RegistryError> {
    let mend = |path: &Path| {
        let there = regular::read(path, MAX_HEADER);
        if there.as_ref().is_ok_and(|json| *json == header.json) {
            return Ok(());
        }
        if path == folder.header() && (there.is_ok() || there.is_err_and(|error| is_unfit(&error))) {
            set_aside(path)?;
        }
        replace(path, &header.json)
    };
    for path in [folder.header(), folder.header_copy()] {
        mend(&path).map_err(|source| RegistryError::Write { path, source })?;
    }
    Ok(())
}
