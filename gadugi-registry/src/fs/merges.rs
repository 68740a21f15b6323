//! Merges of the branches of runs: a folder for each, beside those of runs, and the checks whose results are kept.
//!
//! A merge has few events, so each is written and synced by itself.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use gadugi_core::merge::{MergeEvent, MergeHeader, MergeLog, MergeRecord, TrialResult};
use gadugi_core::registry::RegistryError;
use gadugi_core::{MergeId, TreeId, error_chain};
use tracing::debug;

use super::durable::{create_folder, create_folders, private, replace, sync_folder};
use super::lock::RunLock;
use super::regular::{self, MAX_HEADER, MAX_RECORD};
use super::{FsRegistry, unreadable, unwritable};
use crate::format::{
    FormatError, decode_merge_event, encode_merge_event, kept_check_from_json, kept_check_to_json, merge_from_json,
    merge_to_json,
};

/// A merge as the registry has kept it.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeHistory {
    /// Record of the merge.
    pub record: MergeRecord,
    /// Whether a process drives the merge now.
    pub driven: bool,
    /// Damage found while reading, a sentence each. What stands behind a damaged line is not read.
    pub damage: Vec<String>,
}

/// The folder of a merge.
struct MergeFolder(PathBuf);

impl MergeFolder {
    fn header(&self) -> PathBuf {
        self.0.join("merge.json")
    }

    fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
}

/// The log of a merge that this process drives. Dropping it releases the merge for other drivers.
#[derive(Debug)]
pub struct FsMergeLog {
    path: PathBuf,
    journal: File,
    checks: PathBuf,
    /// Set after a failed write, behind which nothing is written.
    has_failed: bool,
    _lock: RunLock,
}

impl FsRegistry {
    /// The folder of a merge's files.
    #[must_use]
    pub fn merge_folder(&self, merge: &MergeId) -> PathBuf {
        self.state.join("merges").join(merge.as_str())
    }

    /// The ids of all merges, the oldest first.
    ///
    /// # Errors
    /// [`RegistryError::Read`].
    pub fn merges(&self) -> Result<Vec<MergeId>, RegistryError> {
        super::ids_in(&self.state.join("merges"), |id| self.folder_of_merge(id).header().is_file())
    }

    /// Creates a merge and opens its log. A crash before the return leaves nothing, or a merge without events.
    ///
    /// # Errors
    /// [`RegistryError::MergeHeld`] when the id exists, [`RegistryError::Write`].
    pub fn create_merge(&self, header: &MergeHeader) -> Result<FsMergeLog, RegistryError> {
        let folder = self.folder_of_merge(&header.merge);
        let failed = |path: PathBuf| move |source| RegistryError::Write { path, source };
        let json = merge_to_json(header).map_err(|error| unwritable(folder.header(), error))?;
        let merges = self.state.join("merges");
        create_folders(&merges).map_err(failed(merges.clone()))?;
        match create_folder(&folder.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RegistryError::MergeHeld { merge: header.merge.clone() });
            }
            Err(error) => return Err(failed(folder.0.clone())(error)),
        }
        let lock = RunLock::take(&folder.lock()).map_err(failed(folder.lock()))?;
        let lock = lock.ok_or_else(|| RegistryError::MergeHeld { merge: header.merge.clone() })?;
        let journal = private().append(true).create_new(true).open(folder.journal());
        let journal = journal.map_err(failed(folder.journal()))?;
        // The last step: from here on it is a merge.
        replace(&folder.header(), json.as_bytes()).map_err(failed(folder.header()))?;
        for changed in merges.ancestors().take(2) {
            sync_folder(changed).map_err(failed(changed.to_owned()))?;
        }
        debug!(merge = %header.merge, path = %folder.0.display(), "merge created");
        Ok(self.log_of(&folder, journal, lock))
    }

    /// Loads a merge, also while another process drives it.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchMerge`], [`RegistryError::TooNew`], [`RegistryError::Damaged`] when the header cannot be read,
    /// [`RegistryError::Read`].
    pub fn load_merge(&self, merge: &MergeId) -> Result<MergeHistory, RegistryError> {
        let folder = self.folder_of_merge(merge);
        let unread = |path: PathBuf| move |source| RegistryError::Read { path, source };
        let driven = RunLock::is_held(&folder.lock()).map_err(unread(folder.lock()))?;
        let header = read_header(&folder, merge)?;
        let (events, damage, _) = read_journal(&folder.journal())?;
        Ok(MergeHistory { record: MergeRecord::fold(header, &events), driven, damage })
    }

    /// Makes this process the driver of a merge whose driver has ended. What stands behind a damaged line is cut off, and
    /// kept beside the journal.
    ///
    /// # Errors
    /// [`RegistryError::MergeHeld`] while a process drives it, those of [`load_merge`](Self::load_merge), and
    /// [`RegistryError::Write`].
    pub fn resume_merge(&self, merge: &MergeId) -> Result<(MergeHistory, FsMergeLog), RegistryError> {
        let folder = self.folder_of_merge(merge);
        let failed = |path: PathBuf| move |source| RegistryError::Write { path, source };
        let header = read_header(&folder, merge)?;
        let lock = RunLock::take(&folder.lock()).map_err(failed(folder.lock()))?;
        let lock = lock.ok_or_else(|| RegistryError::MergeHeld { merge: merge.clone() })?;
        let path = folder.journal();
        let (events, damage, whole) = read_journal(&path)?;
        if !damage.is_empty() {
            let aside = folder.0.join("journal.damaged.jsonl");
            fs::copy(&path, &aside).map_err(failed(aside))?;
        }
        let journal = regular::open(&path, private().append(true).create(true)).map_err(failed(path.clone()))?;
        journal.set_len(whole).and_then(|()| journal.sync_data()).map_err(failed(path))?;
        let history = MergeHistory { record: MergeRecord::fold(header, &events), driven: true, damage };
        Ok((history, self.log_of(&folder, journal, lock)))
    }

    fn folder_of_merge(&self, merge: &MergeId) -> MergeFolder {
        MergeFolder(self.merge_folder(merge))
    }

    fn log_of(&self, folder: &MergeFolder, journal: File, lock: RunLock) -> FsMergeLog {
        FsMergeLog {
            path: folder.journal(),
            journal,
            checks: self.state.join("checks"),
            has_failed: false,
            _lock: lock,
        }
    }
}

