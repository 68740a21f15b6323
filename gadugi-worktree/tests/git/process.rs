//! A process of its own that works with worktrees, and is killed while it does: this program, run again.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use gadugi_core::merge::{ChainRequest, Integration, LandRequest, Link, Strategy};
use gadugi_core::worktrees::{SnapshotRequest, WorktreeFate};
use gadugi_core::{Lease, Worktrees, arm_crash_point};
use gadugi_worktree::GitWorktrees;

use crate::harness::{DELETE, KEEP, branch, chain, commit_id, next_in, request, worktrees_of, write};
use crate::merging::merge_id;

const REPOSITORY: &str = "GADUGI_TEST_REPOSITORY";
const STEP: &str = "GADUGI_TEST_STEP";
const POINT: &str = "GADUGI_TEST_CRASH_AT";
const THREADS: &str = "GADUGI_TEST_THREADS";
const MOUNTS: &str = "GADUGI_TEST_MOUNTS";

/// Runs a step in a process of its own, which dies at a crash point; says how it ended.
pub(crate) fn run(repository: &Path, step: &str, point: &str) -> ExitStatus {
    let mut process = start(repository, step, point);
    // Held, since the process ends with it.
    let _stdin = process.stdin.take();
    process.wait().expect("the process ends")
}

/// Runs a step in a process of its own that finds no other programs; says how it ended.
pub(crate) fn run_without_programs(repository: &Path, step: &str) -> ExitStatus {
    let mut process = command(repository, step, "none").env("PATH", "").spawn().expect("this program can be started");
    let _stdin = process.stdin.take();
    process.wait().expect("the process ends")
}

