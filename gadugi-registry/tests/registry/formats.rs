//! The formats on disk, and reading them back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gadugi_core::agent::{AgentError, AgentErrorClass, AgentReport, Figure, NeedDone, OwnPart, RateLimit, Tokens};
use gadugi_core::executor::{ExecEnd, ExecIdentity, ExecUsage, ExitStatus, OutputSummary};
use gadugi_core::plan::{Changes, EarlierAttempt, EarlierConversation, FailedCheck, Origin, RawTask, RetryFrom, Setup};
use gadugi_core::registry::RegistryError;
use gadugi_core::run::{
    Clock, Counterpart, Failure, ForeseenConflict, Moment, RunLink, SkipReason, StopReason, WarningKind,
};
use gadugi_core::worktrees::{Counts, Elsewhere, IgnoredFiles, KeepReason, NeededTip, Seeded, Work};
use gadugi_core::{
    AttemptNo, AttemptRef, Event, EventKind, Lease, MergeId, Outcome, Phase, Registry, RunHeader, TaskId,
};
use gadugi_registry::FsRegistry;
use gadugi_registry::format::event_to_json;
use insta::{assert_snapshot, with_settings};
use jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::sample::{Told, every_outcome, full_header, header, load, raw, run, simple_header, task, write};

fn fresh() -> (TempDir, FsRegistry) {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path().join("gadugi"));
    (folder, registry)
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

/// All files below a folder, relative to it, in order.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("below it").display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_run_lies_in_the_files_that_are_described() {
    let (_folder, registry) = fresh();
    let (header, events) = every_outcome();
    wait(write(&registry, &header, &events));
    let folder = registry.run_folder(&header.run);
    with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        assert_snapshot!("files", files(&folder).join("\n"));
        assert_snapshot!("journal", fs::read_to_string(folder.join("journal.jsonl")).expect("a journal"));
    });
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a file");
    let journal = read("journal.jsonl");
    let is_intent = |line: &&str| line.contains(r#""attempt_intended","task":"check""#);
    let intent = journal.lines().find(is_intent).expect("the intent of the check");
    assert_eq!(read("tasks/check/1/intent.json"), format!("{intent}\n"));
    assert_eq!(read("run.copy.json"), read("run.json"));
}

#[test]
fn the_header_of_a_run_is_written_for_people_too() {
    let (_folder, registry) = fresh();
    let header = full_header();
    wait(write(&registry, &header, &[]));
    let json = fs::read_to_string(registry.run_folder(&header.run).join("run.json")).expect("a header");
    with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        assert_snapshot!("run.json", json);
    });
    assert_eq!(wait(load(&registry, &header.run)).expect("the run").header, header);
}
#[test]
fn only_the_owner_can_look_into_a_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, registry) = fresh();
    let (header, events) = every_outcome();
    wait(write(&registry, &header, &events));
    let mut open =
        vec![registry.run_folder(&header.run).parent().and_then(Path::parent).expect("the state").to_owned()];
    while let Some(path) = open.pop() {
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{} has mode {mode:o}", path.display());
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
}

