//! Repairing the files of a run before another process resumes it.
//!
//! Each step leaves files from which the next one, or a repetition, can continue, so a crash at any moment leaves a run that
//! can be resumed again.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use gadugi_core::registry::{RegistryError, RunHistory};
use gadugi_core::run::WarningKind;
use gadugi_core::{AttemptRef, Event, EventKind, RunId, RunRecord, crash_point, error_chain};
use jiff::Timestamp;
use tracing::debug;

use super::durable::{create_folder, move_aside, private, replace, set_aside};
use super::header;
use super::intent_file::write_copy;
use super::journal::history::{History, LastRead, read_history};
use super::journal::rebuild::{lost_end, unknown_attempts};
use super::journal::{self, Journal};
use super::layout::{INTENT, RunFolder};
use super::lock::RunLock;
use super::log::unwritable;
use super::owner::Owner;
use super::regular::{self, MAX_RECORD};
use crate::format::{FormatError, decode, encode, encode_after};

/// Reads a run whose lock this process holds, and repairs its files. `seen` is the last reading, which is repeated only if the
/// journal has changed. No file is changed before all of them are known to be of no newer version.
pub(super) fn resume(
    folder: &RunFolder,
    run: &RunId,
    lock: &RunLock,
    seen: Option<LastRead>,
) -> Result<RunHistory, RegistryError> {
    let header = header::read(folder, run)?;
    let History { mut journal, record, rebuilt } = match seen.and_then(|seen| seen.still(&header.run, folder)) {
        Some(told) => told,
        None => {
            read_history(&header.run, folder, |journal, record| Ok(lost_end(&header.run, folder, journal, record)))?
        }
    };
    let mut record = record?;
    write_owner(folder, lock)?;
    header::mend(folder, &header)?;
    match rebuilt {
        Some(events) => {
            let warning = mend_journal(folder, &mut journal, events)?;
            debug!(%run, "journal rebuilt");
            // A warning can follow on everything.
            record
                .apply(&warning)
                .map_err(|error| RegistryError::Damaged { path: folder.journal(), what: error_chain(&error) })?;
        }
        None => {
            let path = folder.journal();
            end_journal(&path, &journal).map_err(|source| RegistryError::Write { path, source })?;
        }
    }
    mend_intents(folder, &record, &mut journal.damage)?;
    let damage = header.damage.into_iter().chain(journal.damage).collect();
    Ok(RunHistory { record, last: journal.last, driven: true, damage })
}

/// Writes down the holder of the lock.
pub(super) fn write_owner(folder: &RunFolder, lock: &RunLock) -> Result<(), RegistryError> {
    let path = folder.owner();
    let lock_file = lock.lock_file().map_err(|source| RegistryError::Write { path: folder.lock(), source })?;
    let json = Owner::this_process(Some(lock_file)).to_json().map_err(|error| unwritable(path.clone(), error))?;
    replace(&path, json.as_bytes()).map_err(|source| RegistryError::Write { path, source })?;
    crash_point("registry-owner-written");
    Ok(())
}

/// Cuts off a line that was not written to its end, so that nothing is ever glued to it.
fn end_journal(path: &Path, journal: &Journal) -> io::Result<()> {
    let mut file = regular::open(path, private().append(true))?;
    let is_torn = file.metadata()?.len() > journal.whole;
    if is_torn {
        file.set_len(journal.whole)?;
    }
    if journal.unended {
        file.write_all(b"\n")?;
    }
    if is_torn || journal.unended { file.sync_data() } else { Ok(()) }
}