/// Runs a step in a process of its own, for which there is little room in that folder; gives what it has printed, or `None` where
/// the system does not let anybody have a mount of his own.
pub(crate) fn run_on_a_small_disk(repository: &Path, folder: &Path, step: &str) -> Option<String> {
    let inner = command(repository, step, "none");
    let mount = "mount -t tmpfs -o size=4m none \"$0\" || exit 99; exec \"$@\"";
    let mut outer = Command::new("unshare");
    outer.args(["-rm", "sh", "-c", mount]).arg(folder).arg(inner.get_program()).args(inner.get_args());
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut process = outer.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let _stdin = process.stdin.take();
    let output = process.wait_with_output().expect("the process ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // Without a mount the program has not begun, and says nothing.
    assert!(output.status.success() || said.is_empty(), "{said}");
    output.status.success().then_some(said)
}

/// Runs a step in a process of its own; says what it has printed, and how many bytes of memory it had at most.
#[cfg(target_os = "linux")]
pub(crate) fn run_and_measure(repository: &Path, step: &str) -> (String, u64) {
    let mut process =
        command(repository, &format!("measure {step}"), "none").spawn().expect("this program can be started");
    let _stdin = process.stdin.take();
    let output = process.wait_with_output().expect("the process ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    let memory =
        said.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    (said, memory.expect("it is measured") * 1024)
}

/// Runs one test of this program again, in a process with private mounts, which end with it. Returns whether this is that
/// process; the test is over otherwise, also where the system forbids private mounts.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn has_own_mounts(test: &str) -> bool {
    if std::env::var_os(MOUNTS).is_some() {
        return true;
    }
    if !Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: this system lets nobody mount anything for a process of his own");
        return false;
    }
    let program = std::env::current_exe().expect("the path of this program");
    let mut inner = Command::new("unshare");
    inner.arg("-rm").arg(program).args(["--exact", test]).env(MOUNTS, "own");
    let output = inner.output().expect("it can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

/// Runs one test of this program again, as a user of its own who may have so many threads and processes. Answers whether this is
/// that process; if not, the test is over. Only root can become such a user.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn has_few_threads(test: &str, threads: u32) -> bool {
    if std::env::var_os(THREADS).is_some() {
        return true;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become a user without other processes");
        return false;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // No user of the machine, and another one for each test and process.
    let user = 0x4000_0000 + (std::process::id() << 4) + threads;
    rustix::fs::chown(folder.path(), Some(rustix::fs::Uid::from_raw(user)), None).expect("root may do that");
    let program = folder.path().join("test");
    std::fs::copy(std::env::current_exe().expect("the path of this program"), &program).expect("a copy");
    let mut inner = Command::new("setpriv");
    inner.arg(format!("--reuid={user}")).args(["--clear-groups", "--inh-caps=-all", "prlimit"]);
    inner.arg(format!("--nproc={threads}")).arg(&program).args(["--exact", test, "--test-threads=1"]);
    inner.env(THREADS, threads.to_string()).env("TMPDIR", folder.path()).env("HOME", folder.path());
    let output = inner.current_dir(folder.path()).output().expect("it can be started");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    false
}

/// Starts a step in a process of its own, which ends at the latest with the test.
pub(crate) fn start(repository: &Path, step: &str, point: &str) -> Child {
    command(repository, step, point).spawn().expect("this program can be started")
}

fn command(repository: &Path, step: &str, point: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["--exact", "process::a_process_that_others_watch", "--ignored", "--nocapture", "-q"]);
    command.env(REPOSITORY, repository).env(STEP, step).env(POINT, point);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Reads what a process prints, up to a line that ends so, and no further.
pub(crate) fn wait_for(process: &mut Child, word: &str) {
    let output = process.stdout.as_mut().expect("it prints");
    let mut line = Vec::new();
    while !line.ends_with(format!("{word}\n").as_bytes()) {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap_or_else(|_| panic!("it ended before it said {word}"));
        line.push(byte[0]);
    }
}

/// Kills a process and gives what it has printed.
pub(crate) fn kill(mut process: Child) -> String {
    process.kill().expect("it is killed");
    let mut text = String::new();
    process.stdout.take().expect("it prints").read_to_string(&mut text).expect("its output");
    process.wait().expect("it ends");
    text
}

fn die() -> ! {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("a signal");
    loop {
        std::thread::park();
    }
}

/// Waits until the parent process kills this one.
fn stop_here() -> ! {
    say("here");
    loop {
        std::thread::park();
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout();
    output.write_all(format!("{line}\n").as_bytes()).and_then(|()| output.flush()).expect("output");
}

#[test]
#[ignore = "the process that other tests start and kill"]
fn a_process_that_others_watch() {
    let Some(repository) = std::env::var_os(REPOSITORY) else { return };
    let variable = |name| std::env::var(name).expect("whoever started this has set it");
    let (step, point) = (variable(STEP), variable(POINT));
    match point.strip_prefix("stop ") {
        Some(point) => arm_crash_point(point, stop_here),
        None => arm_crash_point(&point, die),
    }
    std::thread::spawn(|| {
        // Nothing is ever written: it ends when whoever has started this is gone.
        std::io::stdin().read_to_end(&mut Vec::new()).expect("nothing");
        die();
    });
    std::env::set_current_dir(&repository).expect("a folder");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime");
    runtime.block_on(work(&worktrees_of(Path::new(&repository)), &step));
    say("done");
}

async fn work(worktrees: &GitWorktrees, step: &str) {
    let (verb, tasks) = step.split_once(' ').expect("a verb and tasks");
    match verb {
        "measure" => {
            Box::pin(work(worktrees, tasks)).await;
            let status = std::fs::read_to_string("/proc/self/status").expect("what is known of this process");
            say(status.lines().find(|line| line.starts_with("VmHWM:")).expect("it is measured"));
        }
        "create" => drop(create(worktrees, tasks).await),
        "refuse" => {
            for made in worktrees.create(tasks.split(' ').map(request).collect()).await {
                say(&chain(&made.expect_err("no worktree")));
            }
        }
        "snapshot" => {
            for lease in leases(worktrees, tasks).await {
                worktrees
                    .snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None })
                    .await
                    .expect("a snapshot");
            }
        }
        "fail-to-snapshot" => {
            for lease in leases(worktrees, tasks).await {
                let error =
                    worktrees.snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None }).await;
                say(&chain(&error.expect_err("no snapshot")));
            }
        }
        "fail-to-import" => {
            for lease in leases(worktrees, tasks).await {
                say(&chain(&worktrees.import(&lease).await.expect_err("no import")));
            }
        }
        "isolate" => {
            for lease in leases(worktrees, tasks).await {
                worktrees.isolate(&lease).await.expect("what it has to see");
            }
        }
        "import" => {
            for lease in leases(worktrees, tasks).await {
                worktrees.import(&lease).await.expect("an import");
            }
        }
        "release" => {
            for lease in leases(worktrees, tasks).await {
                worktrees.release(&lease, KEEP).await.expect("a release");
            }
        }
        "delete" => {
            for lease in leases(worktrees, tasks).await {
                worktrees.release(&lease, DELETE).await.expect("a release");
            }
        }
        "home" => {
            for task in tasks.split(' ').map(|task| request(task).attempt.task) {
                worktrees.home(&request("a").run, &task).await.expect("a home");
            }
        }
        "forget-home" => {
            for task in tasks.split(' ').map(|task| request(task).attempt.task) {
                worktrees.remove_home(&request("a").run, &task).await.expect("it is gone");
            }
        }
        "take-over" => {
            let earlier = leases(worktrees, tasks).await;
            let made = worktrees.create(earlier.iter().map(next_in).collect()).await;
            made.into_iter().for_each(|made| drop(made.expect("a worktree")));
        }
        "chain" => chain_of(worktrees, tasks).await,
        "land" => land(worktrees, tasks).await,
        "recover" => say(&format!("{:?}", worktrees.recover_landing(&merge_id()).await.expect("an end"))),
        "leave" => leave(worktrees, tasks).await,
        "cycle" => cycle(worktrees, tasks).await,
        other => panic!("there is no step {other}"),
    }
}

