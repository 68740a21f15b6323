//! The reconstruction of a run whose journal is damaged or lacks its end.
//!
//! The intent of an attempt is also kept as a file of its own, line for line as in the journal, and in version 1 of a run so
//! are the starts and ends of its commands. Those that the journal has lost are put back with their own numbers. Missing events
//! are then concluded where the later ones allow only one conclusion, for example the end of an attempt whose task has
//! finished. Everything else stays unknown. An attempt whose end is lost and that was followed by another one is called lost;
//! the last one stays open, and the process that resumes the run asks its executor for its end. The result is always a sequence
//! that [`RunRecord::fold`](gadugi_core::RunRecord::fold) takes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gadugi_core::run::{TaskRecord, TaskState};
use gadugi_core::{AttemptNo, AttemptRef, Event, EventKind, Outcome, RunHeader, RunRecord, TaskId, error_chain};

use super::Journal;
use crate::format::{FormatError, StoredRun, decode};
use crate::fs::layout::{FIRST_ATTEMPT_FILES, INTENT, RunFolder, attempt_file};
use crate::fs::regular::{self, MAX_RECORD};

/// The reason in the outcome of an attempt whose end is lost.
const WHY_LOST: &str = "its end stood in a damaged part of the journal";

/// Completes the events of a damaged journal, and adds to its damage what could not be used.
pub(crate) fn rebuild(
    run: &StoredRun,
    folder: &RunFolder,
    journal: Journal,
    events: Vec<Event>,
) -> (Journal, Vec<Event>) {
    let Journal { mut damage, mut highest, .. } = journal;
    let mut known: BTreeMap<u64, Event> = events.into_iter().map(|event| (event.seq, event)).collect();
    let folders = attempt_folders(folder, &mut damage);
    for event in attempt_files(run, folder, &folders, &mut damage) {
        highest = highest.max(event.seq);
        known.entry(event.seq).or_insert(event);
    }
    let concluded = conclude(&run.header, &known);
    known.extend(concluded.into_iter().map(|event| (event.seq, event)));
    let events = keep_what_follows(&run.header, known.into_values(), &mut damage);
    let last = events.last().map_or(0, |event| event.seq);
    (Journal { damage, broken: true, highest, last, ..Journal::default() }, events)
}

/// Returns a message when a journal without a writer ends before an event that an attempt file holds: it was emptied or cut
/// off, or the machine stopped between the file and the journal.
pub(crate) fn lost_end(run: &StoredRun, folder: &RunFolder, journal: &Journal, record: &RunRecord) -> Option<String> {
    if journal.over {
        return None;
    }
    // What is wrong with the files is told when something is put back from them.
    let folders = match run.keeps_all_steps_twice() {
        true => attempt_folders(folder, &mut Vec::new()),
        // The file of an attempt that the journal knows holds nothing that it has not.
        false => unknown_attempts(folder, record, &mut Vec::new()),
    };
    let kept = attempt_files(run, folder, &folders, &mut Vec::new()).into_iter().map(|event| event.seq).max()?;
    let last = journal.last;
    (kept > last).then(|| format!("journal.jsonl ends after number {last}, but an attempt's file has number {kept}"))
}

/// The events that the files of these attempts hold.
fn attempt_files(run: &StoredRun, folder: &RunFolder, attempts: &[PathBuf], damage: &mut Vec<String>) -> Vec<Event> {
    let names = if run.keeps_all_steps_twice() { &FIRST_ATTEMPT_FILES[..] } else { &[INTENT] };
    let mut events = Vec::new();
    for attempt in attempts {
        for name in names {
            let path = attempt.join(name);
            let shown = path.strip_prefix(folder.path()).unwrap_or(&path).display();
            let line = match regular::read(&path, MAX_RECORD) {
                Ok(line) => line,
                // What is in the place of a folder holds no events.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(error) => {
                    damage.push(format!("{shown} cannot be read: {error}"));
                    continue;
                }
            };
            match decode(line.strip_suffix(b"\n").unwrap_or(&line)) {
                Ok(event) if attempt_file(&event.kind) == Some(name) => events.push(event),
                Ok(_) => damage.push(format!("{shown} holds another event")),
                // A newer version has gone on with the run, in which the executor owns this file.
                Err(FormatError::Checksum) if *name != INTENT && !is_like_a_line(&line) => {}
                Err(error) => damage.push(format!("{shown} is damaged: {}", error_chain(&error))),
            }
        }
    }
    events
}

