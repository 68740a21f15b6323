//! The file and the arguments that a command executes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gadugi_core::Phase;
use gadugi_core::executor::{ExecError, ExecRequest};
use gadugi_core::plan::Program;
use rustix::fs::Access;

use super::start_error::StartError;
use crate::os::private_file;

/// The search path of a command without a `PATH`, as in `execvp(3)`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A command, ready to be executed in its folder.
pub(super) struct Invocation {
    /// The program's name, as it sees it.
    pub(super) name: String,
    /// The file, as an absolute path.
    pub(super) file: PathBuf,
    /// The arguments after the name.
    pub(super) arguments: Vec<OsString>,
    /// The script that has to be written first, with its path.
    pub(super) script: Option<(PathBuf, String)>,
}

impl Invocation {
    /// Finds the program on the command's own `path`, not on that of the caller; relative paths start from `folder`. Writes
    /// nothing.
    pub(super) fn resolve(
        request: &ExecRequest,
        folder: &Path,
        files: &Path,
        path: Option<&OsStr>,
    ) -> Result<Self, ExecError> {
        let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
        match &request.program {
            Program::Script(text) => {
                let (name, file) = shell(path, folder)?;
                let script = files.join(script_file(request.phase));
                let arguments = vec!["-e".into(), script.clone().into()];
                Ok(Self { name, file, arguments, script: Some((script, text.clone())) })
            }
            Program::Argv(argv) => {
                let Some((name, arguments)) = argv.split_first() else {
                    return Err(cannot_start("", StartError::Empty));
                };
                let file = if name.contains('/') { named_file(name, folder)? } else { on_path(name, path, folder)? };
                let arguments = arguments.iter().map(OsString::from).collect();
                Ok(Self { name: name.clone(), file, arguments, script: None })
            }
            _ => Err(cannot_start(&name_of(request), StartError::UnknownKind)),
        }
    }

    /// Writes the script, if there is one, readable by its owner only.
    pub(super) fn write_script(&self) -> Result<(), StartError> {
        let Some((path, text)) = &self.script else { return Ok(()) };
        let written = private_file::write(path, text);
        written.map_err(|source| {
            self.remove_script();
            StartError::Script { path: path.clone(), source }
        })
    }

    /// Removes the script after a failed start. One that cannot be removed does no harm.
    pub(super) fn remove_script(&self) {
        if let Some((path, _)) = &self.script {
            fs::remove_file(path).ok();
        }
    }
}

/// Whether a shell for scripts is on that `path`.
pub(super) fn has_shell(path: Option<&OsStr>) -> bool {
    shell(path.unwrap_or(OsStr::new(DEFAULT_PATH)), Path::new("/")).is_ok()
}

pub(super) fn cannot_start(program: &str, fault: StartError) -> ExecError {
    ExecError::Start { program: program.to_owned(), source: Box::new(fault) }
}

/// Returns the name of a command in messages: its program, or the file of its script.
pub(super) fn name_of(request: &ExecRequest) -> String {
    match &request.program {
        Program::Argv(argv) => argv.first().cloned().unwrap_or_default(),
        _ => script_file(request.phase).to_owned(),
    }
}

fn script_file(phase: Phase) -> &'static str {
    match phase {
        Phase::Setup => "setup.sh",
        Phase::Check => "check.sh",
        _ => "script.sh",
    }
}

fn shell(path: &OsStr, folder: &Path) -> Result<(String, PathBuf), ExecError> {
    let find = |name: &str| on_path(name, path, folder).map(|file| (name.to_owned(), file));
    find("bash").or_else(|_| find("sh"))
}

fn named_file(name: &str, folder: &Path) -> Result<PathBuf, ExecError> {
    let file = folder.join(name);
    match fs::metadata(&file) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(ExecError::NotFound { program: name.to_owned() })
        }
        Err(source) => Err(ExecError::Start { program: name.to_owned(), source: Box::new(source) }),
        Ok(metadata) if metadata.is_dir() => Err(cannot_start(name, StartError::IsFolder { path: file })),
        Ok(_) if !is_executable(&file) => Err(cannot_start(name, StartError::NotExecutable { path: file })),
        Ok(_) => Ok(file),
    }
}

/// Finds a program as `execvp(3)` does: a file that may not be executed is passed over, and is an error only when no other one
/// is found.
fn on_path(name: &str, path: &OsStr, folder: &Path) -> Result<PathBuf, ExecError> {
    let mut denied = None;
    for place in std::env::split_paths(path) {
        let file = folder.join(place).join(name);
        if file.is_file() {
            if is_executable(&file) {
                return Ok(file);
            }
            denied.get_or_insert(file);
        }
    }
    Err(match denied {
        Some(path) => cannot_start(name, StartError::NotExecutable { path }),
        None => ExecError::NotFound { program: name.to_owned() },
    })
}

fn is_executable(file: &Path) -> bool {
    rustix::fs::access(file, Access::EXEC_OK).is_ok()
}
