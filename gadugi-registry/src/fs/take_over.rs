//! Makes the files of a run whole before another process goes on with it.
//!
//! Each step leaves files from which the next one, or this one once more, can be made, so a crash at any
//! moment leaves a run that can be taken over again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use gadugi_core::{Event, EventKind, RegistryError, RunHistory, RunId, WarningKind, crash_point};
use jiff::Timestamp;

use super::copies::write_copy;
use super::durable::{create_folder, private, replace, set_aside};
use super::header;
use super::journal::{self, Journal};
use super::layout::{INTENT, RunFolder};
use super::lock::RunLock;
use super::log::unwritable;
use super::owner::Owner;
use super::rebuild::{attempt_folders, lost_end, rebuild};
use crate::format::{FormatError, StoredRun, decode, encode, encode_after};

/// Reads a run whose lock this process holds, and mends its files. Before everything that it reads is known to be
/// of no newer version, nothing is changed.
pub(super) fn take_over(folder: &RunFolder, run: &RunId, lock: &RunLock) -> Result<RunHistory, RegistryError> {
    let header = header::read(folder, run)?;
    let mut journal = journal::read(&folder.journal())?;
    if !journal.broken
        && let Some(damage) = lost_end(&header.run, folder, &journal)
    {
        journal.breaks(damage);
    }
    write_owner(folder, lock)?;
    header::mend(folder, &header)?;
    let path = folder.journal();
    let mut mended = if journal.broken {
        mend_journal(&header.run, folder, journal)?
    } else {
        end_journal(&path, &journal).map_err(|source| RegistryError::Write { path, source })?;
        journal
    };
    mend_intents(folder, &mended.events, &mut mended.damage)?;
    let damage = header.damage.into_iter().chain(mended.damage).collect();
    Ok(RunHistory { header: header.run.header, events: mended.events, driven: true, damage })
}

/// Says who holds the lock.
pub(super) fn write_owner(folder: &RunFolder, lock: &RunLock) -> Result<(), RegistryError> {
    let path = folder.owner();
    let lock_file = lock.lock_file().map_err(|source| RegistryError::Write { path: folder.lock(), source })?;
    let json = Owner::this_process(lock_file).to_json().map_err(|error| unwritable(path.clone(), error))?;
    replace(&path, json.as_bytes()).map_err(|source| RegistryError::Write { path, source })?;
    crash_point("registry-owner-written");
    Ok(())
}

/// Cuts off a line that was not written to its end, so that nothing is ever glued to it.
fn end_journal(path: &Path, journal: &Journal) -> io::Result<()> {
    let mut file = private().append(true).open(path)?;
    let is_torn = file.metadata()?.len() > journal.whole;
    if is_torn {
        file.set_len(journal.whole)?;
    }
    if journal.unended {
        file.write_all(b"\n")?;
    }
    if is_torn || journal.unended { file.sync_data() } else { Ok(()) }
}

/// Puts what can be known in place of a damaged journal, which is set aside, with a warning at its end that says
/// so.
fn mend_journal(run: &StoredRun, folder: &RunFolder, journal: Journal) -> Result<Journal, RegistryError> {
    let path = folder.journal();
    let failed = |source| RegistryError::Write { path: path.clone(), source };
    let mut rebuilt = rebuild(run, folder, journal);
    let missing = match rebuilt.highest - rebuilt.events.len() as u64 {
        0 => "it lacks nothing that is known of".to_owned(),
        missing => format!("it lacks {missing} of {} events", rebuilt.highest),
    };
    let kept = match set_aside(&path) {
        Ok(aside) => {
            let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("; the damaged one is kept as {name}")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let message = format!("journal.jsonl was damaged and was rebuilt; {missing}{kept}");
    let kind = EventKind::Warning { kind: WarningKind::Damage, task: None, message };
    rebuilt.highest += 1;
    rebuilt.events.push(Event { seq: rebuilt.highest, at: Timestamp::now(), kind });
    let lines = lines(&rebuilt.events).map_err(|error| unwritable(path.clone(), error))?;
    replace(&path, lines.as_bytes()).map_err(failed)?;
    crash_point("registry-journal-rebuilt");
    Ok(rebuilt)
}

fn lines(events: &[Event]) -> Result<String, FormatError> {
    let mut lines = String::new();
    let mut last = 0;
    for event in events {
        lines += &encode_after(event.seq - last - 1, event)?;
        last = event.seq;
    }
    Ok(lines)
}

/// Gives every attempt its folder and its `intent.json`, and sets aside every other `intent.json`, which would be in
/// the way of an attempt that is made later.
fn mend_intents(folder: &RunFolder, events: &[Event], damage: &mut Vec<String>) -> Result<(), RegistryError> {
    match create_folder(&folder.tasks()) {
        Ok(()) => damage.push("tasks was missing, with the files of all attempts; it was made again".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(RegistryError::Write { path: folder.tasks(), source }),
    }
    let mut theirs = BTreeSet::new();
    for event in events {
        let EventKind::AttemptIntended { attempt, .. } = &event.kind else { continue };
        let path = folder.attempt(attempt).join(INTENT);
        let failed = |source| RegistryError::Write { path: path.clone(), source };
        let there = fs::read(&path).ok();
        if there.is_none_or(|line| decode(line.strip_suffix(b"\n").unwrap_or(&line)).ok().as_ref() != Some(event)) {
            put_away(&path, folder, damage).map_err(failed)?;
            let line = encode(event).map_err(|error| unwritable(path.clone(), error))?;
            let copy = write_copy(&path, line.as_bytes()).map_err(failed)?;
            copy.map_or(Ok(()), |copy| copy.link()).map_err(failed)?;
        }
        theirs.insert(path);
    }
    let others = attempt_folders(folder, damage).into_iter().map(|attempt| attempt.join(INTENT));
    for path in others.filter(|path| !theirs.contains(path)).collect::<Vec<PathBuf>>() {
        put_away(&path, folder, damage).map_err(|source| RegistryError::Write { path, source })?;
    }
    Ok(())
}

/// Sets a file aside and takes its name away, if it is there.
fn put_away(path: &Path, folder: &RunFolder, damage: &mut Vec<String>) -> io::Result<()> {
    match set_aside(path) {
        Ok(aside) => {
            fs::remove_file(path)?;
            let shown = |path: &Path| path.strip_prefix(folder.path()).unwrap_or(path).display().to_string();
            damage.push(format!("{} was of no use, and is kept as {}", shown(path), shown(&aside)));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