/// Whether a file can have been a line of the journal before it was damaged.
fn is_like_a_line(bytes: &[u8]) -> bool {
    let member = |name: &[u8]| bytes.windows(name.len()).any(|part| part == name);
    member(b"\"seq\":") || member(b"\"crc\":\"")
}

/// The folders of all attempts.
fn attempt_folders(folder: &RunFolder, damage: &mut Vec<String>) -> Vec<PathBuf> {
    let tasks = entries(&folder.tasks(), |_| true, damage);
    tasks.iter().flat_map(|task| entries(task, |_| true, damage)).collect()
}

/// The folders of attempts that a run does not know.
pub(in crate::fs) fn unknown_attempts(
    folder: &RunFolder,
    record: &RunRecord,
    damage: &mut Vec<String>,
) -> Vec<PathBuf> {
    let tasks = entries(&folder.tasks(), |_| true, damage);
    let unknown = tasks.iter().flat_map(|folder| {
        let id = folder.file_name().and_then(|name| name.to_str()?.parse::<TaskId>().ok());
        let task = id.and_then(|id| record.task(&id));
        entries(folder, |attempt| !task.is_some_and(|task| has_attempt(task, attempt)), damage)
    });
    unknown.collect()
}

/// Whether an attempt at a task has a folder of this name.
fn has_attempt(task: &TaskRecord, name: &OsStr) -> bool {
    let digits = name.to_str().filter(|name| !name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| AttemptNo::new(digits.parse().ok()?));
    number.is_some_and(|number| task.attempts.binary_search_by_key(&number, |attempt| attempt.number).is_ok())
}

/// The wanted ones of the folders in a folder. What is no folder, such as a link to one, holds no attempts.
fn entries(folder: &Path, is_wanted: impl Fn(&OsStr) -> bool, damage: &mut Vec<String>) -> Vec<PathBuf> {
    let folder_of = |entry: fs::DirEntry| {
        let is_it = entry.file_type()?.is_dir() && is_wanted(&entry.file_name());
        Ok(is_it.then(|| entry.path()))
    };
    let listed = fs::read_dir(folder)
        .and_then(|entries| entries.filter_map(|entry| entry.and_then(folder_of).transpose()).collect());
    listed.unwrap_or_else(|error: io::Error| {
        damage.push(format!("{} cannot be read: {error}", folder.display()));
        Vec::new()
    })
}

/// The events that must have happened so that those which are known could follow. Each gets the number
/// of one that is lost.
fn conclude(header: &RunHeader, known: &BTreeMap<u64, Event>) -> Vec<Event> {
    let last = known.keys().next_back().copied().unwrap_or(0);
    let mut conclusion = Conclusion {
        record: RunRecord::new(header.clone()),
        lost: (1..last).filter(|seq| !known.contains_key(seq)).collect(),
        seen: BTreeMap::new(),
        concluded: Vec::new(),
    };
    for event in known.values() {
        conclusion.make_possible(event, known);
        conclusion.apply(event);
    }
    conclusion.concluded
}

struct Conclusion {
    record: RunRecord,
    /// The numbers of lost events.
    lost: BTreeSet<u64>,
    /// The number of the last event about each task.
    seen: BTreeMap<TaskId, u64>,
    concluded: Vec<Event>,
}

impl Conclusion {
    /// Takes in an event, if it is possible now.
    fn apply(&mut self, event: &Event) -> bool {
        let possible = !ends_another_command(&self.record, &event.kind) && self.record.apply(event).is_ok();
        if let Some(task) = event.kind.task().filter(|_| possible) {
            self.seen.insert(task.clone(), event.seq);
        }
        possible
    }

