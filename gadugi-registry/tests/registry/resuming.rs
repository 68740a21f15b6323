//! Runs that another process resumes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gadugi_core::executor::ExitStatus;
use gadugi_core::registry::{RegistryError, RunLog};
use gadugi_core::run::{TaskState, WarningKind};
use gadugi_core::{Event, EventKind, Outcome, Phase, Registry, RunHeader, RunRecord};
use gadugi_registry::FsRegistry;
use gadugi_registry::format::event_to_json;
use tempfile::TempDir;

use crate::sample::{
    CHILD_STATE, Story, Told, attempt, child_state, copy_folder, every_outcome, header, keep, let_go, load, raw,
    resume, simple_header, start_of_time, task, write,
};

/// A run whose driver has ended before it did.
pub(crate) struct Left {
    folder: TempDir,
    pub(crate) registry: FsRegistry,
    pub(crate) header: RunHeader,
    pub(crate) events: Vec<Event>,
}

impl Left {
    /// One task has ended, one runs, one waits.
    pub(crate) async fn short() -> Self {
        let header = header('s', vec![raw("a", &[]), raw("b", &["a"]), raw("c", &["b"])]);
        let mut story = Story::new(header.run.clone());
        story.then(EventKind::RunStarted).whole("a", ExitStatus::Code(0), Outcome::Succeeded);
        let b = attempt("b", 1);
        story.intent(&b).worktree(&b).started(&b, Phase::Main);
        Self::new(header, story.events).await
    }

    /// A success, a retry, a check that fails, and a task whose first attempt was just intended.
    async fn middling() -> Self {
        let (header, mut events) = every_outcome();
        events.truncate(36);
        Self::new(header, events).await
    }

    /// Nearly everything has happened.
    async fn long() -> Self {
        let (header, mut events) = every_outcome();
        events.pop();
        Self::new(header, events).await
    }

    async fn new(header: RunHeader, events: Vec<Event>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let registry = FsRegistry::new(folder.path());
        write(&registry, &header, &events).await;
        let_go(&registry, &header.run).await;
        Self { folder, registry, header, events }
    }

    /// The same files in another place.
    pub(crate) fn twin(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy_folder(self.folder.path(), folder.path());
        let registry = FsRegistry::new(folder.path());
        Self { folder, registry, header: self.header.clone(), events: self.events.clone() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.registry.run_folder(&self.header.run).join(name)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.file("journal.jsonl")
    }

    pub(crate) async fn load(&self) -> Told {
        load(&self.registry, &self.header.run).await.expect("a run")
    }

    pub(crate) async fn resume(&self) -> (Told, Box<dyn RunLog>) {
        resume(&self.registry, &self.header.run).await.expect("it is taken over")
    }

    /// Resumes the run, drives it, and releases it; returns the history at the resumption.
    pub(crate) async fn resume_and_drive(&self) -> Told {
        let (history, mut log) = self.resume().await;
        keep(&mut log, &resumed_after(&history)).await;
        drop(log);
        let again = self.load().await;
        assert_eq!(again.events[..history.events.len()], history.events, "what was known stays");
        assert_eq!(again.events.last(), Some(&resumed_after(&history)), "what was appended is found");
        RunRecord::fold(again.header, &again.events).expect("events that follow one another");
        history
    }

    /// All files of the run, with what they hold.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.file("")];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    files.insert(path.clone(), fs::read(&path).expect("a file"));
                }
            }
        }
        files
    }

    /// Asserts that nothing in it is invented: each event was written, or is the end of an attempt that is called
    /// lost or is concluded, or says what became of the journal.
    pub(crate) fn assert_true(&self, history: &Told) {
        for event in &history.events {
            let happened = self.events.iter().any(|original| original.kind == event.kind);
            let told = match &event.kind {
                EventKind::AttemptEnded { outcome: Outcome::Lost { .. }, .. } => true,
                EventKind::Warning { kind, .. } => *kind == WarningKind::Damage,
                _ => false,
            };
            assert!(happened || told, "{event:?} is invented");
        }
        assert!(history.events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
        RunRecord::fold(history.header.clone(), &history.events).expect("events that follow one another");
    }

    /// Cuts the journal, and asserts that the run can be gone on with.
    async fn cut_and_resume(&self, bytes: &[u8], length: usize) {
        fs::write(self.journal(), &bytes[..length]).expect("a journal");
        let loaded = self.load().await;
        let history = self.resume_and_drive().await;
        self.assert_true(&history);
        assert!(history.events.starts_with(&loaded.events), "cut at {length}");
        let whole = bytes[..=length.min(bytes.len() - 1)].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(history.events[..whole], self.events[..whole], "cut at {length}");
        assert_eq!(history.damage.is_empty(), loaded.damage.is_empty(), "cut at {length}: {:?}", history.damage);
        let aside = self.file("journal.damaged-1.jsonl");
        assert_eq!(aside.exists(), !loaded.damage.is_empty(), "cut at {length}");
        if aside.exists() {
            assert_eq!(fs::read(aside).expect("it is readable"), bytes[..length]);
        }
    }
}