#[test]
fn scripts_read_the_words_of_the_journal() {
    let (_, events) = every_outcome();
    let ended = events.iter().find(|event| matches!(event.kind, EventKind::CommandEnded { .. })).expect("an end");
    assert_snapshot!(event_to_json(ended).expect("it has a format"), @r#"{"v":2,"seq":6,"at":"2026-11-22T08:33:55.6Z","kind":"command_ended","task":"ok","attempt":1,"phase":"main","status":{"kind":"code","code":0},"took_seconds":2.00025,"output_bytes":1234,"dropped_bytes":0,"leaked":false,"cpu_seconds":0.9,"peak_memory_bytes":8388608}"#);
}

/// Writes one event, changes its line as a later or an older version would write it, and reads it.
fn reread(event: &Event, change: impl Fn(&str) -> String) -> Result<Told, RegistryError> {
    let (_folder, registry) = fresh();
    let header = simple_header('r', 1);
    wait(write(&registry, &header, &[event.clone(), event_after(event)]));
    let path = registry.run_folder(&header.run).join("journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    let lines: Vec<&str> = text.lines().collect();
    let plain = event_to_json(event).expect("it has a format");
    fs::write(&path, format!("{}\n{}\n", with_crc(&change(&plain)), lines[1])).expect("a changed journal");
    wait(load(&registry, &header.run))
}

fn event_after(event: &Event) -> Event {
    Event { seq: event.seq + 1, ..event.clone() }
}

/// The line with its checksum, made as the documentation of the format says.
fn with_crc(line: &str) -> String {
    let at = line.find("\"kind\"").expect("a kind");
    format!("{}\"crc\":\"{:08x}\",{}", &line[..at], crc32c::crc32c(line.as_bytes()), &line[at..])
}

fn started() -> Event {
    Event { seq: 1, at: "2026-11-22T08:33:55Z".parse().expect("a time"), kind: EventKind::RunStarted }
}

#[test]
fn a_member_that_is_not_known_is_ignored() {
    let history = reread(&started(), |line| line.replace('}', r#","mood":{"kind":"good"}}"#)).expect("it is read");
    assert_eq!((history.events.len(), history.damage), (2, Vec::<String>::new()));
}

#[test]
fn a_newer_version_of_an_event_is_refused() {
    let error = reread(&started(), |line| line.replace(r#""v":2"#, r#""v":3"#)).expect_err("it is too new");
    assert!(matches!(error, RegistryError::TooNew { found: 3, known: 2, .. }), "{error}");
}

#[test]
fn a_newer_version_of_a_run_is_refused() {
    let (_folder, registry) = fresh();
    let header = simple_header('n', 1);
    wait(write(&registry, &header, &[]));
    let path = registry.run_folder(&header.run).join("run.json");
    fs::write(&path, sealed("{\n  \"v\": 3,\n  \"all\": \"new\"\n}\n")).expect("a newer header");
    let error = wait(load(&registry, &header.run)).expect_err("it is too new");
    assert_snapshot!(error.to_string().replace(&path.display().to_string(), "RUN"), @"RUN has format 3; this version reads up to 2");
}

/// The file with its checksum, made as the documentation of the format says.
fn sealed(json: &str) -> String {
    let (at, _) = json.match_indices('\n').nth(1).expect("two lines");
    let (head, tail) = json.split_at(at + 1);
    format!("{head}  \"crc\": \"{:08x}\",\n{tail}", crc32c::crc32c(json.as_bytes()))
}

/// The file without its checksum.
fn unsealed(json: &str) -> String {
    json.lines().enumerate().filter(|(n, _)| *n != 2).map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn a_header_that_makes_no_sense_is_damaged() {
    let (_folder, registry) = fresh();
    let header = header('d', vec![raw("one", &[]), raw("two", &["one"])]);
    wait(write(&registry, &header, &[]));
    let path = registry.run_folder(&header.run).join("run.json");
    fs::remove_file(registry.run_folder(&header.run).join("run.copy.json")).expect("a copy");
    let whole = fs::read_to_string(&path).expect("a header");
    let json = unsealed(&whole);
    assert_eq!(sealed(&json), whole);
    for (change, wanted) in [
        (sealed(&json.replace(r#""one""#, r#""One""#)), "is not a valid task id"),
        (sealed(&json.replace(r#""id": "two""#, r#""id": "one""#)), "the task id `one` is taken"),
        (sealed(&json.replace(r#""created""#, r#""made""#)), "missing field `created`"),
        (json[..json.len() / 2].to_owned(), "EOF while parsing"),
        (String::new(), "EOF while parsing"),
        (whole.replace("\"one\"", "\"eno\""), "its checksum is wrong"),
        (json.clone(), "its checksum is wrong"),
    ] {
        fs::write(&path, change).expect("a damaged header");
        let error = wait(load(&registry, &header.run)).expect_err("it is damaged");
        assert!(matches!(&error, RegistryError::Damaged { .. }) && error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn a_kind_of_event_that_is_not_known_is_damage_that_names_its_line() {
    let history = reread(&started(), |line| line.replace("run_started", "run_dreamt")).expect("the rest is read");
    assert_eq!(history.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [2]);
    let [damage] = history.damage.as_slice() else { panic!("{:?}", history.damage) };
    assert!(damage.starts_with("line 1 of journal.jsonl is damaged: ") && damage.contains("run_dreamt"), "{damage}");
}

fn any_task() -> impl Strategy<Value = TaskId> {
    "[a-z0-9][a-z0-9_-]{0,12}".prop_map(|id| task(&id))
}

fn any_attempt() -> impl Strategy<Value = AttemptRef> {
    (any_task(), 1_u32..).prop_map(|(task, number)| AttemptRef { task, number: AttemptNo::new(number).expect("not 0") })
}

/// Whole microseconds up to 71 years, which is what the format promises.
fn any_duration() -> impl Strategy<Value = Duration> {
    (0_u64..1 << 51).prop_map(Duration::from_micros)
}
fn any_path() -> impl Strategy<Value = PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    vec(any::<u8>(), 0..20).prop_map(|bytes| std::ffi::OsString::from_vec(bytes).into())
}

fn any_commit() -> impl Strategy<Value = gadugi_core::CommitId> {
    prop_oneof!["[0-9a-f]{40}", "[0-9a-f]{64}"].prop_map(|id| id.parse().expect("a commit"))
}

fn any_exit() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![
        any::<i32>().prop_map(ExitStatus::Code),
        any::<i32>().prop_map(ExitStatus::Signal),
        Just(ExitStatus::OutOfMemory),
        Just(ExitStatus::Unknown)
    ]
}

fn any_phase() -> impl Strategy<Value = Phase> {
    proptest::sample::select(&Phase::ALL[..])
}

fn any_clock() -> impl Strategy<Value = Clock> {
    prop_oneof![Just(Clock::Wall), Just(Clock::Idle), Just(Clock::Setup)]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let failure = prop_oneof![
        any_exit().prop_map(Failure::Setup),
        any::<i32>().prop_map(Failure::ExitCode),
        any::<i32>().prop_map(Failure::Signal),
        Just(Failure::OutOfMemory),
        any_exit().prop_map(Failure::Check),
        any_agent_error().prop_map(Failure::Agent),
        any::<String>().prop_map(|message| Failure::Budget { message }),
        any::<String>().prop_map(|message| Failure::Worktree { message }),
        any::<String>().prop_map(|message| Failure::Start { message }),
        any::<String>().prop_map(|message| Failure::Snapshot { message }),
        (1_u64..8).prop_map(|number| Failure::Elsewhere(places(number).pop().expect("a place"))),
        Just(Failure::NothingChanged),
        vec(any::<String>(), 0..3).prop_map(|files| Failure::ConflictMarkers { files }),
    ];
    prop_oneof![
        Just(Outcome::Succeeded),
        Just(Outcome::Unchanged),
        failure.prop_map(Outcome::Failed),
        any_clock().prop_map(Outcome::TimedOut),
        (vec(any_task(), 0..3), vec(any::<String>(), 0..3))
            .prop_map(|(tasks, files)| Outcome::Conflict { tasks, files }),
        Just(Outcome::Cancelled),
        any_task().prop_map(|task| Outcome::Skipped { because: task.into() }),
        (any_task(), any::<String>())
            .prop_map(|(task, message)| Outcome::Skipped { because: SkipReason::Budget { task, message } }),
        any::<String>().prop_map(|why| Outcome::Lost { why }),
    ]
}

fn any_reason() -> impl Strategy<Value = KeepReason> {
    prop_oneof![
        any::<u64>().prop_map(|files| KeepReason::Uncommitted { files }),
        Just(KeepReason::HeadElsewhere),
        Just(KeepReason::GitFileReplaced),
        any::<String>().prop_map(|operation| KeepReason::OperationInProgress { operation }),
        any::<String>().prop_map(|path| KeepReason::Submodule { path }),
        any::<String>().prop_map(|reason| KeepReason::Locked { reason }),
        any_path().prop_map(|path| KeepReason::Mounted { path }),
        any::<u64>().prop_map(|entries| KeepReason::Stashed { entries }),
        any::<u64>().prop_map(|commits| KeepReason::Unmerged { commits }),
        any_path().prop_map(|path| KeepReason::CheckedOut { path }),
        Just(KeepReason::Moved),
        Just(KeepReason::Requested),
    ]
}

fn any_lease() -> impl Strategy<Value = Lease> {
    let branch =
        option::of("[a-z]{1,8}/[a-z#$'|é]{1,8}").prop_map(|name| name.map(|name| name.parse().expect("a branch")));
    (any_attempt(), any_path(), branch, option::of(any_commit())).prop_map(|(attempt, path, branch, base)| Lease {
        run: run('x'),
        attempt,
        path,
        branch,
        base,
    })
}

fn any_seeded() -> impl Strategy<Value = Seeded> {
    (any::<u64>(), any::<u64>()).prop_map(|(files, bytes)| Seeded { files, bytes })
}

fn any_work() -> impl Strategy<Value = Work> {
    (option::of(any_commit()), any::<u64>(), any::<u64>(), any::<u64>(), vec(any::<String>(), 0..3)).prop_map(
        |(tip, commits, files, uncommitted, left_out)| {
            let kept_refs = left_out.clone();
            let (elsewhere, conflict_markers) = (places(files), left_out.clone());
            let unsaved = Vec::new();
            let taken_over = left_out.first().cloned();
            let ignored = match files {
                0 => IgnoredFiles::default(),
                files => IgnoredFiles { files, bytes: commits, largest: left_out.clone() },
            };
            Work {
                tip,
                commits,
                files,
                of_task: left_out.last().map(|_| Counts { commits: files, files: commits }),
                uncommitted,
                left_out,
                unsaved,
                kept_refs,
                elsewhere,
                conflict_markers,
                ignored,
                taken_over,
            }
        },
    )
}

/// Places of work, one more of them for each number up to all.
fn places(number: u64) -> Vec<Elsewhere> {
    let all = [
        Elsewhere::Branch { name: "feature/x".into(), commits: number },
        Elsewhere::Detached { commit: "a".repeat(40).parse().expect("a commit"), commits: number },
        Elsewhere::Unfinished { operation: "a merge".into(), isolated: number.is_multiple_of(2) },
        Elsewhere::Stash { entries: vec!["stash@{0}".into()] },
        Elsewhere::Moved { path: "/else where".into() },
        Elsewhere::Removed,
        Elsewhere::OtherRepository,
    ];
    all.into_iter().take((number % 8) as usize).collect()
}

fn any_end() -> impl Strategy<Value = ExecEnd> {
    let output = (any::<u64>(), any::<u64>(), any::<bool>());
    let usage = (option::of(any_duration()), option::of(any::<u64>()));
    (any_exit(), any_duration(), output, usage).prop_map(
        |(status, took, (bytes, dropped, leaked), (cpu, peak_memory))| {
            let output = OutputSummary { bytes, dropped, leaked };
            ExecEnd { status, took, output, usage: ExecUsage { cpu, peak_memory }, stopped: took.is_zero() }
        },
    )
}

fn any_agent_error() -> impl Strategy<Value = AgentError> {
    let class = proptest::sample::select(vec![
        AgentErrorClass::RateLimit,
        AgentErrorClass::Overloaded,
        AgentErrorClass::Unavailable,
        AgentErrorClass::Authentication,
        AgentErrorClass::Other,
    ]);
    (class, any::<String>()).prop_map(|(class, message)| AgentError { class, message })
}

fn any_tokens() -> impl Strategy<Value = Tokens> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(input, cached, output)| Tokens { input, cached, output })
}

fn any_dollars() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("JSON has no other numbers", |cost| cost.is_finite())
}

fn any_own_part() -> impl Strategy<Value = OwnPart> {
    let cost = (any_dollars(), any::<bool>()).prop_map(|(value, is_reckoned)| Figure { value, is_reckoned });
    let tokens = (any_tokens(), any::<bool>()).prop_map(|(value, is_reckoned)| Figure { value, is_reckoned });
    (option::of(cost), option::of(tokens)).prop_map(|(cost_usd, tokens)| OwnPart { cost_usd, tokens })
}

fn any_agent_report() -> impl Strategy<Value = AgentReport> {
    let texts = || option::of(any::<String>());
    let limit = (any_agent_error(), option::of(0..253_402_207_200_i64), option::of(any_duration()), any::<u32>());
    let limit = limit.prop_map(|(AgentError { class, .. }, until, pause, refusals)| {
        let until = until.map(|until| Timestamp::from_second(until).expect("a time"));
        RateLimit { class, until, pause, refusals }
    });
    let end = prop_oneof![Just(Ok(())), any_agent_error().prop_map(Err)];
    let figures = (option::of(any::<u64>()), option::of(any_tokens()), option::of(any_dollars()), any_own_part());
    ((texts(), texts(), texts(), texts()), figures, option::of(limit), option::of(end)).prop_map(
        |((session, model, last_tool, last_message), (turns, tokens, cost_usd, own), limit, end)| AgentReport {
            session,
            model,
            turns,
            tokens,
            cost_usd,
            own,
            denials: last_tool.iter().chain(&last_message).cloned().collect(),
            last_tool,
            last_message,
            limit,
            end,
        },
    )
}

fn any_moment() -> impl Strategy<Value = Moment> {
    (any::<String>(), any_duration()).prop_map(|(boot, uptime)| Moment { boot, uptime })
}

fn any_warning() -> impl Strategy<Value = WarningKind> {
    prop_oneof![
        Just(WarningKind::Fallback),
        Just(WarningKind::Snapshot),
        Just(WarningKind::Release),
        Just(WarningKind::Observer),
        Just(WarningKind::Stop),
        Just(WarningKind::LeakedProcess),
        Just(WarningKind::DroppedOutput),
        Just(WarningKind::LeftOut),
        Just(WarningKind::Agent),
        Just(WarningKind::Elsewhere),
        Just(WarningKind::Output),
        Just(WarningKind::NotHeld),
        Just(WarningKind::Worktree),
        Just(WarningKind::RateLimit),
        Just(WarningKind::Authentication),
        Just(WarningKind::Budget),
        Just(WarningKind::Forecast),
        Just(WarningKind::Interruption),
        Just(WarningKind::Damage)
    ]
}

fn any_counterpart() -> impl Strategy<Value = Counterpart> {
    prop_oneof![any_task().prop_map(Counterpart::Task), any::<String>().prop_map(Counterpart::Target)]
}

fn any_conflict() -> impl Strategy<Value = EventKind> {
    let files = (vec(any::<String>(), 0..3), any::<u64>());
    prop_oneof![
        (any_task(), any_counterpart(), files).prop_map(|(task, other, (files, more))| {
            EventKind::ConflictForeseen(ForeseenConflict { task, other, files, more })
        }),
        (any_task(), any_counterpart()).prop_map(|(task, other)| EventKind::ConflictGone { task, other }),
    ]
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    let identity = (any::<String>(), any::<String>()).prop_map(|(executor, token)| ExecIdentity { executor, token });
    let stop = prop_oneof![
        any_clock().prop_map(StopReason::TimedOut),
        Just(StopReason::Cancelled),
        Just(StopReason::Budget),
        Just(StopReason::Lingered),
        Just(StopReason::Unauthenticated)
    ];
    prop_oneof![
        Just(EventKind::RunStarted),
        option::of(any_moment()).prop_map(|moment| EventKind::RunResumed { moment }),
        Just(EventKind::RunSuspended),
        Just(EventKind::RunContinued),
        (any::<String>(), any::<String>())
            .prop_map(|(executor, reason)| EventKind::ExecutorChosen { executor, reason }),
        (any_attempt(), any::<String>())
            .prop_map(|(attempt, executor)| EventKind::AttemptIntended { attempt, executor }),
        (any_lease(), option::of(any_seeded()), any_duration())
            .prop_map(|(lease, seeded, took)| EventKind::WorktreeReady { lease, seeded, took: Some(took) }),
        (any_attempt(), any_phase(), identity, any_duration()).prop_map(|(attempt, phase, identity, took)| {
            EventKind::CommandStarted { attempt, phase, identity, took: Some(took).filter(|took| !took.is_zero()) }
        }),
        (any_attempt(), stop).prop_map(|(attempt, reason)| EventKind::StopSent { attempt, reason }),
        (any_attempt(), any_phase(), any_end()).prop_map(|(attempt, phase, end)| EventKind::CommandEnded {
            attempt,
            phase,
            end
        }),
        (any_attempt(), any_agent_report()).prop_map(|(attempt, report)| EventKind::AgentReported { attempt, report }),
        (any_attempt(), any_work()).prop_map(|(attempt, work)| EventKind::WorkCollected { attempt, work }),
        (any_attempt(), any_outcome(), option::of(any::<String>()))
            .prop_map(|(attempt, outcome, said)| EventKind::AttemptEnded { attempt, outcome, said }),
        any_attempt().prop_map(|attempt| EventKind::WorktreeReleased { attempt }),
        (any_attempt(), vec(any_reason(), 0..3))
            .prop_map(|(attempt, reasons)| EventKind::WorktreeKept { attempt, reasons }),
        (any_task(), any_outcome()).prop_map(|(task, outcome)| EventKind::TaskFinished { task, outcome }),
        (vec(any_task(), 0..3), any::<bool>()).prop_map(|(tasks, now)| EventKind::StopRequested { tasks, now }),
        (any_warning(), option::of(any_task()), any::<String>()).prop_map(|(kind, task, message)| EventKind::Warning {
            kind,
            task,
            message
        }),
        any_conflict(),
        (any_duration(), any::<bool>()).prop_map(|(wall, interrupted)| EventKind::RunEnded {
            wall: Some(wall).filter(|wall| !wall.is_zero()),
            interrupted
        }),
    ]
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let times = -377_705_023_201_i64..253_402_207_200;
    vec((times, 0..1_000_000_000, any_kind()), 1..12).prop_map(|events| {
        let event = |(n, (seconds, nanos, kind)): (usize, (i64, i32, EventKind))| {
            // Times before 1970 count their nanoseconds downwards.
            let nanos = if seconds < 0 { -nanos } else { nanos };
            let at = Timestamp::new(seconds, nanos).or_else(|_| Timestamp::new(seconds, 0)).expect("a time");
            Event { seq: n as u64 + 1, at, kind }
        };
        events.into_iter().enumerate().map(event).collect()
    })
}

fn any_changes() -> impl Strategy<Value = Changes> {
    prop_oneof![Just(Changes::Optional), Just(Changes::Required), Just(Changes::Discarded)]
}

fn any_origin() -> impl Strategy<Value = Origin> {
    let tip = (any_task(), any_commit()).prop_map(|(task, tip)| NeededTip { task, tip });
    let done = (any_task(), any::<String>(), option::of(any::<String>()));
    let done = done.prop_map(|(task, title, last_message)| NeedDone { task, title, last_message });
    (option::of(any_commit()), vec(tip, 0..3), vec(done, 0..3), option::of(any_earlier()))
        .prop_map(|(base, tips, done, earlier)| Origin { base, tips, done, earlier: earlier.map(Box::new) })
}

fn any_earlier() -> impl Strategy<Value = EarlierAttempt> {
    let cost = option::of(any::<f64>().prop_filter("JSON has no other numbers", |cost| cost.is_finite()));
    let tokens = option::of((any::<u64>(), any::<u64>(), any::<u64>()));
    let tokens = tokens.prop_map(|tokens| tokens.map(|(input, cached, output)| Tokens { input, cached, output }));
    let conversation = (any::<String>(), any::<String>(), cost, tokens)
        .prop_map(|(session, message, cost, tokens)| EarlierConversation::new(session, message, cost, tokens));
    let check = (any::<String>(), any::<String>()).prop_map(|(status, output)| FailedCheck { status, output });
    let commits = (option::of(any_commit()), option::of(any_commit()));
    (option::of(any_lease()), commits, option::of(conversation), option::of(check)).prop_map(
        |(lease, (tip, since), conversation, check)| EarlierAttempt {
            run: run('v'),
            lease,
            tip,
            since,
            conversation,
            check,
        },
    )
}

fn any_link() -> impl Strategy<Value = RunLink> {
    let merge: MergeId = "20261122-093355-abc".parse().expect("a merge id");
    prop_oneof![Just(RunLink::Retry { run: run('w') }), Just(RunLink::Merge { merge })]
}

fn any_header() -> impl Strategy<Value = RunHeader> {
    let texts =
        (any::<String>(), option::of(any::<String>()), option::of(any::<String>()), option::of(any::<String>()));
    let limits = (option::of(any_duration()), option::of(any_duration()), any_duration());
    let rest = (btree_map(any::<String>(), any::<String>(), 0..3), vec(any::<String>(), 0..3), any::<i32>());
    let place = (any_path(), any::<usize>(), option::of(any_commit()), option::of(any::<String>()));
    let cpus = option::of(any::<f64>().prop_filter("JSON has no other numbers", |cpus| cpus.is_finite()));
    let retry = (any::<bool>(), any_duration());
    let setup = option::of((any::<String>(), option::of(any_duration())));
    let of_earlier = (any_changes(), any_origin(), option::of(any_link()));
    let subject = option::of("[a-z]{1,9} \\{(title|task|run|attempt)\\}");
    let last = (retry, of_earlier, setup, subject);
    (texts, limits, rest, place, cpus, 1..=9_usize, option::of(any_moment()), last).prop_map(|parts| {
        let (texts, limits, rest, place, cpus, jobs, moment, last) = parts;
        let ((previous, retry_delay), of_earlier, setup, subject) = last;
        let link;
        let mut task: RawTask = raw("any", &["needed"]);
        (task.spec.title, task.spec.action.stdin, task.spec.check, task.spec.executor) = texts;
        task.spec.setup = setup.map(|(script, timeout)| Setup { script, timeout });
        task.spec.commit_subject = subject.map(|subject| subject.parse().expect("a template")).unwrap_or_default();
        (task.spec.limits.timeout, task.spec.limits.idle_timeout, task.spec.limits.grace) = limits;
        (task.spec.env, task.spec.secrets, task.spec.priority) = rest;
        task.spec.resources.cpus = cpus;
        task.spec.retry_delay = retry_delay;
        task.spec.retry_from = if previous { RetryFrom::Previous } else { RetryFrom::Base };
        (task.spec.changes, task.spec.origin, link) = of_earlier;
        let (base, base_name);
        (task.spec.source.file, task.spec.source.line, base, base_name) = place;
        let mut header = header('x', vec![task, raw("needed", &[])]);
        header.settings.jobs = jobs.try_into().expect("not 0");
        let executor = base_name.clone();
        RunHeader { base, base_name, moment, executor, link, ..header }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_a_header_says_is_read_as_it_was(header in any_header()) {
        let (_folder, registry) = fresh();
        let read = wait(async {
            drop(registry.create(&header).await.expect("a new run"));
            registry.load(&header.run).await.expect("the run").record.header
        });
        prop_assert_eq!(read, header);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_is_written_is_read_as_it_was(header in any_header(), events in any_events()) {
        let (_folder, registry) = fresh();
        let read = wait(async {
            let mut log = registry.create(&header).await.expect("a new run");
            for event in &events {
                log.note(event).await.expect("it is kept");
            }
            // They need not be able to follow one another.
            registry.events(&header.run).expect("the run")
        });
        prop_assert_eq!(read, events);
    }
}
