//! The content of the reports.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use gadugi_core::agent::{AgentCall, Argument};
use gadugi_core::executor::ExitStatus;
use gadugi_core::run::{Counterpart, ForeseenConflict, Moment, Outlook};
use gadugi_core::{AttemptRef, Event, EventKind, Outcome, Phase, Report, RunHeader, RunRecord, TaskId};
use gadugi_registry::FsRegistry;
use gadugi_registry::render::{json, junit, markdown, write_reports};
use insta::{assert_snapshot, with_settings};
use jiff::SignedDuration;
use serde_json::Value;

use crate::sample::{Story, attempt, every_outcome, header, load, raw, simple_header, write};
use crate::schema;

fn report(header: RunHeader, events: &[Event]) -> Report {
    RunRecord::fold(header, events).expect("a run").into()
}

fn full() -> Report {
    let (header, events) = every_outcome();
    report(header, &events)
}

fn path(attempt: &AttemptRef, phase: Phase) -> Option<PathBuf> {
    Some(format!("/logs/{}/{}/{}", attempt.task, attempt.number, phase.output_file()).into())
}

fn no_path(_: &AttemptRef, _: Phase) -> Option<PathBuf> {
    None
}

/// Output that neither Markdown nor XML may be given as it is.
fn output(attempt: &AttemptRef, phase: Phase) -> Option<Vec<u8>> {
    let mut bytes =
        format!("{attempt} {phase:?} ]]> <end> & \u{1b}[31mred\u{1b}[0m \u{ffff}\u{0}\u{8}\u{85}\n").into_bytes();
    bytes.extend([0xff, b'\n']);
    (attempt.task.as_str() != "lost").then_some(bytes)
}

#[test]
fn every_outcome_is_reported_in_all_three_formats() {
    let report = full();
    with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        assert_snapshot!("report.md", markdown(&report, &path));
        assert_snapshot!("report.json", json(&report, &path));
        assert_snapshot!("junit.xml", junit(&report, &output));
    });
}

#[test]
fn a_run_that_goes_on_has_unknown_figures_and_no_zeros_in_their_place() {
    let header = header('g', vec![raw("done", &[]), raw("runs", &[]), raw("waits", &["runs"])]);
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::RunStarted);
    let runs = attempt("runs", 1);
    story.intent(&runs).worktree(&runs).started(&runs, Phase::Main);
    story.whole("done", ExitStatus::Code(0), Outcome::Succeeded);
    let report = report(header, &story.events);
    with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        assert_snapshot!("going_on.md", markdown(&report, &no_path));
        assert_snapshot!("going_on.xml", junit(&report, &|_, _| None));
    });
    let value: Value = serde_json::from_str(&json(&report, &no_path)).expect("JSON");
    assert_eq!(value["performance"]["wall_seconds"], Value::Null);
    assert_eq!(value["performance"]["speedup"], Value::Null);
    assert_eq!(value["performance"]["commands_without_end"], 1);
    assert_eq!(value["tasks"][1]["task_seconds"], Value::Null);
    schema::check(&value);
}

#[test]
fn a_run_of_which_nothing_is_known_yet_can_be_reported() {
    let report = report(simple_header('0', 2), &[]);
    let text = markdown(&report, &no_path);
    for line in [
        "2 tasks: 2 not over. It goes on.",
        "| Wall time | unknown |",
        "| Sum of task times | unknown (no command has ended) |",
        "| Critical path | unknown (no command has ended) |",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\nis not in\n{text}");
    }
    schema::check(&serde_json::from_str(&json(&report, &no_path)).expect("JSON"));
}

