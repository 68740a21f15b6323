//! The ends of commands, which leave nothing behind.

use std::fs;
use std::time::Duration;

use gadugi_core::{ExecRequest, ExitStatus, RunningTask};
use gadugi_exec::{OutputCap, SubprocessSettings, is_alive};
use rustix::process::{Signal, kill_process};

use crate::processes::Process;
use crate::scene::{Scene, printed};
use crate::supervised::{forge, names, pids, scene, shimmed, why_gone};

/// With a cgroup for each command where this user can make one, and without.
fn scenes() -> [Scene; 2] {
    [true, false].map(|cgroups| Scene::with(SubprocessSettings { cgroups, ..shimmed() }))
}

fn kill(pid: &str) {
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::KILL).expect("it runs");
}

/// The folder of the command's cgroup, where it has one.
fn cgroup(scene: &Scene) -> Option<String> {
    let record = fs::read_to_string(scene.files().join("proc.json")).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    Some(record["cgroup"]["path"].as_str()?.to_owned())
}

#[tokio::test]
async fn a_daemon_dies_with_its_command_and_its_hold_on_the_output_is_told_of() {
    for cgroups in [true, false] {
        let scene = Scene::with(SubprocessSettings { cgroups, drain: Duration::from_millis(50), ..shimmed() });
        let script = "setsid sh -c 'echo $$; exec sleep 1000' & while ! [ -s ../files/output.log ]; do sleep 0.01; done; \
             while ! [ -e go ]; do sleep 0.01; done";
        let task = scene.start(&scene.script(script)).await;
        printed(&*task, 2).await;
        let daemon = Process::named(&String::from_utf8(scene.log()).expect("a pid"));
        scene.put("go", "");
        let end = task.wait().await.expect("its end is seen");
        assert!(end.status.success());
        assert!(end.output.leaked);
        assert!(daemon.ends());
    }
}

#[tokio::test]
async fn what_is_left_in_the_group_dies_before_the_output_is_waited_for() {
    let scene = Scene::with(SubprocessSettings { drain: Duration::from_secs(3600), ..shimmed() });
    let end = scene.run(&scene.script("sleep 1000 & exit 3")).await;
    assert_eq!((end.status, end.output.leaked), (ExitStatus::Code(3), false));
}

#[tokio::test]
async fn a_daemon_that_closes_the_output_in_time_is_no_leak() {
    let scene = Scene::with(SubprocessSettings { drain: Duration::from_secs(3600), ..shimmed() });
    let script = "setsid sh -c 'echo one; while ! [ -e go ]; do sleep 0.01; done; echo two' & \
                  while ! [ -s ../files/output.log ]; do sleep 0.01; done; touch go";
    let end = scene.run(&scene.script(script)).await;
    assert!(!end.output.leaked);
    assert_eq!(scene.log(), b"one\ntwo\n");
}

#[tokio::test]
async fn a_leader_that_is_killed_died_by_that() {
    for scene in scenes() {
        let task = scene.start(&scene.script("sleep 1000 & echo $!; wait")).await;
        printed(&*task, 2).await;
        let child = Process::named(&String::from_utf8(scene.log()).expect("a pid"));
        kill(&pids(&*task).0);
        assert_eq!(task.wait().await.expect("its end is seen").status, ExitStatus::Signal(9));
        assert!(child.ends());
    }
}

#[tokio::test]
async fn when_the_shim_is_killed_nothing_is_left_and_nobody_knows_the_end() {
    for scene in scenes() {
        let request = scene.script("trap '' TERM; setsid sleep 1000 & echo $!; sleep 1000");
        let task = scene.start(&request).await;
        printed(&*task, 2).await;
        let daemon = Process::named(&String::from_utf8(scene.log()).expect("a pid"));
        let (leader, shim) = pids(&*task);
        let (leader, cgroup) = (Process::named(&leader), cgroup(&scene));
        kill(&shim);
        let end = task.wait().await.expect("its end is seen");
        assert_eq!((end.status, end.stopped), (ExitStatus::Unknown, false));
        assert!(daemon.ends() && leader.ends());
        assert!(!is_alive(task.identity()).expect("it can be looked for"));
        assert!(!cgroup.is_some_and(|path| fs::exists(path).expect("it can be looked for")));
        assert_eq!(names(&scene.files()), ["output.log", "proc.json", "script.sh"]);
        assert_eq!(why_gone(&scene, &request).await, "it ended, or was killed, without a record of how");
    }
}

#[tokio::test]
async fn an_end_leaves_no_cgroup_and_no_pipe() {
    let scene = scene();
    let task = scene.start(&scene.script("echo ready; mkdir -p sub; sleep 1000")).await;
    printed(&*task, 6).await;
    let cgroup = cgroup(&scene);
    assert!(names(&scene.files()).iter().any(|name| name.starts_with("progress.")));
    task.stop(Duration::ZERO).await.expect("it can be stopped");
    task.wait().await.expect("its end is seen");
    assert!(!cgroup.is_some_and(|path| fs::exists(path).expect("it can be looked for")));
    assert_eq!(names(&scene.files()), ["exit.json", "output.log", "proc.json", "script.sh"]);
}

