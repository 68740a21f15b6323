//! Commands whose starter is gone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use gadugi_core::Executor;
use gadugi_core::executor::{CommandRef, ExecError, ExecIdentity, ExecRequest, ExitStatus, Reattached};
use gadugi_exec::{SubprocessSettings, is_alive, moment};
use gadugi_test_support::commands::printed;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::Harness;
use crate::processes::Process;
use crate::starter::Starter;
use crate::supervised::{command, find, forge, found, harness, names, pids, shimmed, why_gone};

fn identity(token: &str) -> ExecIdentity {
    ExecIdentity { executor: "subprocess".to_owned(), token: token.to_owned() }
}

/// Everything that an error says.
fn chain(error: &ExecError) -> String {
    let first: &dyn std::error::Error = error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn a_command_goes_on_when_its_starter_is_killed_and_its_exit_code_is_found() {
    let harness = harness();
    let script = "echo ready; while ! [ -e go ]; do sleep 0.01; done; echo done; exit 7";
    let request = harness.script(script);
    let starter = Starter::start(&harness, script, false, None);
    let token = starter.token.clone().expect("it has started it");
    starter.kill();
    assert!(is_alive(&identity(&token)).expect("it can be looked for"));

    let recorded = harness.executor.reattach(&command(&request, Some(&identity(&token)))).await;
    let Ok(Reattached::Found(task)) = recorded else { panic!("it runs: {recorded:?}") };
    assert_eq!(task.identity().token, token);
    let unrecorded = found(&harness, &request).await;
    assert_eq!(unrecorded.identity().token, token, "its identity is found without being recorded");
    let elapsed = task.elapsed().expect("it is known when it began");
    assert!(elapsed < moment().expect("Linux names its boots").uptime);
    let mut output = task.output().expect("its output is seen");
    harness.put("go", "");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!((end.status, end.output.bytes, end.stopped), (ExitStatus::Code(7), 11, false));
    assert!(end.took >= elapsed);
    assert_eq!(*output.borrow_and_update(), 11);
    assert_eq!(harness.log(), b"ready\ndone\n");
    assert!(!is_alive(&identity(&token)).expect("it can be looked for"));
}

#[tokio::test]
async fn an_end_is_found_also_where_its_folder_was_moved_to() {
    let harness = harness();
    let script = "touch read; while ! [ -e go ]; do sleep 0.01; done; echo done; exit 7";
    let request = harness.script(script);
    Starter::start(&harness, script, false, None).kill();
    // Else the shell would look for its script where that is no more.
    while !harness.folder().join("read").exists() {
        tokio::task::yield_now().await;
    }
    let moved = harness.files().with_file_name("moved");
    fs::rename(harness.files(), &moved).expect("a folder can be renamed");
    harness.put("go", "");
    let command = CommandRef { files: moved.clone(), ..command(&request, None) };
    let found = harness.executor.reattach(&command).await;
    let Ok(Reattached::Found(task)) = found else { panic!("it is found where it is now: {found:?}") };
    let end = task.wait().await.expect("its end is known");
    assert_eq!((end.status, end.output.bytes), (ExitStatus::Code(7), 5));
    assert_eq!(fs::read(moved.join("output.log")).expect("the log"), b"done\n");
}

#[tokio::test]
async fn an_end_that_nobody_saw_is_found() {
    let harness = harness();
    let request = harness.script("exit 7");
    let starter = Starter::start(&harness, "while ! [ -e go ]; do sleep 0.01; done; exit 7", false, None);
    let shim = {
        let task = found(&harness, &request).await;
        Process::named(&pids(&*task).1)
    };
    starter.kill();
    harness.put("go", "");
    assert!(shim.ends());
    for _ in 0..2 {
        let task = found(&harness, &request).await;
        assert_eq!(task.wait().await.expect("its end is known").status, ExitStatus::Code(7));
        assert_eq!(task.output().map(|output| *output.borrow()), Some(0));
        task.stop(Duration::ZERO).await.expect("stopping what has ended is no error");
    }
    assert!(harness.executor.start(&request).await.is_err(), "it is not started again");
}

#[tokio::test]
async fn the_end_is_heard_also_when_the_starter_ignores_those_of_its_children() {
    let harness = harness();
    let script = "while ! [ -e go ]; do sleep 0.01; done; exit 7";
    let starter = Starter::ignoring_its_children(&harness, script);
    let task = found(&harness, &harness.script(script)).await;
    harness.put("go", "");
    let end = tokio::time::timeout(Duration::from_secs(20), task.wait()).await;
    if end.is_err() {
        kill_process(pids(&*task).1.parse().ok().and_then(Pid::from_raw).expect("a pid"), Signal::KILL).ok();
    }
    assert_eq!(end.expect("it is not awaited for ever").expect("its end is seen").status, ExitStatus::Code(7));
    starter.kill();
}

#[tokio::test]
async fn an_end_that_the_command_has_written_itself_is_not_believed() {
    let harness = harness();
    let request = harness.script("echo 0 > ../files/exit.json; exit 3");
    assert_eq!(harness.run(&request).await.status, ExitStatus::Code(3));
    let task = found(&harness, &request).await;
    assert_eq!(task.wait().await.expect("its end is known").status, ExitStatus::Code(3));
}

/// The steps at which a shim, or its starter, can die, and what is known afterwards.
#[tokio::test]
async fn whenever_a_shim_dies_nothing_is_left_and_nothing_is_guessed() {
    for (point, expected) in [
        ("shim-spawned", None),
        ("shim-begun", None),
        ("shim-command-forked", None),
        ("shim-proc-linked", Some(None)),
        ("shim-command-started", Some(None)),
        ("shim-command-ended", Some(None)),
        ("shim-exit-written", Some(None)),
        ("shim-exit-linked", Some(Some(ExitStatus::Code(7)))),
    ] {
        let harness = harness();
        let script = "echo $$; setsid sleep 0.05 & exit 7";
        let request = harness.script(script);
        let starter = Starter::start(&harness, script, false, Some(point));
        let started = starter.token.clone();
        assert_eq!(started.is_some(), expected.is_some(), "{point}");
        if let Some(token) = started {
            // The shim is about to die, or has.
            let shim = token.split(['=', ':']).nth(1).expect("the shim").to_owned();
            while is_alive(&identity(&token)).expect("it can be looked for") {
                tokio::task::yield_now().await;
            }
            assert!(!fs::exists(format!("/proc/{shim}/exe")).unwrap_or(false));
        }
        starter.kill();
        match (find(&harness, &request).await, expected) {
            (Reattached::NeverStarted, None) => {}
            (Reattached::Gone { why }, Some(None)) => {
                assert_eq!(why, "it ended, or was killed, without a record of how", "{point}");
            }
            (Reattached::Found(task), Some(Some(status))) => {
                assert_eq!(task.wait().await.expect("its end is known").status, status, "{point}");
            }
            (other, _) => panic!("{point}: {other:?}"),
        }
        let left: Vec<String> = names(&harness.files())
            .into_iter()
            .filter(|name| name.starts_with('.') || name.starts_with("progress"))
            .collect();
        assert!(left.is_empty(), "{point}: {left:?}");
    }
}

#[tokio::test]
async fn a_command_of_an_earlier_boot_is_gone_and_its_recorded_end_is_not() {
    let harness = harness();
    let request = harness.script("exit 7");
    harness.run(&request).await;
    let other_boot = |record: &str| {
        let (head, rest) = record.split_once("\"boot\":\"").expect("a boot");
        format!("{head}\"boot\":\"00000000{}", &rest[8..])
    };
    forge(&harness.files().join("proc.json"), other_boot);
    let task = found(&harness, &request).await;
    assert_eq!(task.wait().await.expect("its end is known").status, ExitStatus::Code(7));
    fs::remove_file(harness.files().join("exit.json")).expect("it is there");
    assert_eq!(why_gone(&harness, &request).await, "the machine was restarted while it ran");
}

#[tokio::test]
async fn a_command_of_another_pid_namespace_is_judged_when_that_is_gone_and_not_before() {
    let Some(mut older) = Namespace::new() else { return };
    let harness = harness();
    let request = harness.script("exit 7");
    let task = harness.start(&request).await;
    let identity = task.identity().clone();
    task.wait().await.expect("its end is seen");
    fs::remove_file(harness.files().join("exit.json")).expect("it is there");
    let own = fs::metadata("/proc/self/ns/pid").expect("a namespace").ino();
    let move_to = |from: u64, to: u64| {
        let (from, to) = (format!("\"pid_namespace\":{from}"), format!("\"pid_namespace\":{to}"));
        forge(&harness.files().join("proc.json"), |record| record.replace(&from, &to));
    };
    move_to(own, older.inode);
    for identity in [None, Some(&identity)] {
        let error = harness.executor.reattach(&command(&request, identity)).await.expect_err("nobody can tell");
        assert!(chain(&error).contains("in another PID namespace"), "{}", chain(&error));
        let error = harness.executor.running(&command(&request, identity)).await.expect_err("nobody can tell");
        assert!(chain(&error).contains("in another PID namespace"), "{}", chain(&error));
    }
    older.end();
    for identity in [None, Some(&identity)] {
        assert_eq!(harness.executor.running(&command(&request, identity)).await.expect("it is known"), None);
    }
    assert_eq!(why_gone(&harness, &request).await, "the PID namespace (container) that it ran in is gone");
    // Inodes are used again: what has this one now is younger than the command.
    let Some(younger) = Namespace::new() else { return };
    move_to(older.inode, younger.inode);
    assert_eq!(why_gone(&harness, &request).await, "the PID namespace (container) that it ran in is gone");
}

/// A PID namespace with a process in it.
struct Namespace {
    unshare: std::process::Child,
    inode: u64,
}

impl Namespace {
    /// `None` where no namespace can be made, or this one is not the first, which alone sees all others.
    fn new() -> Option<Self> {
        let own = fs::metadata("/proc/self/ns/pid").ok()?.ino();
        if !rustix::process::getuid().is_root() || own != 0xEFFF_FFFC {
            return None;
        }
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sleep", "1000"]);
        // It complains of its own end.
        unshare.stderr(Stdio::null());
        let mut namespace = Self { unshare: unshare.spawn().expect("unshare starts"), inode: own };
        let children = format!("/proc/{0}/task/{0}/children", namespace.unshare.id());
        while namespace.unshare.try_wait().expect("it is ours").is_none() {
            let child = fs::read_to_string(&children).unwrap_or_default();
            let inode = fs::metadata(format!("/proc/{}/ns/pid", child.trim())).map(|found| found.ino());
            if let Some(inode) = inode.ok().filter(|inode| *inode != own) {
                namespace.inode = inode;
                return Some(namespace);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    fn end(&mut self) {
        let children = format!("/proc/{0}/task/{0}/children", self.unshare.id());
        let child = fs::read_to_string(children).unwrap_or_default();
        if let Some(child) = child.trim().parse().ok().and_then(Pid::from_raw) {
            kill_process(child, Signal::KILL).expect("it runs");
        }
        self.unshare.wait().expect("it ends");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.unshare.kill().ok();
        self.unshare.wait().ok();
    }
}

#[tokio::test]
async fn a_stranger_with_the_same_pid_is_never_signalled() {
    let harness = harness();
    let request = harness.script("exit 7");
    let task = harness.start(&request).await;
    task.wait().await.expect("its end is seen");
    let mut stranger = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat starts");
    let (leader, shim) = pids(&*task);
    fs::remove_file(harness.files().join("exit.json")).expect("it is there");
    let taken = |pid: &str, text: &str| {
        // Another start: the same is had by two only if all pids are used up within the hundredth of a second.
        text.replace(&format!("\"pid\":{pid},\"start\":"), &format!("\"pid\":{},\"start\":1", stranger.id()))
    };
    forge(&harness.files().join("proc.json"), |record| taken(&leader, &taken(&shim, record)));
    assert_eq!(why_gone(&harness, &request).await, "it ended, or was killed, without a record of how");
    let token = task.identity().token.replace(&format!("pid {leader} "), &format!("pid {} ", stranger.id()));
    let token = token.replace(" start=", " start=1");
    assert!(!is_alive(&identity(&token)).expect("it can be looked for"));
    drop(stranger.stdin.take());
    assert!(stranger.wait().expect("it was not killed").success());
}

#[tokio::test]
async fn damage_to_the_record_of_a_start_is_outlived_with_an_identity_and_ends_the_command_without() {
    for with_identity in [true, false] {
        let harness = Harness::with(SubprocessSettings { drain: Duration::from_millis(20), ..shimmed() });
        // What else runs for the same attempt is killed, so this must not be that of the other tests.
        let request = ExecRequest {
            run: "20261122-083355-7aa".parse().expect("a valid id"),
            ..harness.script("setsid sleep 1000 & echo $!; while ! [ -e go ]; do sleep 0.01; done; exit 7")
        };
        let task = harness.start(&request).await;
        printed(&*task, 2).await;
        let daemon = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
        let record = harness.files().join("proc.json");
        let damaged = fs::read_to_string(&record).expect("a record").replace("\"attempt\":1", "\"attempt\":2");
        fs::write(&record, damaged).expect("it can be written");
        let identity = with_identity.then(|| task.identity());
        match harness.executor.reattach(&command(&request, identity)).await.expect("it can be looked for") {
            Reattached::Found(found) if with_identity => {
                harness.put("go", "");
                assert_eq!(found.wait().await.expect("its end is seen").status, ExitStatus::Code(7));
            }
            Reattached::Gone { why } if !with_identity => {
                assert_eq!(why, "the record of its start is damaged");
                assert!(!task.wait().await.expect("its end is seen").status.success());
            }
            other => panic!("{other:?}"),
        }
        assert!(daemon.ends());
    }
}

/// `exit.json` and `proc.json` as a crash or a disk may leave them.
#[tokio::test]
async fn no_damage_to_a_record_makes_an_end() {
    let harness = harness();
    let request = harness.script("exit 7");
    let task = harness.start(&request).await;
    task.wait().await.expect("its end is seen");
    for (name, with_identity) in [("exit.json", false), ("exit.json", true), ("proc.json", true)] {
        let path = harness.files().join(name);
        let sound = fs::read(&path).expect("a record");
        let identity = with_identity.then(|| task.identity());
        let cuts = (0..sound.len()).step_by(17).map(|length| sound[..length].to_vec());
        let flips = (0..sound.len() * 8).step_by(61).map(|bit| {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        });
        for damaged in cuts.chain(flips) {
            fs::write(&path, &damaged).expect("it can be written");
            match harness.executor.reattach(&command(&request, identity)).await.expect("it can be looked for") {
                Reattached::Gone { why } if name == "exit.json" => {
                    assert_eq!(why, "the record of its end is damaged");
                }
                Reattached::Found(task) if name == "proc.json" => {
                    assert_eq!(task.wait().await.expect("its end is known").status, ExitStatus::Code(7));
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        fs::write(&path, &sound).expect("it can be written");
    }
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused_by_name() {
    let harness = harness();
    let request = harness.script("exit 7");
    harness.run(&request).await;
    let newer = |record: &str| record.replacen("{\"v\":1", "{\"v\":2", 1);
    for name in ["exit.json", "proc.json"] {
        forge(&harness.files().join(name), newer);
        let error = harness.executor.reattach(&command(&request, None)).await.expect_err("it is newer");
        assert!(matches!(error, ExecError::Watch { .. }));
        let path = harness.files().join(name).display().to_string();
        assert!(chain(&error).contains(&format!("{path} was written by a newer version")), "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named_and_nothing_is_concluded() {
    let harness = harness();
    let request = harness.script("exit 7");
    fs::remove_dir(harness.files()).expect("it is empty");
    let error = harness.executor.reattach(&command(&request, None)).await.expect_err("nobody can tell");
    assert!(matches!(error, ExecError::Watch { .. }));
    assert!(chain(&error).contains(&harness.files().display().to_string()), "{}", chain(&error));
}

#[tokio::test]
async fn an_executor_without_a_shim_finds_what_one_with_a_shim_has_started() {
    let harness = harness();
    let request = harness.script("echo ready; sleep 1000");
    let task = harness.start(&request).await;
    printed(&*task, 6).await;
    let plain = Harness::with(SubprocessSettings { shim: None, ..shimmed() });
    let reattached = plain.executor.reattach(&command(&request, Some(task.identity()))).await;
    let Ok(Reattached::Found(found)) = reattached else { panic!("it runs: {reattached:?}") };
    found.stop(Duration::ZERO).await.expect("it can be stopped");
    assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Signal(9));
}

mod heavy {
    use super::*;

    #[tokio::test]
    #[ignore = "heavy: kills 200 starters at different moments"]
    async fn whenever_a_starter_is_killed_its_command_runs_once_and_its_end_is_true() {
        let (mut found_again, mut started_anew) = (0, 0);
        for round in 0..200 {
            let harness = harness();
            let script = "echo once >> lines; sleep 0.02; exit 7";
            let request = harness.script(script);
            let starter = Starter::spawn(&harness, script);
            std::thread::sleep(Duration::from_micros(100 * round));
            starter.kill();
            let end = match find(&harness, &request).await {
                Reattached::Found(task) => {
                    found_again += 1;
                    task.wait().await.expect("its end is seen")
                }
                Reattached::NeverStarted => {
                    started_anew += 1;
                    harness.run(&request).await
                }
                other => panic!("round {round}: {other:?}"),
            };
            assert_eq!(end.status, ExitStatus::Code(7), "round {round}");
            let lines = fs::read_to_string(harness.folder().join("lines")).expect("it ran");
            assert_eq!(lines, "once\n", "round {round}");
        }
        println!("{found_again} found again, {started_anew} started anew");
        assert!(found_again > 0 && started_anew > 0, "the moments are chosen well");
    }
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_record_is_damage_and_not_waited_for() {
    let harness = harness();
    let mut request = harness.script("cd \"$(dirname \"$0\")\" && rm proc.json && mkfifo proc.json");
    // Whatever belongs to the attempt is killed, so that is to be nobody else's.
    request.run = "20261122-083355-fff".parse().expect("an id");
    harness.start(&request).await.wait().await.expect("its end is seen");
    assert_eq!(why_gone(&harness, &request).await, "the record of its start is damaged");
}