#[test]
fn a_run_that_nobody_drives_is_not_said_to_run() {
    let header = header('i', vec![raw("done", &[]), raw("runs", &[]), raw("waits", &["runs"]), raw("ready", &[])]);
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::RunStarted);
    let runs = attempt("runs", 1);
    story.whole("done", ExitStatus::Code(0), Outcome::Succeeded).intent(&runs).worktree(&runs);
    let moment = |boot: &str| Some(Moment { boot: boot.into(), uptime: Duration::from_secs(99) });
    story.then(EventKind::RunResumed { moment: moment("one") }).started(&runs, Phase::Main);
    story.then(EventKind::RunResumed { moment: moment("two") });
    let report = report(header, &story.events).driven(false);
    with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        assert_snapshot!("interrupted.md", markdown(&report, &no_path));
        assert_snapshot!("interrupted.xml", junit(&report, &|_, _| None));
    });
    let value: Value = serde_json::from_str(&json(&report, &no_path)).expect("JSON");
    schema::check(&value);
    assert_eq!((&value["driven"], &value["ended"]), (&Value::Bool(false), &Value::Bool(false)));
    let states: Vec<_> = value["tasks"].as_array().expect("tasks").iter().map(|task| task["state"].as_str()).collect();
    assert_eq!(states, [Some("finished"), Some("interrupted"), Some("not started"), Some("not started")]);
    assert_eq!(
        value["interruptions"],
        serde_json::json!([
            { "after": "2026-11-22T08:33:56.1Z", "resumed": "2026-11-22T08:33:56.2Z", "under_way": 1, "restarted": null },
            { "after": "2026-11-22T08:33:56.3Z", "resumed": "2026-11-22T08:33:56.4Z", "under_way": 1, "restarted": true },
        ])
    );
}

#[test]
fn a_clock_that_is_set_back_or_forward_makes_no_figure_negative() {
    let (header, mut events) = every_outcome();
    let whole = report(header.clone(), &events);
    let year = SignedDuration::from_hours(365 * 24);
    for (n, event) in events.iter_mut().enumerate() {
        event.at = if n % 2 == 0 { event.at - year } else { event.at + year };
    }
    let report = report(header, &events);
    assert_eq!(report.performance.wall, whole.performance.wall);
    assert_eq!(report.performance.task_time, whole.performance.task_time);
    let value: Value = serde_json::from_str(&json(&report, &no_path)).expect("JSON");
    // It refuses what is below the least that a figure can be.
    schema::check(&value);
}

#[test]
fn the_json_report_is_as_its_schema_says() {
    schema::check(&serde_json::from_str(&json(&full(), &path)).expect("JSON"));
}

#[test]
fn json_can_be_printed_on_a_terminal_and_loses_nothing() {
    let title = "\u{1b}[31m \u{9b}31m \u{7f} \u{202e} \u{200b} é 🦀 \\u202e";
    let mut task = raw("t1", &[]);
    task.spec.title = title.into();
    let text = json(&report(header('j', vec![task]), &[]), &no_path);
    let unseen = |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{200b}' | '\u{202e}');
    assert_eq!(text.chars().filter(unseen).collect::<String>(), "");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["tasks"][0]["title"], title);
}

#[test]
fn the_speedup_is_the_sum_of_task_times_by_the_wall_time() {
    let (header, events) = every_outcome();
    let report = report(header, &events);
    let value: Value = serde_json::from_str(&json(&report, &no_path)).expect("JSON");
    let figure = |name: &str| value["performance"][name].as_f64().expect("a figure");
    assert!((figure("speedup") - figure("task_seconds_sum") / figure("wall_seconds")).abs() < 1e-9);
    let ends = events.iter().filter_map(|event| match &event.kind {
        EventKind::CommandEnded { end, .. } => Some(end.took),
        _ => None,
    });
    assert_eq!(figure("task_seconds_sum"), ends.sum::<Duration>().as_secs_f64());
}