pub(crate) fn resumed_after(history: &Told) -> Event {
    let seq = history.events.last().map_or(0, |event| event.seq) + 1;
    Event { seq, at: start_of_time(), kind: EventKind::RunResumed { moment: None } }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).expect("text").lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_the_next_driver_writes_stands_behind_what_the_last_one_wrote() {
    let left = Left::long().await;
    let before = lines(&left.journal());
    let history = left.resume_and_drive().await;
    assert_eq!((&history.header, &history.events, history.driven), (&left.header, &left.events, true));
    assert_eq!(history.damage, Vec::<String>::new());
    let after = lines(&left.journal());
    assert_eq!((&after[..before.len()], after.len()), (&before[..], before.len() + 1));
    // Of damage there is no trace, since there was none.
    assert!(left.files().keys().all(|path| !path.display().to_string().contains("damaged")));
}

#[tokio::test]
async fn a_run_that_lost_the_folders_of_its_attempts_is_gone_on_with_and_says_so() {
    let left = Left::short().await;
    fs::remove_dir_all(left.file("tasks")).expect("they go");
    let history = left.resume_and_drive().await;
    assert_eq!(history.events, left.events);
    assert_eq!(history.damage, ["tasks was missing, with the files of all attempts; it was made again"]);
    assert!(left.file("tasks/a/1/intent.json").is_file() && left.file("tasks/b/1/intent.json").is_file());
    assert_eq!(left.resume_and_drive().await.damage, Vec::<String>::new());
}

#[tokio::test]
async fn the_next_driver_is_the_owner() {
    let left = Left::short().await;
    fs::write(left.file("owner.json"), "not an owner any more").expect("a file");
    let (_, log) = left.resume().await;
    assert_eq!(left.registry.owner(&left.header.run).expect("readable").expect("this one").pid, std::process::id());
    let error = left.registry.resume(&left.header.run).await.err().expect("it is held");
    let RegistryError::Held { run, holder } = error else { panic!("{error}") };
    assert_eq!(run, left.header.run);
    assert!(holder.starts_with(&format!("process {}", std::process::id())), "{holder}");
    drop(log);
}

#[tokio::test]
async fn a_run_that_is_not_there_cannot_be_gone_on_with() {
    let left = Left::short().await;
    let error = left.registry.resume(&simple_header('z', 1).run).await.err().expect("there is none");
    assert!(matches!(error, RegistryError::NoSuchRun { .. }), "{error}");
}

#[tokio::test]
async fn a_run_cut_at_the_end_or_the_middle_of_each_line_is_gone_on_with() {
    let left = Left::long().await;
    let bytes = fs::read(left.journal()).expect("a journal");
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    for end in ends.step_by(3) {
        for length in [end - 40, end - 1, end, end + 1] {
            left.twin().cut_and_resume(&bytes, length).await;
        }
    }
}

#[tokio::test]
async fn a_torn_line_is_cut_off_and_nothing_is_glued_to_it() {
    let left = Left::short().await;
    let before = lines(&left.journal());
    for torn in ["{\"v\":2,\"seq\":13,\"at\"", "\0\0\0\0", "{"] {
        let twin = left.twin();
        fs::write(twin.journal(), before.join("\n") + "\n" + torn).expect("a journal");
        let history = twin.resume_and_drive().await;
        assert_eq!((&history.events, &history.damage), (&left.events, &Vec::new()), "{torn}");
        assert_eq!(lines(&twin.journal())[..before.len()], before);
    }
}

