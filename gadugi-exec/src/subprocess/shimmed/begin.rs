//! Starts a shim, and through it a command.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{PathBuf, absolute};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use gadugi_core::{CommandRef, ExecError, ExecRequest, StopSignal, crash_point};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

use super::aftermath;
use super::recovery::{Recovered, recover};
use super::token::ShimToken;
use super::watch::{Ties, Traces, Watched, listen};
use crate::os::private_file;
use crate::os::syscalls::watch_end;
use crate::os::{nonce, process_table};
use crate::output::sealed::{Content, read};
use crate::shim::files::CommandFiles;
use crate::shim::record::{FailedStep, ProcRecord, StepFault};
use crate::shim::spec::{self, Begun, Spec, Text};
use crate::shim::{self, orders, syscalls};
use crate::subprocess::environment::variables;
use crate::subprocess::launch::{check_folder, explain};
use crate::subprocess::program::{Invocation, cannot_start, name_of};
use crate::subprocess::settings::{ShimProgram, SubprocessSettings};
use crate::subprocess::start_error::StartError;

/// A command that runs under a shim, and that nobody has been told of yet. Dropped before
/// [`claim`](Self::claim), it is killed, so that a start which is given up leaves nothing running.
pub(crate) struct Launched(Option<Watched>);

/// What became of a start.
pub(crate) enum Start {
    Launched(Launched),
    /// Another start of the same attempt has won, and this is what became of that.
    Won(Recovered),
}

impl Launched {
    pub(crate) fn claim(mut self) -> Watched {
        self.0.take().expect("cannot fail because only this method, which ends it, takes it")
    }
}

impl Drop for Launched {
    /// Blocks until the shim has cleared everything away.
    fn drop(&mut self) {
        if let Some(watched) = self.0.take() {
            // One that cannot be reached has ended.
            orders::stop(watched.shim.get_ref().as_fd(), Duration::ZERO).ok();
            watched.conclude(0);
        }
    }
}

/// Starts the command of `request`. After an error nothing runs, and no file is left.
///
/// Blocks.
pub(crate) fn begin(
    program: &ShimProgram,
    settings: &SubprocessSettings,
    request: ExecRequest,
) -> Result<Start, ExecError> {
    let name = name_of(&request);
    let os = |source: io::Error| ExecError::Start { program: name.clone(), source: Box::new(source) };
    let folder = absolute(&request.folder).map_err(os)?;
    let files = absolute(&request.files).map_err(os)?;
    check_folder(&folder).map_err(|fault| cannot_start(&name, fault))?;
    let mut variables = variables(settings, &request).map_err(|fault| cannot_start(&name, fault))?;
    let path = variables.get(OsStr::new("PATH")).map(|path| path.as_os_str());
    let invocation = Invocation::resolve(&request, &folder, &files, path)?;
    let argv: Vec<OsString> =
        [OsString::from(&invocation.name)].into_iter().chain(invocation.arguments.iter().cloned()).collect();
    let places = CommandFiles::of(files.clone(), request.phase);
    let generation = next_generation(&places).map_err(|fault| cannot_start(&name, fault))?;

    let nonce = nonce::text();
    variables.insert("GADUGI_NONCE".into(), nonce.clone().into());
    let mut strings = argv.iter().chain(variables.iter().flat_map(|(name, value)| [name, value]));
    if strings.any(|string| string.as_bytes().contains(&0)) {
        return Err(os(io::Error::new(io::ErrorKind::InvalidInput, "an argument or a variable holds a zero byte")));
    }

    let mut made = Made::default();
    let prompt =
        request.stdin.as_ref().map(|text| (files.join(format!("{}prompt.md", request.phase.file_prefix())), text));
    let progress = places.progress(&nonce);
    let prepared = invocation.write_script().and_then(|()| {
        made.0.extend(invocation.script.iter().map(|(path, _)| path.clone()));
        if let Some((path, text)) = &prompt {
            made.0.push(path.clone());
            private_file::write(path, text).map_err(|source| StartError::File { path: path.clone(), source })?;
        }
        Ok(())
    });
    prepared.map_err(|fault| cannot_start(&name, fault))?;
    // Without it nobody hears how much is printed: that is all.
    let listener = match mkfifoat(CWD, &progress, Mode::RUSR | Mode::WUSR) {
        Ok(()) => {
            made.0.push(progress.clone());
            listen(&progress)
        }
        Err(_) => None,
    };

    let text = |string: &OsStr| Text::from(string);
    let spec = Spec {
        v: spec::VERSION,
        run: request.run.as_str().to_owned(),
        task: request.attempt.task.as_str().to_owned(),
        attempt: request.attempt.number.get(),
        files: Text::from(&*files),
        phase: request.phase,
        generation,
        nonce: nonce.clone(),
        program: Text::from(&*invocation.file),
        argv: argv.iter().map(|argument| text(argument)).collect(),
        env: variables.iter().map(|(name, value)| (text(name), text(value))).collect(),
        folder: Text::from(&*folder),
        stdin: prompt.as_ref().map(|(path, _)| Text::from(&**path)),
        log: Text::from(&*files.join(request.phase.output_file())),
        head_bytes: settings.output_cap.head,
        tail_bytes: settings.output_cap.tail,
        grace_ms: millis(settings.grace),
        drain_ms: millis(settings.drain),
        die_with_parent: settings.die_with_parent,
        cgroups: settings.cgroups,
        interrupt: request.stop_signal == StopSignal::Interrupt,
    };
    let lost = |source| cannot_start(&name, StartError::Shim { path: program.path().to_owned(), source });
    let mut shim = Starting::spawn(program, settings, &request).map_err(lost)?;
    crash_point("shim-spawned");
    let begun = shim.hear(&spec).or_else(|error| {
        shim.await_end();
        // It was killed. What it had begun may have run, so this was no failed start, and its end is not known.
        match read(&places.proc(generation)) {
            Ok(Content::Sound(ProcRecord::Started(begun))) if begun.nonce == nonce => {
                Ok(Begun::Started { shim: begun.shim, leader: begun.leader })
            }
            _ => Err(error),
        }
    });
    // The command began a moment ago, so what has passed since then is not overstated.
    let began = process_table::uptime();
    let boot = process_table::boot_id().unwrap_or_default().to_owned();
    let traces = |shim, leader| {
        let token = ShimToken { leader, shim, boot, nonce: nonce.clone() };
        Traces { token, files: places.clone(), generation }
    };
    match begun {
        Ok(Begun::Started { shim: id, leader }) => {
            let Starting { mut child, pidfd, input, status } = shim;
            // Whoever watches it reaps it by its pidfd.
            child.0 = None;
            let watched =
                Watched::new(pidfd, traces(id, leader), began, listener, Some(Ties { status, starter: input }));
            made.0.clear();
            Ok(Start::Launched(Launched(Some(watched))))
        }
        Ok(Begun::Failed { step, errno }) => {
            shim.await_end();
            // What it has recorded concerns nobody any more.
            made.0.extend([places.proc(generation), places.exit(generation)]);
            let error = io::Error::from_raw_os_error(errno);
            Err(match step {
                FailedStep::Exec | FailedStep::Folder => explain(error, &name, &invocation.file, &folder),
                step => ExecError::Start { program: name.clone(), source: Box::new(StepFault { step, source: error }) },
            })
        }
        Ok(Begun::Refused) => {
            shim.await_end();
            // The script and the text belong to the start that has won.
            made.0.retain(|path| *path == progress);
            if let Ok(Content::Sound(ProcRecord::Started(_))) = read(&places.proc(generation)) {
                let ExecRequest { run, attempt, phase, .. } = request;
                let command = CommandRef { run, attempt, phase, files, identity: None };
                let won = recover(&command, None);
                return won
                    .map(Start::Won)
                    .map_err(|fault| ExecError::Start { program: name, source: Box::new(fault) });
            }
            Err(cannot_start(&name, StartError::Begun { path: places.proc(generation) }))
        }
        Err(error) => {
            aftermath::tidy(&places, &nonce);
            Err(lost(error))
        }
    }
}

