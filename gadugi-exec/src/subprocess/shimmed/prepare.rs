//! The preparation of a start before there is a shim: the program, its variables, its files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use gadugi_core::executor::{ExecError, ExecRequest, StopSignal};
use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::net::unix::pipe;

use super::watch::open_progress;
use crate::os::{nonce, private_file};
use crate::output::sealed::Content;
use crate::shim::files::CommandFiles;
use crate::shim::record::ProcRecord;
use crate::shim::spec::{self, Spec, Text};
use crate::subprocess::environment::variables;
use crate::subprocess::launch::check_folder;
use crate::subprocess::program::{Invocation, cannot_start, name_of};
use crate::subprocess::settings::SubprocessSettings;
use crate::subprocess::start_error::StartError;

/// A command that is ready to be started: its program is found, and nothing is written yet.
pub(super) struct Prepared<'a> {
    /// The name of the command in messages.
    pub(super) name: String,
    pub(super) request: ExecRequest,
    /// The folder that the command works in, absolute.
    pub(super) folder: PathBuf,
    pub(super) files: CommandFiles,
    pub(super) generation: u32,
    pub(super) nonce: String,
    pub(super) invocation: Invocation,
    settings: &'a SubprocessSettings,
    variables: BTreeMap<OsString, OsString>,
    /// The program's name and its arguments.
    argv: Vec<OsString>,
    /// The file that the command reads as its standard input, if it reads any.
    prompt: Option<PathBuf>,
}

impl<'a> Prepared<'a> {
    /// Finds the program, sets the variables, and numbers the start. Writes nothing.
    pub(super) fn new(settings: &'a SubprocessSettings, request: ExecRequest) -> Result<Self, ExecError> {
        let name = name_of(&request);
        let os = |source: io::Error| ExecError::Start { program: name.clone(), source: Box::new(source) };
        let folder = absolute(&request.folder).map_err(os)?;
        let attempt_folder = absolute(&request.files).map_err(os)?;
        check_folder(&folder).map_err(|error| cannot_start(&name, error))?;
        let mut variables = variables(settings, &request).map_err(|error| cannot_start(&name, error))?;
        let path = variables.get(OsStr::new("PATH")).map(|path| path.as_os_str());
        let invocation = Invocation::resolve(&request, &folder, &attempt_folder, path)?;
        let arguments = invocation.arguments.iter().cloned();
        let argv: Vec<_> = [OsString::from(&invocation.name)].into_iter().chain(arguments).collect();
        let prompt = format!("{}prompt.md", request.phase.file_prefix());
        let prompt = request.stdin.as_ref().map(|_| attempt_folder.join(prompt));
        let files = CommandFiles::of(attempt_folder, request.phase);
        // A second start is refused here already, before it could write over the script of the first.
        let generation = next_generation(&files).map_err(|error| cannot_start(&name, error))?;
        let nonce = nonce::text();
        variables.insert("GADUGI_NONCE".into(), nonce.clone().into());
        // The shim could say no more than that it cannot execute them.
        if argv.iter().chain(variables.iter().flat_map(|(name, value)| [name, value])).any(has_zero) {
            return Err(os(io::Error::new(io::ErrorKind::InvalidInput, "an argument or a variable holds a zero byte")));
        }
        Ok(Self { name, request, folder, files, generation, nonce, invocation, settings, variables, argv, prompt })
    }

    /// Writes the script and the input, and makes the pipe for progress. To be called within a runtime.
    pub(super) fn write(&self) -> Result<Written, ExecError> {
        let mut written = Written { paths: Vec::new(), progress: self.files.progress(&self.nonce), listener: None };
        let files = self.invocation.write_script().and_then(|()| {
            written.paths.extend(self.invocation.script.iter().map(|(path, _)| path.clone()));
            if let (Some(path), Some(text)) = (&self.prompt, &self.request.stdin) {
                // Named before it is written, so that half of it goes too.
                written.paths.push(path.clone());
                private_file::write(path, text).map_err(|source| StartError::File { path: path.clone(), source })?;
            }
            Ok(())
        });
        files.map_err(|error| cannot_start(&self.name, error))?;
        // Without the pipe nothing is known of how much is printed, which keeps no command from running.
        if mkfifoat(CWD, &written.progress, Mode::RUSR | Mode::WUSR).is_ok() {
            written.paths.push(written.progress.clone());
            written.listener = open_progress(&written.progress);
        }
        Ok(written)
    }

    /// Returns the description of the command for the shim.
    pub(super) fn spec(&self) -> Spec {
        let Self { request, settings, .. } = self;
        let text = |string: &OsStr| Text::from(string);
        let path = |path: &Path| Text::from(path);
        Spec {
            v: spec::VERSION,
            run: request.run.as_str().to_owned(),
            task: request.attempt.task.as_str().to_owned(),
            attempt: request.attempt.number.get(),
            files: path(self.files.folder()),
            phase: request.phase,
            generation: self.generation,
            nonce: self.nonce.clone(),
            program: path(&self.invocation.file),
            argv: self.argv.iter().map(|argument| text(argument)).collect(),
            env: self.variables.iter().map(|(name, value)| (text(name), text(value))).collect(),
            folder: path(&self.folder),
            stdin: self.prompt.as_deref().map(path),
            log: path(&self.files.folder().join(request.phase.output_file())),
            head_bytes: settings.output_cap.head,
            tail_bytes: settings.output_cap.tail,
            grace_ms: millis(settings.grace),
            drain_ms: millis(settings.drain),
            die_with_parent: settings.die_with_parent,
            cgroups: settings.cgroups,
            interrupt: request.stop_signal == StopSignal::Interrupt,
        }
    }
}

/// The files that a start has written. Dropping it removes them.
pub(super) struct Written {
    paths: Vec<PathBuf>,
    progress: PathBuf,
    listener: Option<pipe::Receiver>,
}

impl Written {
    /// Leaves the files to the command, and returns the reading end of its progress.
    pub(super) fn keep(mut self) -> Option<pipe::Receiver> {
        self.paths.clear();
        self.listener.take()
    }

    /// Leaves the files to another start of the same command, but for the pipe, which only this one knows.
    pub(super) fn leave_to_winner(&mut self) {
        self.paths.retain(|path| *path == self.progress);
    }

    /// Adds files that others have made for this start.
    pub(super) fn add(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        self.paths.extend(paths);
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for path in &self.paths {
            // A file that cannot be removed does no harm.
            fs::remove_file(path).ok();
        }
    }
}

/// Returns the number of this start: the first, or the one after those that were made void.
fn next_generation(files: &CommandFiles) -> Result<u32, StartError> {
    let newest = files.newest();
    let (newest, content) = newest.map_err(|source| StartError::File { path: files.folder().to_owned(), source })?;
    match content {
        Content::Absent => Ok(newest),
        Content::Sound(ProcRecord::Aborted) => Ok(newest + 1),
        Content::Sound(ProcRecord::Started(_)) | Content::Unsound(_) => {
            Err(StartError::Begun { path: files.proc(newest) })
        }
    }
}

fn has_zero(string: &OsString) -> bool {
    string.as_bytes().contains(&0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