/// Puts the events that can be known in place of a damaged journal, which is set aside, with a warning at its end that
/// says so. Gives the warning.
fn mend_journal(folder: &RunFolder, journal: &mut Journal, mut events: Vec<Event>) -> Result<Event, RegistryError> {
    let path = folder.journal();
    let failed = |source| RegistryError::Write { path: path.clone(), source };
    let missing = match journal.highest - events.len() as u64 {
        0 => "it lacks nothing that is known of".to_owned(),
        missing => format!("it lacks {missing} of {} events", journal.highest),
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
    journal.last = journal.highest + 1;
    let warning = Event { seq: journal.last, at: Timestamp::now(), kind };
    events.push(warning.clone());
    let lines = lines(&events).map_err(|error| unwritable(path.clone(), error))?;
    replace(&path, lines.as_bytes()).map_err(failed)?;
    crash_point("registry-journal-rebuilt");
    Ok(warning)
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

/// Writes the folder and `intent.json` of every attempt in a sound journal, and moves aside every other `intent.json`, which
/// would be in the way of a later attempt.
fn mend_intents(folder: &RunFolder, record: &RunRecord, damage: &mut Vec<String>) -> Result<(), RegistryError> {
    let tasks = folder.tasks();
    if make_folder(&tasks, folder, damage).map_err(|source| RegistryError::Write { path: tasks, source })? {
        damage.push("tasks was missing, with the files of all attempts; it was made again".to_owned());
    }
    let mut mended = Ok(());
    journal::read_only(&folder.journal(), &["attempt_intended"], |event, line| {
        let EventKind::AttemptIntended { attempt, .. } = &event.kind else { return };
        let path = folder.attempt(attempt).join(INTENT);
        // There can be many that are over, and each is checked when something is rebuilt from it.
        let is_as_long =
            || path.symlink_metadata().is_ok_and(|file| file.is_file() && file.len() == line.len() as u64 + 1);
        if mended.is_ok() && !(is_over(record, attempt) && is_as_long()) {
            mended = mend_intent(&path, &event, line, folder, damage)
                .map_err(|source| RegistryError::Write { path: path.clone(), source });
        }
    })?;
    mended?;
    for attempt in unknown_attempts(folder, record, damage) {
        let path = attempt.join(INTENT);
        put_away(&path, folder, damage).map_err(|source| RegistryError::Write { path, source })?;
    }
    Ok(())
}

fn is_over(record: &RunRecord, attempt: &AttemptRef) -> bool {
    let Some(task) = record.task(&attempt.task) else { return false };
    let found = task.attempts.binary_search_by_key(&attempt.number, |attempt| attempt.number);
    found.is_ok_and(|at| task.attempts[at].ended.is_some())
}

/// Makes the file of an intent hold that event, which has this line in the journal.
fn mend_intent(
    path: &Path,
    event: &Event,
    line: &[u8],
    folder: &RunFolder,
    damage: &mut Vec<String>,
) -> io::Result<()> {
    let is_sound = |there: Vec<u8>| {
        let there = there.strip_suffix(b"\n").unwrap_or(&there);
        // The line of the journal may say, too, what is lost before it.
        there == line || decode(there).is_ok_and(|there| there == *event)
    };
    let there = regular::read(path, MAX_RECORD);
    // What a crash of the machine makes of a file that was not synced. Nothing of it is worth being kept, or told.
    let is_blank = there.as_ref().is_ok_and(|there| there.iter().all(|byte| *byte == 0));
    if there.is_ok_and(is_sound) {
        return Ok(());
    }
    let above: Vec<&Path> = path.ancestors().skip(1).take(2).collect();
    for above in above.into_iter().rev() {
        make_folder(above, folder, damage)?;
    }
    if is_blank {
        fs::remove_file(path)?;
    } else {
        put_away(path, folder, damage)?;
    }
    let line = encode(event).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let copy = write_copy(path, line.as_bytes())?;
    copy.map_or(Ok(()), |copy| copy.link())
}

/// Makes a folder where there is none; says whether it did. What is no folder is moved aside.
fn make_folder(path: &Path, folder: &RunFolder, damage: &mut Vec<String>) -> io::Result<bool> {
    match create_folder(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if path.is_dir() => Ok(false),
        Err(_) => {
            put_away(path, folder, damage)?;
            create_folder(path).map(|()| true)
        }
        Ok(()) => Ok(true),
    }
}

/// Moves a file aside, if it is there.
fn put_away(path: &Path, folder: &RunFolder, damage: &mut Vec<String>) -> io::Result<()> {
    match move_aside(path) {
        Ok(aside) => {
            let shown = |path: &Path| path.strip_prefix(folder.path()).unwrap_or(path).display().to_string();
            damage.push(format!("{} was of no use, and is kept as {}", shown(path), shown(&aside)));
            Ok(())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        Err(error) => Err(error),
    }
}
