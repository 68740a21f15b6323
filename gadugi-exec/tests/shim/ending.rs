//! The ends of commands, which leave nothing behind.

use std::fs;
use std::time::Duration;

use gadugi_core::executor::{ExecRequest, ExitStatus, RunningTask};
use gadugi_exec::{OutputCap, SubprocessSettings, is_alive};
use gadugi_test_support::commands::printed;
use gadugi_test_support::contract::ending;
use rustix::process::{Signal, kill_process};

use crate::harness::Harness;
use crate::processes::Process;
use crate::supervised::{forge, harness, names, pids, shimmed, why_gone};

/// With a cgroup for each command where this user can make one, and without.
fn harnesses() -> [Harness; 2] {
    [true, false].map(|cgroups| Harness::with(SubprocessSettings { cgroups, ..shimmed() }))
}

fn kill(pid: &str) {
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::KILL).expect("it runs");
}

/// The folder of the command's cgroup, where it has one.
fn cgroup(harness: &Harness) -> Option<String> {
    let record = fs::read_to_string(harness.files().join("proc.json")).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    Some(record["cgroup"]["path"].as_str()?.to_owned())
}

#[tokio::test]
async fn a_daemon_dies_with_its_command_and_its_hold_on_the_output_is_told_of() {
    for cgroups in [true, false] {
        let harness = Harness::with(SubprocessSettings { cgroups, drain: Duration::from_millis(50), ..shimmed() });
        let script = "setsid sh -c 'echo $$; exec sleep 1000' & while ! [ -s ../files/output.log ]; do sleep 0.01; done; \
             while ! [ -e go ]; do sleep 0.01; done";
        let task = harness.start(&harness.script(script)).await;
        printed(&*task, 2).await;
        let daemon = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
        harness.put("go", "");
        let end = task.wait().await.expect("its end is seen");
        assert!(end.status.success());
        assert!(end.output.leaked);
        assert!(daemon.ends());
    }
}

#[tokio::test]
async fn what_is_left_in_the_group_dies_before_the_output_is_waited_for() {
    let harness = Harness::with(SubprocessSettings { drain: Duration::from_secs(3600), ..shimmed() });
    let end = harness.run(&harness.script("sleep 1000 & exit 3")).await;
    assert_eq!((end.status, end.output.leaked), (ExitStatus::Code(3), false));
}

#[tokio::test]
async fn a_daemon_that_closes_the_output_in_time_is_no_leak() {
    let harness = Harness::with(SubprocessSettings { drain: Duration::from_secs(3600), ..shimmed() });
    ending::a_daemon_that_closes_the_output_in_time_is_no_leak(&harness.executor, &harness.scratch()).await;
}

#[tokio::test]
async fn a_leader_that_is_killed_died_by_that() {
    for harness in harnesses() {
        let task = harness.start(&harness.script("sleep 1000 & echo $!; wait")).await;
        printed(&*task, 2).await;
        let child = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
        kill(&pids(&*task).0);
        assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Signal(9));
        assert!(child.ends());
    }
}

#[tokio::test]
async fn when_the_shim_is_killed_nothing_is_left_and_nobody_knows_the_end() {
    for harness in harnesses() {
        let request = harness.script("trap '' TERM; setsid sleep 1000 & echo $!; sleep 1000");
        let task = harness.start(&request).await;
        printed(&*task, 2).await;
        let daemon = Process::named(&String::from_utf8(harness.log()).expect("a pid"));
        let (leader, shim) = pids(&*task);
        let (leader, cgroup) = (Process::named(&leader), cgroup(&harness));
        kill(&shim);
        let end = task.wait().await.expect("its end is seen");
        assert_eq!((end.status, end.stopped), (ExitStatus::Unknown, false));
        assert!(daemon.ends() && leader.ends());
        assert!(!is_alive(task.identity()).expect("it can be looked for"));
        assert!(!cgroup.is_some_and(|path| fs::exists(path).expect("it can be looked for")));
        assert_eq!(names(&harness.files()), ["output.log", "proc.json", "script.sh"]);
        assert_eq!(why_gone(&harness, &request).await, "it ended, or was killed, without a record of how");
    }
}

#[tokio::test]
async fn an_end_leaves_no_cgroup_and_no_pipe() {
    let harness = harness();
    let task = harness.start(&harness.script("echo ready; mkdir -p sub; sleep 1000")).await;
    printed(&*task, 6).await;
    let cgroup = cgroup(&harness);
    assert!(names(&harness.files()).iter().any(|name| name.starts_with("progress.")));
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    task.wait().await.expect("its end is seen");
    assert!(!cgroup.is_some_and(|path| fs::exists(path).expect("it can be looked for")));
    assert_eq!(names(&harness.files()), ["exit.json", "output.log", "proc.json", "script.sh"]);
}