#[test]
fn no_text_of_a_task_can_break_out_of_its_place_in_markdown() {
    let nasty = "a | b\n\n# c `d` ``` <script>alert(1)</script> [e](javascript:f) &amp; \u{1b}]8;;x\u{7} \u{202e}g\u{9b}h **i** \\| ~~j~~";
    let mut task = raw("nasty", &[]);
    task.spec.title = nasty.into();
    task.spec.source.file = format!("{nasty}.md").into();
    task.spec.check = Some(format!("{nasty}\n`````\n</code>"));
    task.spec.action.agent = Some(AgentCall::new(nasty, vec![Argument::text("x")], ""));
    let mut header = header('n', vec![task]);
    header.base_name = Some(nasty.into());
    let mut story = Story::new(header.run.clone());
    story.then(EventKind::ExecutorChosen { executor: nasty.into(), reason: nasty.into() });
    story.whole("nasty", ExitStatus::Code(1), Outcome::Lost { why: nasty.into() });
    let text = markdown(&report(header, &story.events), &|_, _| Some(nasty.into()));
    let unseen: Vec<char> = text.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
    assert_eq!(unseen, []);

    let mut fence = None;
    for line in text.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            // Within a fence everything is code, up to one of the same length.
            Some(length) if ticks >= length && line.trim_matches('`').is_empty() => fence = None,
            Some(_) => continue,
            None if ticks >= 3 => fence = Some(ticks),
            None => {
                let plain = without_code(line);
                for bad in ["<script", "[e](", "**i**", "~~j~~"] {
                    assert!(!plain.contains(bad), "{bad} in {line}");
                }
                let heading = ["# Run ", "## ", "### `nasty`: "];
                assert!(!line.starts_with('#') || heading.iter().any(|begin| line.starts_with(begin)), "{line}");
                if line.starts_with("| lost |") {
                    let bars = plain.replace("\\|", "").matches('|').count();
                    assert_eq!(bars, 9, "{line}");
                }
            }
        }
    }
    assert_eq!(fence, None, "every fence is closed");
}

/// A line without its spans of code, as CommonMark finds them.
fn without_code(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['`', '\\']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(escaped) = rest.strip_prefix('\\') {
            let next = escaped.chars().next().map_or(0, char::len_utf8);
            plain.push_str(&rest[..1 + next]);
            rest = &escaped[next..];
            continue;
        }
        let ticks = rest.chars().take_while(|c| *c == '`').count();
        let open = &rest[..ticks];
        let body = &rest[ticks..];
        let end = body
            .match_indices(open)
            .map(|(at, _)| at)
            .find(|at| !body[at + ticks..].starts_with('`') && !body[..*at].ends_with('`'));
        match end {
            Some(end) => rest = &body[end + ticks..],
            None => {
                plain.push_str(open);
                rest = body;
            }
        }
    }
    plain + rest
}
#[test]
fn commands_to_paste_survive_any_name_of_a_branch() {
    let mut story = Story::new(simple_header('p', 1).run);
    let t1 = attempt("t1", 1);
    story.intent(&t1).worktree(&t1).started(&t1, Phase::Main).ended(&t1, Phase::Main, ExitStatus::Code(0));
    story.work(&t1, 1).over(&t1, Outcome::Succeeded).finished("t1", Outcome::Succeeded);
    let name = "gadugi/$(touch${IFS}canary);'\"&|`x`";
    for event in &mut story.events {
        if let EventKind::WorktreeReady { lease, .. } = &mut event.kind {
            lease.branch = Some(name.parse().expect("git allows it"));
        }
    }
    let text = markdown(&report(simple_header('p', 1), &story.events), &no_path);
    let review = text.lines().find_map(|line| line.strip_prefix("git log -p ")).expect("a command");
    let folder = tempfile::tempdir().expect("a folder");
    let shown = std::process::Command::new("sh")
        .args(["-c", &format!("printf %s {review}")])
        .current_dir(folder.path())
        .output()
        .expect("sh");
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert_eq!(shown.split_once("..").map(|(_, branch)| branch), Some(name));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn junit_counts_what_ci_servers_count() {
    let xml = junit(&full(), &output);
    let first = xml.lines().nth(1).expect("the root");
    assert_snapshot!(first, @r#"<testsuites name="gadugi" tests="18" skipped="2" failures="8" errors="5" time="9.500">"#);
    assert!(
        xml.chars()
            .all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
    );
    assert!(!xml.contains("[31m"));
}

#[tokio::test]
async fn reports_are_kept_with_the_run_and_tell_where_the_logs_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let (header, events) = every_outcome();
    write(&registry, &header, &events).await;
    let log = registry.attempt_folder(&header.run, &attempt("code", 1)).join("output.log");
    fs::write(&log, "first words\n".repeat(3000) + "last words\n").expect("a log");
    let history = load(&registry, &header.run).await.expect("the run");
    let report = report(history.header, &history.events);
    let run = registry.run_folder(&header.run);
    let written = write_reports(&run, &report).expect("reports");
    assert_eq!(written.markdown, run.join("report.md"));
    assert_eq!(written.json, run.join("report.json"));
    assert_eq!(written.junit, run.join("junit.xml"));
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a report");
    assert!(read(&written.markdown).contains(&format!("`{}`", log.display())));
    assert!(read(&written.json).contains(log.to_str().expect("text")));
    let junit = read(&written.junit);
    assert!(junit.contains("last words") && junit.len() < 40 * 1024, "{} bytes", junit.len());
    write_reports(&run, &report).expect("reports again");
    assert!(
        fs::read_dir(&run)
            .expect("a folder")
            .all(|entry| { !entry.expect("an entry").file_name().to_string_lossy().ends_with(".tmp") })
    );
}
#[test]
fn what_a_task_puts_in_the_place_of_its_log_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("output.log");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
    assert!(made.success());
    assert!(gadugi_registry::render::tail(&pipe).is_err(), "nobody writes to a pipe whose task is over");
}