#[tokio::test]
async fn of_output_over_the_cap_both_ends_are_kept() {
    let scene = Scene::with(SubprocessSettings { output_cap: OutputCap { head: 10, tail: 9 }, ..shimmed() });
    let end = scene.run(&scene.argv(&["seq", "1", "1000"])).await;
    let log = String::from_utf8(scene.log()).expect("text");
    assert_eq!(log, "1\n2\n3\n4\n5\n\n[gadugi: 3874 bytes of output left out here]\n999\n1000\n");
    assert_eq!((end.output.bytes, end.output.dropped), (3893, 3874));
}

#[tokio::test]
async fn a_folder_that_goes_away_changes_no_result_while_somebody_waits() {
    let scene = Scene::with(SubprocessSettings { output_cap: OutputCap { head: 6, tail: 100 }, ..shimmed() });
    let task =
        scene.start(&scene.script("echo first; while ! [ -e go ]; do sleep 0.01; done; echo second; exit 3")).await;
    printed(&*task, 6).await;
    fs::remove_dir_all(scene.files()).expect("the folder is there");
    scene.put("go", "");
    let end = task.wait().await.expect("its end is seen");
    assert_eq!(end.status, ExitStatus::Code(3));
    assert_eq!((end.output.bytes, end.output.dropped), (13, 7));
}

#[tokio::test]
async fn what_a_command_has_used_is_measured() {
    let scene = scene();
    let script =
        "(i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done); echo ready; while ! [ -e go ]; do sleep 0.01; done";
    let task = scene.start(&scene.script(script)).await;
    printed(&*task, 6).await;
    let so_far = task.usage().await;
    assert!(so_far.cpu > Some(Duration::ZERO), "{so_far:?}");
    let elapsed = task.elapsed().expect("it is measured");
    scene.put("go", "");
    let end = task.wait().await.expect("its end is seen");
    assert!(end.usage.cpu >= so_far.cpu, "{end:?}");
    assert!(end.took >= elapsed && end.took < Duration::from_secs(60), "{end:?}");
    assert_eq!((task.usage().await, task.elapsed()), (end.usage, Some(end.took)));
}

#[tokio::test]
async fn the_memory_of_a_command_is_its_own() {
    let large = scene();
    let end = large.run(&large.argv(&["dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"])).await;
    assert!(end.usage.peak_memory > Some(300 << 20), "{end:?}");
}

#[tokio::test]
async fn an_end_of_another_command_is_not_taken_for_this_one() {
    let scene = scene();
    let request = scene.script("exit 0");
    scene.run(&request).await;
    forge(&scene.files().join("exit.json"), |record| {
        let (head, rest) = record.split_once("\"nonce\":\"").expect("a nonce");
        format!("{head}\"nonce\":\"0000000000000000{}", &rest[16..])
    });
    assert_eq!(why_gone(&scene, &request).await, "the record of its end belongs to another command");
}

#[tokio::test]
async fn each_command_of_an_attempt_has_records_of_its_own() {
    let scene = scene();
    let main = scene.script("exit 3");
    let check = ExecRequest { phase: gadugi_core::Phase::Check, ..scene.script("exit 4") };
    let setup = ExecRequest { phase: gadugi_core::Phase::Setup, ..scene.script("exit 5") };
    assert_eq!(scene.run(&main).await.status, ExitStatus::Code(3));
    assert_eq!(scene.run(&check).await.status, ExitStatus::Code(4));
    assert_eq!(scene.run(&setup).await.status, ExitStatus::Code(5));
    let files = ["check-exit.json", "check-proc.json", "check.sh", "exit.json", "proc.json", "script.sh"];
    let expected = [&files[..], &["setup-exit.json", "setup-proc.json", "setup.sh"]].concat();
    let left: Vec<String> = names(&scene.files()).into_iter().filter(|name| !name.ends_with(".log")).collect();
    assert_eq!(left, expected);
    for (request, code) in [(&main, 3), (&check, 4), (&setup, 5)] {
        let task: Box<dyn RunningTask> = crate::supervised::found(&scene, request).await;
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
    let scene = Scene::with(SubprocessSettings { cgroups: false, drain: Duration::from_millis(20), ..shimmed() });
    fs::set_permissions(scene.folder(), PermissionsExt::from_mode(0o777)).expect("the folder is there");
    let script = "touch going; \
        setsid timeout -s KILL 15 setpriv --reuid=54321 --regid=54321 --clear-groups prlimit --nproc=150 \
        perl -e 'open F, q(>rages); while (-e q(going)) { fork }' > /dev/null 2>&1 & \
        while ! [ -e rages ]; do sleep 0.01; done; sleep 0.3; exit 3";
    let end = scene.run(&scene.script(script)).await;
    let left = storm_users_processes();
    fs::remove_file(scene.folder().join("going")).expect("it was made");
    assert_eq!((end.status, end.output.leaked, left), (ExitStatus::Code(3), false, 0));
}