#[tokio::test]
async fn a_damaged_journal_is_set_aside_and_rebuilt_once() {
    let left = Left::long().await;
    let mut bytes = fs::read(left.journal()).expect("a journal");
    bytes[100] ^= 1;
    fs::write(left.journal(), &bytes).expect("a damaged journal");
    let history = left.resume_and_drive().await;
    assert_eq!(history.damage[0], "line 2 of journal.jsonl is damaged: its checksum is wrong");
    assert_eq!(fs::read(left.file("journal.damaged-1.jsonl")).expect("it is kept"), bytes);
    let warning = history.events.last().expect("a warning");
    let EventKind::Warning { kind: WarningKind::Damage, message, .. } = &warning.kind else { panic!("{warning:?}") };
    insta::assert_snapshot!(message, @"journal.jsonl was damaged and was rebuilt; it lacks 1 of 137 events; the damaged one is kept as journal.damaged-1.jsonl");
    assert_eq!(warning.seq, left.events.len() as u64 + 1);

    // The rebuilt one says what is lost, and is no reason to rebuild.
    let before = fs::read(left.journal()).expect("a journal");
    let again = left.resume_and_drive().await;
    assert_eq!(again.damage, ["1 event before line 2 of journal.jsonl is lost"]);
    assert!(fs::read(left.journal()).expect("a journal").starts_with(&before));
    assert!(!left.file("journal.damaged-2.jsonl").exists());

    // What is damaged later is set aside beside it.
    let mut bytes = fs::read(left.journal()).expect("a journal");
    bytes[300] ^= 1;
    fs::write(left.journal(), &bytes).expect("a damaged journal");
    left.resume_and_drive().await;
    assert_eq!(fs::read(left.file("journal.damaged-2.jsonl")).expect("it is kept"), bytes);
}

#[tokio::test]
async fn a_damaged_journal_that_a_crash_has_left_set_aside_is_set_aside_once() {
    let left = Left::long().await;
    let mut bytes = fs::read(left.journal()).expect("a journal");
    bytes[100] ^= 1;
    fs::write(left.journal(), &bytes).expect("a damaged journal");
    fs::write(left.file("journal.damaged-1.jsonl"), "of an earlier time").expect("a file");
    fs::hard_link(left.journal(), left.file("journal.damaged-2.jsonl")).expect("a second name");
    left.resume_and_drive().await;
    assert!(!left.file("journal.damaged-3.jsonl").exists());
    assert_eq!(lines(&left.file("journal.damaged-1.jsonl")), ["of an earlier time"]);
    assert_eq!(fs::read(left.file("journal.damaged-2.jsonl")).expect("it is kept"), bytes);
}

#[tokio::test]
async fn an_attempt_that_may_still_run_stays_open_when_its_start_and_end_are_lost() {
    let left = Left::short().await;
    let text = fs::read_to_string(left.journal()).expect("a journal");
    // Up to before the intent of `b`.
    let cut: String = text.split_inclusive('\n').take(9).collect();
    fs::write(left.journal(), cut).expect("a journal");
    fs::remove_file(left.journal()).expect("it was there");
    let history = left.resume_and_drive().await;
    left.assert_true(&history);
    let record = RunRecord::fold(history.header, &history.events).expect("a run");
    assert!(matches!(record.task(&task("b")).expect("a task").state, TaskState::Preparing { .. }));
    assert_eq!(record.task(&task("a")).expect("a task").outcome(), Some(&Outcome::Succeeded));
}

#[tokio::test]
async fn every_attempt_has_its_folder_and_its_intent_when_a_run_is_taken_over() {
    let left = Left::short().await;
    let intent = left.file("tasks/b/1/intent.json");
    let line = fs::read(&intent).expect("an intent");
    fs::remove_dir_all(left.file("tasks")).expect("they were there");
    fs::create_dir(left.file("tasks")).expect("a folder");
    let (_, log) = left.resume().await;
    assert_eq!(fs::read(&intent).expect("an intent"), line);
    assert_eq!(log.attempt_folder(&attempt("b", 1)), intent.parent().expect("a folder"));
}