/// The title of the step that merges what succeeded, and its command.
fn merge_step(report: &Report) -> Option<(String, String)> {
    let text = markdown(report, &no_path);
    let mut lines = text.lines().skip_while(|line| !line.starts_with("# Merge what succeeded"));
    Some((lines.next()?.to_owned(), lines.next()?.to_owned()))
}

#[test]
fn the_step_that_merges_names_what_is_true_when_the_report_is_made() {
    let mut story = Story::new(simple_header('p', 3).run);
    for name in ["t1", "t2", "t3"] {
        story.whole(name, ExitStatus::Code(0), Outcome::Succeeded);
    }
    let report = report(simple_header('p', 3), &story.events);
    let task = |name: &str| name.parse::<TaskId>().expect("a task");
    let conflict = |one: &str, other, files: &[&str]| {
        ForeseenConflict::new(task(one), other, files.iter().map(|file| (*file).to_owned()).collect())
    };
    let with = |outlook: Outlook| merge_step(&report.clone().with_outlook(Some(outlook)));
    let command =
        |title: &str, command: &str| Some((title.to_owned(), format!("gadugi {command} {}", report.record.header.run)));
    // Nothing is said of what was not compared.
    assert_eq!(merge_step(&report), command("# Merge what succeeded", "merge"));
    let unknown = Outlook { unknown: 1, ..Outlook::default() };
    assert_eq!(with(unknown), command("# Merge what succeeded", "merge"));
    assert_eq!(with(Outlook::default()), command("# Merge what succeeded: all 3 merge as text", "merge"));
    let one = vec![conflict("t1", Counterpart::Task(task("t3")), &["README.md", "a", "b", "c\n#"])];
    let title = "# Merge what succeeded: 2 of 3 merge as text; t3 conflicts with t1 in README.md, a, b and 1 more file";
    assert_eq!(with(Outlook { conflicts: one.clone(), ..Outlook::default() }), command(title, "merge"));
    // One of the two is in the target already, so that there is no conflict between branches to be merged.
    let in_target = [task("t3"), task("t2")].into();
    let title = "# Merge what succeeded: it merges as text";
    assert_eq!(with(Outlook { conflicts: one, in_target, ..Outlook::default() }), command(title, "merge"));
    let all = ["t1", "t2", "t3"].map(|name| conflict(name, Counterpart::Target("main".into()), &["x\ny"])).to_vec();
    let title = "# Merge what succeeded: 0 of 3 merge as text; t1 conflicts with main in x\\ny; \
                 t2 conflicts with main in x\\ny; 1 more conflict";
    assert_eq!(with(Outlook { conflicts: all, ..Outlook::default() }), command(title, "conflicts"));
    let gone = ["t1", "t2", "t3"].map(task).into();
    let report = report.clone().with_outlook(Some(Outlook { gone, ..Outlook::default() }));
    assert_eq!(merge_step(&report), None);
    let text = markdown(&report, &no_path);
    assert!(!text.contains("git log"), "no branch that is gone is named:\n{text}");
}