fn read_header(folder: &MergeFolder, merge: &MergeId) -> Result<MergeHeader, RegistryError> {
    let path = folder.header();
    match regular::read(&path, MAX_HEADER) {
        Ok(json) => merge_from_json(&json).map_err(|error| unreadable(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(RegistryError::NoSuchMerge { merge: merge.to_string() })
        }
        Err(source) => Err(RegistryError::Read { path, source }),
    }
}

/// The events of a journal up to a damaged line, the damage, and the length of the sound lines. A last line without its
/// newline was being written when the machine stopped.
fn read_journal(path: &Path) -> Result<(Vec<MergeEvent>, Vec<String>, u64), RegistryError> {
    let bytes = match regular::read(path, MAX_HEADER) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Vec::new(), vec!["journal.jsonl is missing".to_owned()], 0));
        }
        Err(source) => return Err(RegistryError::Read { path: path.to_owned(), source }),
    };
    let (mut events, mut whole): (Vec<MergeEvent>, u64) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else { break };
        match decode_merge_event(text) {
            Ok(event) => events.push(event),
            Err(FormatError::TooNew { found, known }) => {
                return Err(RegistryError::TooNew { path: path.to_owned(), found, known });
            }
            Err(error) => {
                let damage = format!("line {} of journal.jsonl is damaged: {}", events.len() + 1, error_chain(&error));
                return Ok((events, vec![damage], whole));
            }
        }
        whole += line.len() as u64;
    }
    Ok((events, Vec::new(), whole))
}

impl FsMergeLog {
    fn check(&self, tree: &TreeId, key: &str) -> PathBuf {
        self.checks.join(format!("{tree}-{key}.json"))
    }

    fn append(&mut self, event: &MergeEvent) -> io::Result<()> {
        let line = encode_merge_event(event).map_err(io::Error::other)?;
        self.journal.write_all(line.as_bytes())?;
        self.journal.sync_data()
    }
}

impl MergeLog for FsMergeLog {
    fn write(&mut self, event: &MergeEvent) -> Result<(), RegistryError> {
        if self.has_failed {
            return Err(RegistryError::Stopped);
        }
        let written = self.append(event);
        self.has_failed = written.is_err();
        written.map_err(|source| RegistryError::Write { path: self.path.clone(), source })
    }

    fn kept_check(&self, tree: &TreeId, key: &str) -> Option<TrialResult> {
        let json = regular::read(&self.check(tree, key), MAX_RECORD).ok()?;
        // One that cannot be read was not kept; it is made and kept again.
        kept_check_from_json(&json).ok()
    }

    fn keep_check(&mut self, tree: &TreeId, key: &str) -> Result<(), RegistryError> {
        let path = self.check(tree, key);
        let keep = || {
            create_folders(&self.checks)?;
            let json = kept_check_to_json(TrialResult::Green).map_err(io::Error::other)?;
            replace(&path, json.as_bytes())
        };
        keep().map_err(|source| RegistryError::Write { path: path.clone(), source })
    }
}