    /// Adds what must have happened before `event`.
    fn make_possible(&mut self, event: &Event, known: &BTreeMap<u64, Event>) {
        match &event.kind {
            EventKind::AttemptIntended { attempt, .. } => {
                let needs = match self.state(&attempt.task) {
                    Some(TaskState::Blocked { by }) => by,
                    _ => Vec::new(),
                };
                for need in needs {
                    self.end_attempt(&need, event, || Outcome::Succeeded);
                    self.finish(&need, event, Outcome::Succeeded);
                }
                self.end_attempt(&attempt.task, event, || Outcome::Lost { why: WHY_LOST.into() });
            }
            // A later attempt may be under way.
            EventKind::WorktreeReleased { attempt } | EventKind::WorktreeKept { attempt, .. }
                if self.under_way(&attempt.task) == Some(attempt.number) =>
            {
                self.end_attempt(&attempt.task, event, || outcome_from_later(attempt, event.seq, known));
            }
            EventKind::TaskFinished { task, outcome } => self.end_attempt(task, event, || outcome.clone()),
            EventKind::RunEnded { .. } => {
                let tasks: Vec<TaskId> = self.record.tasks.iter().map(|task| task.task.spec.id.clone()).collect();
                for task in tasks {
                    if let Some(TaskState::AttemptOver { outcome, .. }) = self.state(&task) {
                        self.finish(&task, event, outcome);
                    }
                }
            }
            _ => {}
        }
    }

    fn state(&self, task: &TaskId) -> Option<TaskState> {
        self.record.task(task).map(|task| task.state.clone())
    }

    /// The attempt that has begun and not ended.
    fn under_way(&self, task: &TaskId) -> Option<AttemptNo> {
        match self.state(task)? {
            TaskState::Preparing { attempt }
            | TaskState::Running { attempt, .. }
            | TaskState::Collecting { attempt } => Some(attempt),
            _ => None,
        }
    }

    /// Ends the attempt that is under way, if one is.
    fn end_attempt(&mut self, task: &TaskId, before: &Event, outcome: impl FnOnce() -> Outcome) {
        if let Some(number) = self.under_way(task) {
            let attempt = AttemptRef { task: task.clone(), number };
            self.add(task, before, EventKind::AttemptEnded { attempt, outcome: outcome(), said: None });
        }
    }

    /// Finishes a task whose last attempt has ended.
    fn finish(&mut self, task: &TaskId, before: &Event, outcome: Outcome) {
        if matches!(self.state(task), Some(TaskState::AttemptOver { .. })) {
            self.add(task, before, EventKind::TaskFinished { task: task.clone(), outcome });
        }
    }

    /// Adds an event with the first lost number that lies after the last event about its task.
    fn add(&mut self, task: &TaskId, before: &Event, kind: EventKind) {
        let after = self.seen.get(task).copied().unwrap_or(0);
        let Some(seq) = self.lost.range(after + 1..before.seq.max(after + 1)).next().copied() else { return };
        let event = Event { seq, at: before.at, kind };
        if self.apply(&event) {
            self.lost.remove(&seq);
            self.concluded.push(event);
        }
    }
}

/// The outcome of an attempt that was the last one, from the end of its task.
fn outcome_from_later(attempt: &AttemptRef, seq: u64, known: &BTreeMap<u64, Event>) -> Outcome {
    let later = known.range(seq..).find_map(|(_, event)| match &event.kind {
        EventKind::AttemptIntended { attempt: next, .. } if next.task == attempt.task => Some(None),
        EventKind::TaskFinished { task, outcome } if *task == attempt.task => Some(Some(outcome.clone())),
        _ => None,
    });
    later.flatten().unwrap_or_else(|| Outcome::Lost { why: WHY_LOST.into() })
}

/// Leaves out, with a sentence for each, what cannot have followed on what is left.
fn keep_what_follows(header: &RunHeader, events: impl Iterator<Item = Event>, damage: &mut Vec<String>) -> Vec<Event> {
    let mut record = RunRecord::new(header.clone());
    let follows = |event: &Event| {
        let why = match ends_another_command(&record, &event.kind) {
            true => "its command was not started".to_owned(),
            false => match record.apply(event) {
                Ok(()) => return true,
                Err(error) => error.to_string(),
            },
        };
        damage.push(format!("event {} is left out, since something before it is lost: {why}", event.seq));
        false
    };
    events.filter(follows).collect()
}

/// Whether an event is the end of another command than of the one that the attempt has started last: the start of
/// its own is lost, and the record would take it for the end of the other one.
fn ends_another_command(record: &RunRecord, kind: &EventKind) -> bool {
    let EventKind::CommandEnded { attempt, phase, .. } = kind else { return false };
    let attempts = record.task(&attempt.task).map(|task| &task.attempts[..]).unwrap_or_default();
    let commands = attempts.iter().filter(|record| record.number == attempt.number).flat_map(|record| &record.commands);
    commands.last().is_none_or(|command| command.phase != *phase || command.end.is_some())
}
