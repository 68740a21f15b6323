//! Tasks that wait for the test, and runs without a driver.

use rustix::process::{Pid, Signal};

use crate::harness::{Going, Harness};

/// A task file whose script waits for [`open`], and then runs `then`.
pub(crate) fn gated(harness: &Harness, name: &str, then: &str) -> String {
    gated_with(harness, name, "", then)
}

/// The same with more front matter, in whole lines.
pub(crate) fn gated_with(harness: &Harness, name: &str, front_matter: &str, then: &str) -> String {
    let gate = gate(harness, name);
    let text = format!("---\n{front_matter}run: |\n  {gate}\n  {then}\n---\n# The task {name}\n");
    harness.task(&format!("{name}.md"), text)
}

/// A line of a script that says which process it is, and waits for [`open`].
pub(crate) fn gate(harness: &Harness, name: &str) -> String {
    let root = harness.repo.root();
    let root = root.display();
    format!("echo $$ > '{root}/pid-{name}'; while [ ! -e '{root}/gate-{name}' ]; do sleep 0.02; done")
}

pub(crate) fn open(harness: &Harness, name: &str) {
    std::fs::write(harness.repo.root().join(format!("gate-{name}")), "").expect("the gate opens");
}

/// The process of a task, once it has begun.
pub(crate) fn pid(harness: &Harness, name: &str) -> String {
    let file = harness.repo.root().join(format!("pid-{name}"));
    loop {
        // It is written right after the command has started.
        if let Ok(pid) = std::fs::read_to_string(&file)
            && pid.ends_with('\n')
        {
            return pid;
        }
        std::thread::yield_now();
    }
}

/// Kills a gadugi once it has recorded that these tasks run, so that its run has no driver.
pub(crate) fn killed(harness: &Harness, run: Going, tasks: &[&str]) {
    for task in tasks {
        pid(harness, task);
    }
    // A start is in the journal a moment after it.
    while harness.gadugi(&["ps"]).expect(0).out.matches("pid ").count() < tasks.len() {}
    run.signal(Signal::KILL);
    drop(run.end());
}

/// Waits until a process is gone.
pub(crate) fn gone(pid: &str) {
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
    while rustix::process::test_kill_process(pid).is_ok() && !is_zombie(pid) {
        std::thread::yield_now();
    }
}

fn is_zombie(pid: Pid) -> bool {
    state(pid) == Some('Z')
}

/// The letter of a process's state, as in proc_pid_stat(5).
pub(crate) fn state(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}