#[tokio::test]
async fn intents_that_a_loss_of_power_has_emptied_are_written_again_without_a_word() {
    let left = Left::short().await;
    let intents = ["tasks/a/1", "tasks/b/1"].map(|attempt| left.file(attempt).join("intent.json"));
    let lines = intents.each_ref().map(|intent| fs::read(intent).expect("an intent"));
    fs::write(&intents[0], "").expect("a file without content");
    fs::write(&intents[1], vec![0; lines[1].len()]).expect("a file of zeros");
    let (history, _log) = left.resume().await;
    assert_eq!(history.damage, Vec::<String>::new());
    assert_eq!(intents.each_ref().map(|intent| fs::read(intent).expect("an intent")), lines);
}

#[tokio::test]
async fn the_intent_of_a_task_that_is_over_is_mended_where_it_was_cut() {
    let left = Left::short().await;
    let intent = left.file("tasks/a/1/intent.json");
    let line = fs::read(&intent).expect("an intent");
    fs::write(&intent, &line[..line.len() / 2]).expect("a small file");
    left.resume_and_drive().await;
    assert_eq!(fs::read(&intent).expect("an intent"), line);
}

#[tokio::test]
async fn a_run_that_was_gone_on_with_since_it_was_seen_is_read_again() {
    let left = Left::short().await;
    let seen = left.load().await;
    let other = FsRegistry::new(left.folder.path());
    let (history, mut log) = resume(&other, &left.header.run).await.expect("it is taken over");
    assert_eq!(history.events, seen.events);
    keep(&mut log, &resumed_after(&history)).await;
    drop(log);
    let run = &left.header.run;
    let (history, log) = left.registry.resume(run).await.expect("it is taken over");
    assert_eq!((history.last, history.record.interruptions.len()), (resumed_after(&seen).seq, 1));
    drop(log);
}

#[tokio::test]
async fn an_intent_that_is_of_no_use_is_not_in_the_way_of_a_later_attempt() {
    let left = Left::short().await;
    for (name, of) in [("tasks/c/1", "tasks/a/1"), ("tasks/x/7", "tasks/b/1")] {
        fs::create_dir_all(left.file(name)).expect("a folder");
        fs::copy(left.file(of).join("intent.json"), left.file(name).join("intent.json")).expect("a copy");
    }
    let (history, mut log) = left.resume().await;
    assert_eq!(history.events, left.events);
    assert!(
        history
            .damage
            .contains(&"tasks/c/1/intent.json was of no use, and is kept as tasks/c/1/intent.damaged-1.json".into()),
        "{:?}",
        history.damage
    );
    let seq = history.events.last().expect("events").seq + 1;
    let kind = EventKind::AttemptIntended { attempt: attempt("c", 1), executor: "fake".into() };
    log.intent(&Event { seq, at: start_of_time(), kind }).await.expect("nothing is in the way");
}

