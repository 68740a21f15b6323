//! Journals that are cut off or damaged.

use std::fs;
use std::path::PathBuf;

use gadugi_core::executor::ExitStatus;
use gadugi_core::run::Failure;
use gadugi_core::{Event, EventKind, Outcome, Phase, RunHeader, RunRecord};
use gadugi_registry::FsRegistry;
use tempfile::TempDir;

use crate::sample::{Story, Told, attempt, every_outcome, header, load, raw, task, write};

struct Written {
    _folder: TempDir,
    registry: FsRegistry,
    header: RunHeader,
    events: Vec<Event>,
    journal: PathBuf,
    bytes: Vec<u8>,
}

impl Written {
    /// A run in which every kind of event occurs.
    async fn long() -> Self {
        Self::new(every_outcome()).await
    }

    /// A run that is short enough to be damaged at each of its bytes.
    async fn short() -> Self {
        let header = header('s', vec![raw("a", &[]), raw("b", &["a"])]);
        let mut story = Story::new(header.run.clone());
        story.then(EventKind::RunStarted).whole("a", ExitStatus::Code(0), Outcome::Succeeded);
        let b = attempt("b", 1);
        story.intent(&b).started(&b, Phase::Main).ended(&b, Phase::Main, ExitStatus::Signal(9));
        let outcome = Outcome::Failed(Failure::Signal(9));
        story.over(&b, outcome.clone()).finished("b", outcome).run_ended();
        Self::new((header, story.events)).await
    }

    async fn new((header, events): (RunHeader, Vec<Event>)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let registry = FsRegistry::new(folder.path());
        write(&registry, &header, &events).await;
        let journal = registry.run_folder(&header.run).join("journal.jsonl");
        let bytes = fs::read(&journal).expect("a journal");
        Self { _folder: folder, registry, header, events, journal, bytes }
    }

    /// The run as it is read from a journal with these bytes.
    async fn with(&self, bytes: &[u8]) -> Told {
        fs::write(&self.journal, bytes).expect("a changed journal");
        load(&self.registry, &self.header.run).await.expect("a run that can be read")
    }

    /// The journal without some of its lines, which are counted from 1.
    fn without(&self, lines: &[usize]) -> Vec<u8> {
        let mut kept = Vec::new();
        for (n, line) in self.bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if !lines.contains(&(n + 1)) {
                kept.extend_from_slice(line);
            }
        }
        kept
    }

    /// Asserts that nothing in it is invented: each event happened, or is the end of an attempt that is
    /// called lost. And that it can be folded.
    fn assert_true(&self, history: &Told) {
        for event in &history.events {
            let original = &self.events[event.seq as usize - 1];
            let happened = event == original || self.events.iter().any(|original| original.kind == event.kind);
            let lost = matches!(&event.kind, EventKind::AttemptEnded { outcome: Outcome::Lost { .. }, .. });
            assert!(happened || lost, "{event:?} is invented");
        }
        assert!(history.events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
        RunRecord::fold(history.header.clone(), &history.events).expect("events that follow one another");
    }
}

/// Whether it is also in a file of its attempt.
fn is_kept_twice(event: &Event) -> bool {
    matches!(event.kind, EventKind::AttemptIntended { .. })
}

#[tokio::test]
async fn a_journal_cut_at_any_byte_keeps_all_whole_lines_and_gets_back_what_was_intended() {
    let written = Written::short().await;
    for length in 0..written.bytes.len() {
        let history = written.with(&written.bytes[..length]).await;
        // A line whose newline is the first byte that is missing is whole.
        let whole = written.bytes[..=length].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(history.events[..whole], written.events[..whole], "cut at {length}");
        written.assert_true(&history);
        let lost: Vec<&Event> = written.events[whole..].iter().filter(|event| is_kept_twice(event)).collect();
        for event in &lost {
            assert!(history.events.contains(event), "{event:?} is lost, cut at {length}");
        }
        assert_eq!(history.damage.len(), usize::from(!lost.is_empty()), "cut at {length}: {:?}", history.damage);
    }
}

#[tokio::test]
async fn no_flipped_bit_is_taken_for_what_happened() {
    let written = Written::short().await;
    for at in 0..written.bytes.len() {
        let bit = at % 8;
        let mut bytes = written.bytes.clone();
        bytes[at] ^= 1 << bit;
        let history = written.with(&bytes).await;
        written.assert_true(&history);
        assert!(!history.damage.is_empty(), "bit {bit} of byte {at}");
    }
}

#[tokio::test]
async fn an_intent_that_the_journal_lost_is_found_in_its_file() {
    let written = Written::long().await;
    for (n, event) in written.events.iter().enumerate() {
        if is_kept_twice(event) {
            let history = written.with(&written.without(&[n + 1])).await;
            assert_eq!(history.events, written.events, "without line {}", n + 1);
            assert_eq!(history.damage.len(), 1, "{:?}", history.damage);
        }
    }
}

