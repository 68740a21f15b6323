//! Terminals that are closed, left by Ctrl-Z, or whose user has no more patience.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::eight_tasks::Night;
use crate::harness::{Going, Harness};
use crate::hostile_tasks::is_alive;
use crate::waiting::{gate, gated, gated_with, gone, open, pid, state};

/// A command on a terminal of its own, which is closed with the file.
pub(crate) struct OnTerminal {
    terminal: File,
    child: Child,
}

impl OnTerminal {
    pub(crate) fn start(command: &Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        unlockpt(&terminal).expect("it can be opened");
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("it has a size");
        let name = ptsname(&terminal, Vec::new()).expect("its name");
        let name = name.to_str().expect("UTF-8").to_owned();
        let end = || OpenOptions::new().read(true).write(true).open(&name).expect("its other end");
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        session.env("TERM", "xterm");
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        session.current_dir(command.get_current_dir().expect("a folder"));
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it starts");
        Self { terminal: terminal.into(), child }
    }

    /// Reads the terminal until its other end is closed.
    pub(crate) fn screen(&self) -> Screen {
        let mut terminal = self.terminal.try_clone().expect("the same terminal");
        let drawn = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let drawn = Arc::clone(&drawn);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(read) = terminal.read(&mut buffer) {
                    drawn.lock().expect("nobody panicked").push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
            }
        });
        Screen { drawn, reader }
    }

    /// Waits until the command has ended, and gives all that was drawn.
    pub(crate) fn drawn_at_end(self, screen: Screen) -> String {
        let Self { terminal, mut child } = self;
        child.wait().expect("it ends");
        let drawn = screen.all();
        drop(terminal);
        drawn
    }

    /// Closes the terminal and gives the code with which the command ends.
    pub(crate) fn close(self, then: impl FnOnce()) -> Option<i32> {
        let Self { terminal, mut child } = self;
        drop(terminal);
        then();
        child.wait().expect("it ends").code()
    }
}

/// The text that was drawn on a terminal.
pub(crate) struct Screen {
    drawn: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Screen {
    fn until(&self, is_seen: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !is_seen(&self.drawn.lock().expect("nobody panicked")) {
            assert!(begun.elapsed() < Duration::from_secs(10), "it is never drawn: {:?}", self.drawn.lock());
            std::thread::yield_now();
        }
    }

    pub(crate) fn all(self) -> String {
        self.reader.join().expect("it was read");
        std::mem::take(&mut *self.drawn.lock().expect("nobody panicked"))
    }
}

#[test]
fn a_closed_terminal_leaves_the_run_going_and_its_report_is_kept() {
    let harness = Harness::new();
    let a = gated(&harness, "a", "true");
    let b = harness.task("b.md", "---\nneeds: [a]\nrun: 'true'\n---\n");
    let run = OnTerminal::start(&harness.command(&["run", &a, &b]));
    let task = pid(&harness, "a");
    let code = run.close(|| {
        // It hears of it, and draws a few times.
        std::thread::sleep(Duration::from_millis(300));
        assert!(is_alive(&task));
        open(&harness, "a");
    });
    assert_eq!(code, Some(0));
    assert!(harness.latest_run().join("report.md").exists());
    assert_eq!(harness.outcomes()["b"], "succeeded");
}

#[test]
fn a_closed_terminal_stops_a_run_that_is_to_die_with_it() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    let run = OnTerminal::start(&harness.command(&["run", "--die-with-parent", &file]));
    let task = pid(&harness, "a");
    assert_eq!(run.close(|| ()), Some(130));
    assert!(!is_alive(&task));
    assert_eq!(harness.outcomes()["a"], "cancelled");
}

#[test]
fn tasks_that_are_to_die_with_gadugi_do() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    let run = Going::start(harness.command(&["run", "--die-with-parent", &file]));
    let task = pid(&harness, "a");
    run.signal(Signal::KILL);
    drop(run.end());
    gone(&task);
    harness.gadugi(&["resume"]).expect(1);
    assert_eq!(harness.outcomes()["a"], "cancelled");
}

#[test]
fn ctrl_z_suspends_the_tasks_and_their_clocks_until_gadugi_goes_on() {
    let harness = Harness::new();
    let file = gated_with(&harness, "a", "timeout: 2s\nidle_timeout: 2s\n", "true");
    let mut run = Going::start(harness.command(&["run", &file]));
    pid(&harness, "a");
    run.until("started");
    run.signal(Signal::TSTP);
    while state(run.pid()) != Some('T') {
        std::thread::yield_now();
    }
    let ps = harness.gadugi(&["ps"]).expect(0).out;
    assert!(ps.contains("suspended"), "{ps}");
    open(&harness, "a");
    // Longer than each of the clocks.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(is_alive(&pid(&harness, "a")), "a suspended task does not go on");
    run.signal(Signal::CONT);
    run.end().expect(0).says(&["suspended", "goes on"]);
}

#[test]
fn a_third_ctrl_c_leaves_at_once() {
    let harness = Harness::new();
    let file = gated_with(&harness, "a", "grace: 1h\n", "true");
    let mut run = Going::start(harness.command(&["run", "--keep", "never", &file]));
    let task = pid(&harness, "a");
    // The worktree cannot be given back as long as somebody changes the worktrees, and so the run does not end.
    let lock = File::open(harness.repo.path().join(".git/gadugi/lock")).expect("it stays");
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
    harness.gadugi(&["resume"]).expect(130);
    assert_eq!(harness.outcomes()["a"], "cancelled");
    assert!(!harness.worktrees().join("a").exists(), "it was given back");
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_fg_goes_on() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    let mut run = OnTerminal::start(&harness.command(&["run", &file]));
    let screen = run.screen();
    pid(&harness, "a");
    run.terminal.write_all(b"\x1a").expect("a key is pressed");
    let gadugi = Pid::from_child(&run.child);
    while state(gadugi) != Some('T') {
        std::thread::yield_now();
    }
    // The view is not left on it.
    screen.until(|drawn| {
        let suspended = drawn.split_once("suspended, with its tasks").map(|(_, suspended)| suspended);
        suspended.is_some_and(|suspended| suspended.rfind("\u{1b}[2K") > suspended.rfind("0/1 tasks"))
    });
    kill_process(gadugi, Signal::CONT).expect("it is there");
    open(&harness, "a");
    assert_eq!(run.child.wait().expect("it ends").code(), Some(0));
    assert!(screen.all().contains("goes on"));
}

#[test]
fn a_terminal_shows_what_an_agent_does_and_is_told_of_the_end() {
    let night = Night::new("bell = \"osc9\"\n");
    let gate = gate(&night.harness, "a");
    let task = night
        .harness
        .task("a.md", format!("---\nagent: claude\nchanges: optional\n---\nfake: run {gate}\nfake: say Done.\n"));
    let mut run = OnTerminal::start(&night.command(&["run", &task]));
    let screen = run.screen();
    pid(&night.harness, "a");
    screen.until(|drawn| drawn.contains("Bash"));
    open(&night.harness, "a");
    assert_eq!(run.child.wait().expect("it ends").code(), Some(0));
    let run = night.harness.latest_run().file_name().expect("a run").to_string_lossy().into_owned();
    let told = format!("\u{1b}]9;run {run}: 1 of 1 tasks succeeded\u{7}");
    let drawn = screen.all();
    assert!(drawn.contains(&told), "{drawn:?}");
}