#[tokio::test]
async fn a_newer_version_is_refused_and_nothing_is_changed() {
    let left = Left::short().await;
    let plain = event_to_json(&resumed_after(&left.load().await)).expect("a line").replace(r#""v":2"#, r#""v":3"#);
    let at = plain.find("\"kind\"").expect("a kind");
    let line = format!("{}\"crc\":\"{:08x}\",{}\n", &plain[..at], crc32c::crc32c(plain.as_bytes()), &plain[at..]);
    let newer = left.twin();
    let mut text = fs::read_to_string(newer.journal()).expect("a journal");
    text += &line;
    fs::write(newer.journal(), text).expect("a newer journal");
    let before = newer.files();
    let error = newer.registry.resume(&newer.header.run).await.err().expect("it is too new");
    assert!(matches!(error, RegistryError::TooNew { found: 3, known: 2, .. }), "{error}");
    assert_eq!(newer.files(), before);
    assert!(!newer.registry.is_driven(&newer.header.run).expect("readable"));

    let newer = left.twin();
    let json = "{\n  \"v\": 3,\n  \"all\": \"new\"\n}\n";
    let (head, tail) = json.split_at(json.find("  \"all").expect("a member"));
    let sealed = format!("{head}  \"crc\": \"{:08x}\",\n{tail}", crc32c::crc32c(json.as_bytes()));
    fs::write(newer.file("run.json"), sealed).expect("a newer header");
    let before = newer.files();
    let error = newer.registry.resume(&newer.header.run).await.err().expect("it is too new");
    assert!(matches!(error, RegistryError::TooNew { found: 3, known: 2, .. }), "{error}");
    assert_eq!(newer.files(), before);
}

#[tokio::test]
async fn a_header_that_is_missing_or_damaged_is_read_from_its_copy_and_written_anew() {
    let left = Left::short().await;
    let json = fs::read_to_string(left.file("run.json")).expect("a header");
    for (change, wanted) in [
        (Some(json.replace("main", "mane")), "run.json is damaged: its checksum is wrong; its copy is used"),
        (Some(String::new()), "its copy is used"),
        (None, "run.json is missing; its copy is used"),
    ] {
        let twin = left.twin();
        match &change {
            Some(damaged) => fs::write(twin.file("run.json"), damaged).expect("a damaged header"),
            None => fs::remove_file(twin.file("run.json")).expect("it was there"),
        }
        assert_eq!(twin.registry.list().await.expect("runs").len(), 1);
        let history = twin.load().await;
        assert_eq!((&history.header, &history.events), (&left.header, &left.events));
        assert!(history.damage.len() == 1 && history.damage[0].ends_with(wanted), "{:?}", history.damage);
        assert_eq!(twin.resume_and_drive().await.damage, history.damage);
        assert_eq!(fs::read_to_string(twin.file("run.json")).expect("a header"), json);
        assert_eq!(twin.load().await.damage, Vec::<String>::new());
        assert_eq!(fs::read_to_string(twin.file("run.damaged-1.json")).ok(), change);
    }
    let twin = left.twin();
    fs::write(twin.file("run.copy.json"), "nonsense").expect("a damaged copy");
    assert_eq!(twin.resume_and_drive().await.damage, Vec::<String>::new());
    assert_eq!(fs::read_to_string(twin.file("run.copy.json")).expect("a copy"), json);
    for name in ["run.json", "run.copy.json"] {
        fs::write(twin.file(name), "nonsense").expect("a damaged file");
    }
    let error = twin.registry.resume(&twin.header.run).await.err().expect("nothing is known of it");
    assert!(matches!(error, RegistryError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn who_follows_a_journal_goes_on_behind_its_rebuilding() {
    let left = Left::long().await;
    let mut follower = left.registry.follow(&left.header.run);
    assert_eq!(follower.next_events().expect("sound lines"), left.events);
    let mut bytes = fs::read(left.journal()).expect("a journal");
    bytes[100] ^= 1;
    fs::write(left.journal(), &bytes).expect("a damaged journal");
    let history = left.resume_and_drive().await;
    let behind = [history.events.last().expect("a warning").clone(), resumed_after(&history)];
    assert_eq!(follower.next_events().expect("sound lines"), behind);
}

#[tokio::test]
async fn events_are_in_the_order_of_their_numbers_whatever_the_clock_says() {
    let mut left = Left::long().await;
    fs::remove_dir_all(left.file("")).expect("it was there");
    for (n, event) in left.events.iter_mut().enumerate() {
        event.at = start_of_time() - jiff::SignedDuration::from_hours(24 * n as i64);
    }
    write(&left.registry, &left.header, &left.events).await;
    let_go(&left.registry, &left.header.run).await;
    let history = left.resume_and_drive().await;
    assert_eq!((history.events, history.damage), (left.events.clone(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_take_over_one_run_at_once_one_wins() {
    let left = Left::short().await;
    for _ in 0..5 {
        let tries: Vec<_> = (0..16)
            .map(|_| {
                let (registry, run) = (left.registry.clone(), left.header.run.clone());
                tokio::spawn(async move { registry.resume(&run).await })
            })
            .collect();
        let mut winners = Vec::new();
        for each in tries {
            match each.await.expect("no panic") {
                Ok(won) => winners.push(won),
                Err(error) => assert!(matches!(error, RegistryError::Held { .. }), "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        drop(winners);
        let_go(&left.registry, &left.header.run).await;
    }
}

/// Run by the next test in processes of its own.
#[tokio::test]
#[ignore = "only makes sense in the processes that the next test starts"]
async fn in_a_process_that_takes_over() {
    let Some(state) = child_state() else { return };
    let taken = FsRegistry::new(state).resume(&simple_header('s', 1).run).await;
    println!("\n{}", if taken.is_ok() { "won" } else { "held" });
    // Until all have tried.
    std::io::stdin().lines().for_each(drop);
}
#[tokio::test]
async fn of_many_processes_that_take_over_one_run_at_once_one_wins() {
    let left = Left::short().await;
    let mut children: Vec<_> = (0..6)
        .map(|_| {
            Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", "resuming::in_a_process_that_takes_over", "--ignored", "--nocapture", "--quiet"])
                .env(CHILD_STATE, left.folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("this program again")
        })
        .collect();
    let mut words = Vec::new();
    let mut outputs = Vec::new();
    for child in &mut children {
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        words.extend(lines.find(|line| line == "won" || line == "held"));
        outputs.push(lines);
    }
    for (mut child, output) in children.into_iter().zip(outputs) {
        drop(child.stdin.take());
        output.for_each(drop);
        child.wait().expect("its end");
    }
    assert_eq!((words.len(), words.iter().filter(|word| *word == "won").count()), (6, 1), "{words:?}");
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Flips a bit somewhere in the files of a run, that many times, each time in the sound run: it is read as it was, or damage is
/// reported, and it can be resumed.
async fn flip_bits(flips: usize, seed: u64) {
    let mut numbers = Numbers(seed);
    let lefts = [Left::short().await, Left::long().await];
    let (mut told, mut same) = (0, 0);
    for flip in 0..flips {
        let left = lefts[flip % 2].twin();
        let files: Vec<_> = left.files().into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        // The journal is one of many files, and the one that matters most.
        let journal = (left.journal(), fs::read(left.journal()).expect("a journal"));
        let (path, mut bytes) = if flip % 3 == 0 { journal } else { files[numbers.below(files.len())].clone() };
        let (at, bit) = (numbers.below(bytes.len()), numbers.below(8));
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).expect("a changed file");
        let what = format!("flip {flip}: bit {bit} of byte {at} of {}", path.display());
        let loaded = left.load().await;
        let intact = (&loaded.header, &loaded.events) == (&left.header, &left.events);
        assert!(intact || !loaded.damage.is_empty(), "{what} is accepted");
        if loaded.damage.is_empty() {
            same += 1
        } else {
            told += 1
        }
        assert_eq!(loaded.header, left.header, "{what}");
        left.assert_true(&loaded);
        let history = left.resume_and_drive().await;
        left.assert_true(&history);
        assert!(history.events.starts_with(&loaded.events), "{what}");
    }
    assert!(told > flips / 4 && same > flips / 4, "{told} told, {same} the same");
}

#[tokio::test]
async fn no_flipped_bit_in_any_file_is_accepted_or_keeps_a_run_from_being_gone_on_with() {
    flip_bits(100, 1).await;
}

mod heavy {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "heavy: goes on with six thousand runs"]
    async fn a_run_cut_at_any_byte_is_gone_on_with() {
        let left = Arc::new(Left::middling().await);
        let bytes = fs::read(left.journal()).expect("a journal");
        let parts: Vec<_> = (0..4)
            .map(|part| {
                let (left, bytes) = (Arc::clone(&left), bytes.clone());
                tokio::spawn(async move {
                    for length in (part..=bytes.len()).step_by(4) {
                        left.twin().cut_and_resume(&bytes, length).await;
                    }
                })
            })
            .collect();
        for part in parts {
            part.await.expect("no panic");
        }
    }

    #[tokio::test]
    #[ignore = "heavy: goes on with a thousand damaged runs"]
    async fn none_of_a_thousand_flipped_bits_is_accepted() {
        flip_bits(1000, 2).await;
    }
}
