//! Starts a command, with everything that a start needs of the file system.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, absolute};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use gadugi_core::executor::{ExecError, ExecRequest};
use rustix::fs::Access;
use rustix::process::Pid;
use tokio::net::unix::pipe;
use tokio::time::Instant;

use super::environment::variables;
use super::process_group::{Leader, Unclaimed};
use super::program::{Invocation, cannot_start, name_of};
use super::settings::SubprocessSettings;
use super::start_error::StartError;
use super::token::Token;
use crate::os::syscalls::reset_signals;
use crate::output::capped_log::CappedLog;

/// A command that runs and is not supervised yet.
pub(super) struct Launched {
    pub(super) leader: Unclaimed,
    pub(super) token: Token,
    pub(super) started: Instant,
    pub(super) input: Option<(pipe::Sender, String)>,
    pub(super) output: pipe::Receiver,
    pub(super) log: CappedLog,
}

/// Starts the command of `request` as the leader of a process group of its own, with both of its outputs
/// in one pipe, so that their order is kept. After an error nothing runs, and no file is left.
///
/// Blocks; to be called within a runtime.
pub(super) fn launch(settings: &SubprocessSettings, request: ExecRequest) -> Result<Launched, ExecError> {
    let name = &name_of(&request);
    let os = |source: io::Error| ExecError::Start { program: name.to_owned(), source: Box::new(source) };
    let folder = absolute(&request.folder).map_err(os)?;
    let files = absolute(&request.files).map_err(os)?;
    check_folder(&folder).map_err(|fault| cannot_start(name, fault))?;
    let variables = variables(settings, &request).map_err(|fault| cannot_start(name, fault))?;
    let path = variables.get(OsStr::new("PATH")).map(|path| path.as_os_str());
    let invocation = Invocation::resolve(&request, &folder, &files, path)?;

    // Everything that can fail without a trace comes before the first file and the first process.
    let (output, output_end) = io::pipe().map_err(os)?;
    let output = pipe::Receiver::from_owned_fd(output.into()).map_err(os)?;
    let mut command = Command::new(&invocation.file);
    command.arg0(&invocation.name).args(&invocation.arguments);
    command.current_dir(&folder).env_clear().envs(&variables).process_group(0);
    // Both outputs share one pipe, so that they stay in the order in which they were written.
    command.stdout(output_end.try_clone().map_err(os)?).stderr(output_end);
    let input = match request.stdin {
        None => {
            command.stdin(Stdio::null());
            None
        }
        Some(text) => {
            let (input_end, input) = io::pipe().map_err(os)?;
            command.stdin(input_end);
            Some((pipe::Sender::from_owned_fd(input.into()).map_err(os)?, text))
        }
    };
    reset_signals(&mut command);

    // The shell opens the script as soon as it runs.
    invocation.write_script().map_err(|fault| cannot_start(name, fault))?;
    let started = Instant::now();
    let leader = match spawn(command) {
        Ok(leader) => leader,
        Err(error) => {
            invocation.remove_script();
            return Err(explain(error, name, &invocation.file, &folder));
        }
    };
    // Read while the leader cannot be reaped yet, so that the start time is its own.
    let token = Token::of(leader.pid());
    let log = CappedLog::open(files.join(request.phase.output_file()), settings.output_cap);
    Ok(Launched { leader: Unclaimed::new(leader), token, started, input, output, log })
}

/// Spawns the child and closes our copies of its ends of the pipes.
fn spawn(mut command: Command) -> io::Result<Leader> {
    // A file that was written a moment ago is still open for writing in a child that another thread has
    // made in the meantime and that has not executed its own program yet: a matter of milliseconds.
    let mut busy = 0;
    let child = loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && busy < 10 => {
                busy += 1;
                sleep(Duration::from_millis(busy));
            }
            spawned => break spawned?,
        }
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Leader::child(pid.expect("cannot fail because the system's own pids are positive and fit"))
}

/// Refuses a folder that a command cannot work in.
pub(super) fn check_folder(folder: &Path) -> Result<(), StartError> {
    let usable = match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => rustix::fs::access(folder, Access::EXEC_OK).map_err(io::Error::from),
        Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
        Err(error) => Err(error),
    };
    usable.map_err(|source| StartError::Folder { path: folder.to_owned(), source })
}

/// Explains the system's error for a failed spawn, which does not say whether the folder, the program or its interpreter is
/// meant.
pub(super) fn explain(error: io::Error, name: &str, file: &Path, folder: &Path) -> ExecError {
    if let Err(fault) = check_folder(folder) {
        return cannot_start(name, fault);
    }
    let path = file.to_owned();
    match error.raw_os_error() {
        Some(libc::ENOENT) if path.exists() => cannot_start(name, StartError::Interpreter { path }),
        Some(libc::ENOENT) => ExecError::NotFound { program: name.to_owned() },
        Some(libc::EACCES) => cannot_start(name, StartError::NotExecutable { path }),
        Some(libc::ENOEXEC) => cannot_start(name, StartError::Format { path }),
        _ => ExecError::Start { program: name.to_owned(), source: Box::new(error) },
    }
}