/// The files that a start has made; removed when it comes to nothing.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            // One that cannot be removed harms nobody.
            fs::remove_file(path).ok();
        }
    }
}

/// The number of this start: the first, or the one after those that were made void.
fn next_generation(places: &CommandFiles) -> Result<u32, StartError> {
    let newest = places.newest();
    let (newest, content) = newest.map_err(|source| StartError::File { path: places.folder().to_owned(), source })?;
    match content {
        Content::Absent => Ok(newest),
        Content::Sound(ProcRecord::Aborted) => Ok(newest + 1),
        Content::Sound(ProcRecord::Started(_)) | Content::Unsound(_) => {
            Err(StartError::Begun { path: places.proc(newest) })
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A shim that has not said yet what became of its start.
struct Starting {
    child: Reaped,
    /// Known to the runtime before there is a command, so that one that runs is followed in any case.
    pidfd: AsyncFd<OwnedFd>,
    input: Option<ChildStdin>,
    status: BufReader<ChildStdout>,
}

/// Waited for when dropped: a shim that is not to be watched ends by itself, at the latest when it cannot be told
/// what to do.
struct Reaped(Option<Child>);

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It fails when another part of this process has waited for every child.
            child.wait().ok();
        }
    }
}

impl Starting {
    fn spawn(program: &ShimProgram, settings: &SubprocessSettings, request: &ExecRequest) -> io::Result<Self> {
        let mut command = Command::new(program.path());
        // Its name and the second argument are for people who look at the list of processes.
        let named = format!("{}/{}/{}", request.run, request.attempt.task, request.attempt.number);
        command.arg0("gadugi-shim").arg(shim::ARGUMENT).arg(named).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        #[cfg(any(debug_assertions, feature = "crash-points"))]
        if let Some(wish) = settings.environment.get(OsStr::new(shim::CRASH_AT)) {
            command.env(shim::CRASH_AT, wish);
        }
        #[cfg(not(any(debug_assertions, feature = "crash-points")))]
        let _ = settings;
        // The child is born with them blocked, so a Ctrl-C that is meant for this process's group does not end
        // it before it has left that.
        let blocked = syscalls::block_signals();
        let spawned = command.spawn();
        blocked.restore();
        let mut child = spawned?;
        let input = child.stdin.take();
        let output = child.stdout.take();
        let pid = Pid::from_child(&child);
        match pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(watch_end) {
            Ok(pidfd) => {
                let status = BufReader::new(output.expect("cannot fail because it was piped"));
                Ok(Self { child: Reaped(Some(child)), pidfd, input, status })
            }
            Err(error) => {
                drop((input, Reaped(Some(child))));
                Err(error)
            }
        }
    }

    /// Tells it what to do, and waits for its answer.
    fn hear(&mut self, spec: &Spec) -> io::Result<Begun> {
        if let Some(input) = &self.input {
            spec.send(input)?;
        }
        if !spec.die_with_parent {
            self.input = None;
        }
        let mut line = String::new();
        self.status.by_ref().take(4096).read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer"));
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// For one that is about to end, or has.
    fn await_end(&mut self) {
        self.input = None;
        self.child = Reaped(None);
    }
}