#[tokio::test]
async fn of_output_over_the_cap_both_ends_are_kept() {
    let harness = Harness::with(SubprocessSettings { output_cap: OutputCap { head: 10, tail: 9 }, ..shimmed() });
    ending::of_output_over_the_cap_both_ends_are_kept(&harness.executor, &harness.scratch(), (10, 9), 1000).await;
}

#[tokio::test]
async fn a_folder_that_goes_away_changes_no_result_while_somebody_waits() {
    let harness = Harness::with(SubprocessSettings { output_cap: OutputCap { head: 6, tail: 100 }, ..shimmed() });
    ending::a_folder_that_goes_away_changes_no_result(&harness.executor, &harness.scratch()).await;
}

#[tokio::test]
async fn what_a_command_has_used_is_measured() {
    let harness = harness();
    ending::what_a_command_has_used_is_measured(&harness.executor, &harness.scratch()).await;
}

#[tokio::test]
async fn the_time_of_a_command_is_measured() {
    let harness = harness();
    let task = harness.start(&harness.script("echo ready; while ! [ -e go ]; do sleep 0.01; done")).await;
    printed(&*task, 6).await;
    let elapsed = task.elapsed().expect("it is measured");
    harness.put("go", "");
    let end = task.wait().await.expect("its end is seen");
    assert!(end.took >= elapsed && end.took < Duration::from_secs(60), "{end:?}");
    assert_eq!(task.elapsed(), Some(end.took));
}

#[tokio::test]
async fn the_memory_of_a_command_is_its_own() {
    let harness = harness();
    ending::the_memory_of_a_command_is_measured(&harness.executor, &harness.scratch()).await;
}

#[tokio::test]
async fn an_end_of_another_command_is_not_taken_for_this_one() {
    let harness = harness();
    let request = harness.script("exit 0");
    harness.run(&request).await;
    forge(&harness.files().join("exit.json"), |record| {
        let (head, rest) = record.split_once("\"nonce\":\"").expect("a nonce");
        format!("{head}\"nonce\":\"0000000000000000{}", &rest[16..])
    });
    assert_eq!(why_gone(&harness, &request).await, "the record of its end belongs to another command");
}

#[tokio::test]
async fn each_command_of_an_attempt_has_records_of_its_own() {
    let harness = harness();
    let main = harness.script("exit 3");
    let check = ExecRequest { phase: gadugi_core::Phase::Check, ..harness.script("exit 4") };
    let setup = ExecRequest { phase: gadugi_core::Phase::Setup, ..harness.script("exit 5") };
    assert_eq!(harness.run(&main).await.status, ExitStatus::Code(3));
    assert_eq!(harness.run(&check).await.status, ExitStatus::Code(4));
    assert_eq!(harness.run(&setup).await.status, ExitStatus::Code(5));
    let files = ["check-exit.json", "check-proc.json", "check.sh", "exit.json", "proc.json", "script.sh"];
    let expected = [&files[..], &["setup-exit.json", "setup-proc.json", "setup.sh"]].concat();
    let left: Vec<String> = names(&harness.files()).into_iter().filter(|name| !name.ends_with(".log")).collect();
    assert_eq!(left, expected);
    for (request, code) in [(&main, 3), (&check, 4), (&setup, 5)] {
        let task: Box<dyn RunningTask> = crate::supervised::found(&harness, request).await;
        assert_eq!(task.wait().await.expect("its end is known").status, ExitStatus::Code(code));
    }
}

/// A storm of processes that nobody brings to an end by killing one after the other, without a cgroup: what is killed
/// is made again by the others. It has a user of its own, who may have 150 processes, and ends after a quarter of a
/// minute at the latest.
#[tokio::test]
async fn a_storm_that_goes_on_while_it_is_killed_is_killed() {
    use std::os::unix::fs::PermissionsExt;
    let storm_users_processes = || {
        let entries = fs::read_dir("/proc").expect("procfs").flatten();
        let status = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("status")).ok();
        entries.filter_map(status).filter(|status| status.contains("Uid:\t54321\t")).count()
    };
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root can give a command another user, whose processes are limited");
        return;
    }
    let harness = Harness::with(SubprocessSettings { cgroups: false, drain: Duration::from_millis(20), ..shimmed() });
    fs::set_permissions(harness.folder(), PermissionsExt::from_mode(0o777)).expect("the folder is there");
    let script = "touch going; \
        setsid timeout -s KILL 15 setpriv --reuid=54321 --regid=54321 --clear-groups prlimit --nproc=150 \
        perl -e 'open F, q(>rages); while (-e q(going)) { fork }' > /dev/null 2>&1 & \
        while ! [ -e rages ]; do sleep 0.01; done; sleep 0.3; exit 3";
    let end = harness.run(&harness.script(script)).await;
    let left = storm_users_processes();
    fs::remove_file(harness.folder().join("going")).expect("it was made");
    assert_eq!((end.status, end.output.leaked, left), (ExitStatus::Code(3), false, 0));
}
