//! Terminals that are closed, left by Ctrl-Z, or whose user has no more patience.

use std::fs::{File, OpenOptions};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

use crate::hostile_tasks::is_alive;
use crate::stand::{Going, Stand};
use crate::waiting::{gated, gated_with, gone, open, pid, state};

/// A command on a terminal of its own, which is closed with the file.
struct OnTerminal {
    terminal: File,
    child: Child,
}

impl OnTerminal {
    fn start(command: &Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        unlockpt(&terminal).expect("it can be opened");
        let name = ptsname(&terminal, Vec::new()).expect("its name");
        let name = name.to_str().expect("UTF-8").to_owned();
        let end = || OpenOptions::new().read(true).write(true).open(&name).expect("its other end");
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        session.current_dir(command.get_current_dir().expect("a folder"));
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it starts");
        Self { terminal: terminal.into(), child }
    }

    /// Closes the terminal and gives the code with which the command ends.
    fn close(self, then: impl FnOnce()) -> Option<i32> {
        let Self { terminal, mut child } = self;
        drop(terminal);
        then();
        child.wait().expect("it ends").code()
    }
}

#[test]
fn a_closed_terminal_leaves_the_run_going_and_its_report_is_kept() {
    let stand = Stand::new();
    let a = gated(&stand, "a", "true");
    let b = stand.task("b.md", "---\nneeds: [a]\nrun: 'true'\n---\n");
    let run = OnTerminal::start(&stand.command(&["run", &a, &b]));
    let task = pid(&stand, "a");
    let code = run.close(|| {
        // It hears of it, and draws a few times.
        std::thread::sleep(Duration::from_millis(300));
        assert!(is_alive(&task));
        open(&stand, "a");
    });
    assert_eq!(code, Some(0));
    assert!(stand.latest_run().join("report.md").exists());
    assert_eq!(stand.outcomes()["b"], "succeeded");
}

#[test]
fn a_closed_terminal_stops_a_run_that_is_to_die_with_it() {
    let stand = Stand::new();
    let file = gated(&stand, "a", "true");
    let run = OnTerminal::start(&stand.command(&["run", "--die-with-parent", &file]));
    let task = pid(&stand, "a");
    assert_eq!(run.close(|| ()), Some(130));
    assert!(!is_alive(&task));
    assert_eq!(stand.outcomes()["a"], "cancelled");
}

#[test]
fn tasks_that_are_to_die_with_gadugi_do() {
    let stand = Stand::new();
    let file = gated(&stand, "a", "true");
    let run = Going::start(stand.command(&["run", "--die-with-parent", &file]));
    let task = pid(&stand, "a");
    run.signal(Signal::KILL);
    drop(run.end());
    gone(&task);
    stand.gadugi(&["resume"]).expect(1);
    assert_eq!(stand.outcomes()["a"], "cancelled");
}

#[test]
fn ctrl_z_suspends_the_tasks_and_their_clocks_until_gadugi_goes_on() {
    let stand = Stand::new();
    let file = gated_with(&stand, "a", "timeout: 2s\nidle_timeout: 2s\n", "true");
    let run = Going::start(stand.command(&["run", &file]));
    pid(&stand, "a");
    run.signal(Signal::TSTP);
    while state(run.pid()) != Some('T') {
        std::thread::yield_now();
    }
    let ps = stand.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("suspended"), "{ps}");
    open(&stand, "a");
    // Longer than each of the clocks.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(is_alive(&pid(&stand, "a")), "a suspended task does not go on");
    run.signal(Signal::CONT);
    run.end().expect(0).says(&["suspended", "goes on"]);
}

#[test]
fn a_third_ctrl_c_leaves_at_once() {
    let stand = Stand::new();
    let file = gated_with(&stand, "a", "grace: 1h\n", "true");
    let mut run = Going::start(stand.command(&["run", "--keep", "never", &file]));
    let task = pid(&stand, "a");
    // The worktree cannot be given back as long as somebody changes the worktrees, and so the run does not end.
    let lock = File::open(stand.repo.path().join(".git/gadugi/lock")).expect("it stays");
    lock.lock().expect("nobody holds it");
    for words in ["kills at once", "leaves at once"] {
        run.signal(Signal::INT);
        run.until(words);
    }
    run.until("cancelled");
    run.signal(Signal::INT);
    run.end().expect(130).says(&["gadugi resume"]);
    gone(&task);
    lock.unlock().expect("it is ours");
    stand.gadugi(&["resume"]).expect(1);
    assert_eq!(stand.outcomes()["a"], "cancelled");
    assert!(!stand.worktrees().join("a").exists(), "it was given back");
}