#[tokio::test]
async fn the_end_of_a_check_is_not_taken_for_the_end_of_the_command() {
    let written = Written::long().await;
    let is_start = |event: &Event| matches!(event.kind, EventKind::CommandStarted { phase: Phase::Check, .. });
    let line = written.events.iter().position(is_start).expect("a check") + 1;
    let history = written.with(&written.without(&[line])).await;
    written.assert_true(&history);
    let left_out =
        format!("event {} is left out, since something before it is lost: its command was not started", line + 1);
    assert!(history.damage.contains(&left_out), "{:?}", history.damage);
    let record = RunRecord::fold(history.header, &history.events).expect("a run");
    let commands = &record.task(&task("check")).expect("a task").attempts[0].commands;
    assert_eq!(commands.iter().map(|c| c.end.map(|end| end.status)).collect::<Vec<_>>(), [Some(ExitStatus::Code(0))]);
}

#[tokio::test]
async fn any_two_lines_can_be_missing_and_the_rest_is_still_a_run() {
    let written = Written::long().await;
    let last = written.events.len();
    for first in 1..last {
        for second in [first + 1, first + 3, first + 7] {
            let history = written.with(&written.without(&[first, second])).await;
            written.assert_true(&history);
        }
    }
}

#[tokio::test]
async fn the_end_of_an_attempt_is_concluded_from_the_end_of_its_task() {
    let written = Written::long().await;
    let ends = |kind: &EventKind| matches!(kind, EventKind::AttemptEnded { .. });
    let lines: Vec<usize> =
        written.events.iter().enumerate().filter(|(_, event)| ends(&event.kind)).map(|(n, _)| n + 1).collect();
    let history = written.with(&written.without(&lines)).await;
    let record = RunRecord::fold(history.header, &history.events).expect("a run");
    let whole = RunRecord::fold(written.header.clone(), &written.events).expect("a run");
    for (task, original) in record.tasks.iter().zip(&whole.tasks) {
        assert_eq!(task.state, original.state, "{}", task.task.spec.id);
        let outcome = |at: usize, task: &gadugi_core::run::TaskRecord| {
            task.attempts[at].ended.clone().map(|(outcome, _)| outcome)
        };
        for at in 0..task.attempts.len() {
            if at + 1 == task.attempts.len() {
                assert_eq!(outcome(at, task), outcome(at, original));
            } else {
                assert!(matches!(outcome(at, task), Some(Outcome::Lost { .. })), "{:?}", outcome(at, task));
            }
        }
    }
}

#[tokio::test]
async fn without_its_journal_a_run_is_rebuilt_from_its_intents_and_what_may_still_run_stays_open() {
    let written = Written::long().await;
    fs::remove_file(&written.journal).expect("it was there");
    let history = load(&written.registry, &written.header.run).await.expect("a run that can be read");
    written.assert_true(&history);
    let intents = |events: &[Event]| events.iter().filter(|event| is_kept_twice(event)).count();
    assert_eq!(intents(&history.events), intents(&written.events));
    assert_eq!(history.damage, ["journal.jsonl is missing"]);
    let record = RunRecord::fold(history.header, &history.events).expect("a run");
    let word = |id: &str| record.task(&task(id)).expect("a task").state.word();
    // Another task that needs it was begun.
    assert_eq!((word("ok"), word("flaky")), ("succeeded", "succeeded"));
    assert_eq!((word("code"), word("merged"), word("skipped")), ("preparing", "preparing", "blocked"));
}

#[tokio::test]
async fn a_damaged_line_is_reported_by_its_number_and_the_file_is_left_alone() {
    let written = Written::long().await;
    let mut bytes = written.bytes.clone();
    bytes[100] ^= 1;
    let history = written.with(&bytes).await;
    assert_eq!(history.damage, ["line 2 of journal.jsonl is damaged: its checksum is wrong"]);
    assert_eq!(fs::read(&written.journal).expect("a journal"), bytes);
}

#[tokio::test]
async fn a_damaged_intent_is_not_believed() {
    let written = Written::long().await;
    let intent = written.registry.run_folder(&written.header.run).join("tasks/ok/1/intent.json");
    let line = fs::read_to_string(&intent).expect("an intent");
    fs::write(&intent, line.replace("subprocess", "docker")).expect("a changed intent");
    let number = written.events.iter().position(is_kept_twice).expect("an intent");
    let history = written.with(&written.without(&[number + 1])).await;
    written.assert_true(&history);
    assert!(history.events.iter().all(|event| event.seq as usize != number + 1));
    assert!(
        history.damage.contains(&"tasks/ok/1/intent.json is damaged: its checksum is wrong".to_owned()),
        "{:?}",
        history.damage
    );
}

#[tokio::test]
async fn files_that_an_executor_keeps_in_the_folder_of_an_attempt_are_not_read() {
    let written = Written::long().await;
    for name in ["proc.json", "exit.json"] {
        let file = written.registry.run_folder(&written.header.run).join("tasks/ok/1").join(name);
        fs::write(file, r#"{"v":9,"crc":"mine"}"#).expect("a file");
    }
    let history = written.with(&written.without(&[1])).await;
    assert_eq!(history.damage.len(), 1, "{:?}", history.damage);
}
