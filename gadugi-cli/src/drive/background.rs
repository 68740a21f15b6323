//! `--detach`: the command starts itself once more in the background, and returns when that process drives the
//! run.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::PoisonError;

use gadugi_core::RunId;
use gadugi_exec::InheritedFiles;
use gadugi_registry::open_regular;
use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::args::DrivingArgs;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;

/// Name of the log of the process in the background, beside the journal.
const LOG: &str = "driver.log";

/// A process in the background for which another one waits in the foreground.
pub(crate) struct Background(InheritedFiles);

/// The part of this process in a command that drives a run.
pub(crate) enum Role {
    /// It drives the run, with its terminal.
    Foreground,
    /// It drives the run, and leaves its terminal.
    Background(Background),
    /// It has started another process in the background, which drives the run or has failed to.
    Parent(Code),
}

/// Determines the role of this process. With `--detach` in the foreground, starts the process in the background and waits until it
/// drives its run.
pub(crate) async fn role(context: &Context, args: &DrivingArgs) -> Result<Role, Failure> {
    if !args.detach {
        return Ok(Role::Foreground);
    }
    if context.surroundings.in_background {
        let mut inherited = context.inherited.lock().unwrap_or_else(PoisonError::into_inner);
        return Ok(Role::Background(Background(std::mem::take(&mut *inherited))));
    }
    let terminal = context.terminal.clone();
    let code = tokio::task::spawn_blocking(move || start(&terminal)).await;
    code.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())).map(Role::Parent)
}

/// Starts the process in the background, relays what it prints, and waits for the id of its run.
fn start(terminal: &Terminal) -> Result<Code, Failure> {
    let failed = |error: io::Error| Failure::environment(format!("cannot start gadugi in the background: {error}"));
    // Reads its standard input and hears Ctrl-C like any other, until it leaves the terminal.
    let (name, value) = Surroundings::background_mark();
    let mut command = Command::new(Surroundings::this_program().map_err(failed)?);
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    let mut child = command
        .args(std::env::args_os().skip(1))
        .env(name, value)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (mut out, err) = (child.stdout.take(), child.stderr.take());
    let to = terminal.clone();
    let relay = match std::thread::Builder::new().spawn(move || err.map(|err| to.relay(err))) {
        Ok(relay) => relay,
        Err(error) => {
            // Nothing would show what it says.
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            return Err(failed(error));
        }
    };
    let mut run = String::new();
    if let Some(out) = &mut out {
        out.read_to_string(&mut run).map_err(failed)?;
    }
    // It is over, or has panicked; the result is not concerned.
    drop(relay.join());
    if run.is_empty() {
        return code_of(child.wait().map_err(failed)?);
    }
    terminal.result(&run)?;
    terminal.say(&format!("hint: `gadugi attach {0}` shows it, `gadugi stop {0}` stops it", run.trim_end()));
    Ok(Code::Success)
}

fn code_of(status: ExitStatus) -> Result<Code, Failure> {
    match status.code() {
        Some(0) => Ok(Code::Success),
        Some(1) => Ok(Code::TaskFailed),
        Some(2) => Ok(Code::Usage),
        Some(3) => Ok(Code::Environment),
        Some(4) => Ok(Code::Registry),
        Some(130) => Ok(Code::Interrupted),
        _ => Err(Failure::environment(format!("gadugi in the background ended with {status}"))
            .hint("`gadugi ps` says whether it has begun a run")),
    }
}

impl Background {
    /// Sends the id of the run to the process in the foreground, which then ends, and leaves the terminal. Later output goes
    /// to `driver.log` in the run's folder.
    pub(super) fn leave_terminal(self, terminal: &Terminal, run: &RunId, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(LOG);
        let failed = |error: io::Error| Failure::environment(format!("cannot write {}: {error}", path.display()));
        let log = open_regular(&path, OpenOptions::new().append(true).create(true).mode(0o600)).map_err(failed)?;
        let nothing = OpenOptions::new().read(true).open("/dev/null").map_err(failed)?;
        setsid().map_err(|error| Failure::environment(format!("cannot leave the terminal: {error}")))?;
        // A process in the foreground that was interrupted does not hear it; this one has heard that too.
        drop(terminal.result(&format!("{run}\n")));
        dup2_stdin(&nothing).map_err(|error| failed(error.into()))?;
        dup2_stdout(&log).map_err(|error| failed(error.into()))?;
        dup2_stderr(&log).map_err(|error| failed(error.into()))?;
        // The caller may wait for the end of a pipe, or for a lock. All arguments are read by now.
        self.0.close();
        Ok(())
    }
}