/// Makes a chain of commits on the first of several commits, of branches that start from it.
async fn chain_of(worktrees: &GitWorktrees, commits: &str) {
    let (onto, tips) = commits.split_once(' ').expect("several commits");
    let link = |tip: &str| Link {
        name: format!("task-{}", &tip[..7]),
        title: "Do it".to_owned(),
        run: request("a").run,
        tip: commit_id(tip),
        base: commit_id(onto),
    };
    let request = ChainRequest {
        merge: merge_id(),
        onto: commit_id(onto),
        links: tips.split(' ').map(link).collect(),
        strategy: Strategy::Merge,
        regenerate: Vec::new(),
    };
    say(Integration::chain(worktrees, request).await.expect("a chain").tip.as_str());
}

/// Lands a commit on a branch that is at another one.
async fn land(worktrees: &GitWorktrees, words: &str) {
    let mut words = words.split(' ');
    let mut next = || words.next().expect("a branch and two commits");
    let branch = next().parse().expect("a branch");
    let (old, new) = (Some(commit_id(next())), commit_id(next()));
    let landing = worktrees.land(LandRequest { merge: merge_id(), branch, old, new }).await;
    say(&format!("{:?}", landing.expect("an end")));
}

async fn create(worktrees: &GitWorktrees, tasks: &str) -> Vec<Lease> {
    let made = worktrees.create(tasks.split(' ').map(request).collect()).await;
    made.into_iter().map(|made| made.expect("a worktree").lease).collect()
}

async fn leases(worktrees: &GitWorktrees, tasks: &str) -> Vec<Lease> {
    let mut leases = worktrees.leases().await.expect("a list");
    leases.retain(|lease| tasks.split(' ').any(|task| lease.attempt.task.as_str() == task));
    leases
}

/// Gives back the worktree that this process is in, and makes, uses and gives back another one then.
async fn leave(worktrees: &GitWorktrees, tasks: &str) {
    let (here, next) = tasks.split_once(' ').expect("two tasks");
    // As whoever drives a run does: gix opens no repository from a folder that is gone.
    std::env::set_current_dir("/").expect("a folder");
    for lease in leases(worktrees, here).await {
        let released = worktrees.release(&lease, DELETE).await.expect("a release");
        assert_eq!(released.worktree, WorktreeFate::Removed);
    }
    for lease in create(worktrees, next).await {
        write(&lease, "work.txt", "work");
        let work = worktrees
            .snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None })
            .await
            .expect("a snapshot");
        assert_eq!((work.commits, work.uncommitted), (1, 0));
        let released = worktrees.release(&lease, KEEP).await.expect("a release");
        assert_eq!(released.worktree, WorktreeFate::Removed);
    }
}

/// Makes worktrees, works in them, commits, and gives them back, for ever. Says which commits it has made.
async fn cycle(worktrees: &GitWorktrees, tasks: &str) {
    say("ready");
    for number in 0_u64.. {
        let leases = create(worktrees, tasks).await;
        let all: Vec<_> = leases
            .into_iter()
            .enumerate()
            .map(|(at, lease)| {
                let worktrees = worktrees.clone();
                tokio::spawn(async move {
                    // Every third does nothing, and its branch goes.
                    let works = at % 3 != 2;
                    if works {
                        write(&lease, "work.txt", format!("{} {number}", std::process::id()));
                    }
                    let work = worktrees
                        .snapshot(&lease, SnapshotRequest { commit: true, subject: None, since: None })
                        .await
                        .expect("a snapshot");
                    if works {
                        say(&format!("commit {}", work.tip.expect("a tip")));
                    }
                    // As the journal of a run knows it.
                    say(&format!("release {}", branch(&lease)));
                    worktrees.release(&lease, DELETE).await.expect("a release");
                })
            })
            .collect();
        for one in all {
            one.await.expect("a cycle");
        }
    }
}
