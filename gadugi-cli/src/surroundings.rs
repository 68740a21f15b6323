//! The surroundings of the process: its folder, its environment and the user's folders. The only file that reads the environment.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::config::Environment;
use crate::failure::Failure;

/// Variable with the id of the process that has started this one to drive a run in the background.
const BACKGROUND_MARK: &str = "GADUGI_BACKGROUND_OF";

fn parent() -> Option<String> {
    rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string())
}

/// The folder, the environment and the user's folders.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// The folder of the command: the current one, or the one of `-C`.
    pub(crate) folder: PathBuf,
    /// The environment, without gadugi's own mark.
    pub(crate) env: Environment,
    /// Whether another gadugi has started this one to drive a run in the background.
    pub(crate) in_background: bool,
}

impl Surroundings {
    /// Reads the surroundings. With `directory` the folder is that one; the process does not change its own.
    pub(crate) fn read(directory: Option<&Path>) -> Result<Self, Failure> {
        let current = std::env::current_dir().map_err(|error| {
            Failure::environment(format!("cannot tell the current folder: {error}"))
                .hint("change to a folder that exists")
        })?;
        let folder = directory.map_or_else(|| current.clone(), |directory| current.join(directory));
        if !folder.is_dir() {
            let message = format!("`{}` is not a folder", folder.display());
            return Err(Failure::usage(message).hint("give -C a folder that exists"));
        }
        let mut env: Environment = std::env::vars_os().collect();
        let mark = env.remove(OsStr::new(BACKGROUND_MARK));
        // A mark that was not set by the parent means another process.
        let in_background = mark.is_some_and(|mark| Some(mark) == parent().map(OsString::from));
        Ok(Self { folder, env, in_background })
    }

    /// The variable and its value that mark a process which this one starts to drive a run in the background.
    pub(crate) fn background_mark() -> (&'static str, String) {
        (BACKGROUND_MARK, std::process::id().to_string())
    }

    /// Path of this program, valid also after its file was replaced.
    pub(crate) fn this_program() -> std::io::Result<PathBuf> {
        if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
    }

    /// Gives this process the name that it was called by, also where it was executed through a link with another name.
    pub(crate) fn name_process() {
        #[cfg(target_os = "linux")]
        {
            let program = std::env::args_os().next().map(PathBuf::from);
            if let Some(name) = program.as_deref().and_then(Path::file_name) {
                // It is for people who look at the list of processes.
                std::fs::write("/proc/self/comm", name.as_encoded_bytes()).ok();
            }
        }
    }

    /// Identifies this machine among others: machine-id(5), else the host's name.
    #[cfg(feature = "docker")]
    pub(crate) fn machine(&self) -> String {
        let id = std::fs::read_to_string("/etc/machine-id").ok().map(|id| id.trim().to_owned());
        id.filter(|id| !id.is_empty())
            .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
    }

    fn folder_of(&self, variable: &str) -> Option<&Path> {
        let value = self.env.get(OsStr::new(variable)).map(Path::new);
        value.filter(|path| path.is_absolute())
    }

    /// The user's folder for one kind of file, by the XDG base directory specification.
    fn xdg(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let named = self.folder_of(variable).map(Path::to_owned);
        named.or_else(|| Some(self.folder_of("HOME")?.join(below_home)))
    }

    /// Resolves a path that starts with `~/` in the user's home folder, and leaves others as they are. `None` if no home folder is known.
    pub(crate) fn in_home(&self, path: &str) -> Option<PathBuf> {
        match path.strip_prefix("~/") {
            Some(below) => Some(self.folder_of("HOME")?.join(below)),
            None => Some(PathBuf::from(path)),
        }
    }

    /// Path of the program of a command, if it is installed.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        if name.contains('/') {
            return Some(self.folder.join(name)).filter(|path| is_executable(path));
        }
        match find_program(name, self.env.get(OsStr::new("PATH")).map(|path| path.as_os_str())) {
            ProgramSearch::At(path) => Some(path),
            _ => None,
        }
    }

    /// The user's configuration file, which need not exist.
    pub(crate) fn user_config(&self) -> Option<PathBuf> {
        Some(self.xdg("XDG_CONFIG_HOME", ".config")?.join("gadugi").join("config.toml"))
    }

    /// The user's data folder, for worktrees that cannot be beside their repository.
    pub(crate) fn user_data(&self) -> Option<PathBuf> {
        Some(self.xdg("XDG_DATA_HOME", ".local/share")?.join("gadugi"))
    }
}

/// The search path without a `PATH`, as in `execvp(3)`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The result of the search for a program that a task starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProgramSearch {
    At(PathBuf),
    /// A file of that name that may not be executed, and no other.
    NotExecutable(PathBuf),
    Nowhere,
    /// It may be in the task's worktree, which does not exist yet.
    Unknown,
}

/// Searches for a program as starting it does, with this `PATH`.
pub(crate) fn find_program(name: &str, path: Option<&OsStr>) -> ProgramSearch {
    let folders: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::new()]
    } else {
        std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH))).collect()
    };
    let files: Vec<PathBuf> = folders.into_iter().map(|folder| folder.join(name)).collect();
    // A relative path is relative to the worktree.
    let (absolute, relative): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.is_absolute());
    if let Some(found) = absolute.iter().find(|file| is_executable(file)) {
        return ProgramSearch::At(found.clone());
    }
    match absolute.into_iter().find(|file| file.is_file()) {
        _ if !relative.is_empty() => ProgramSearch::Unknown,
        Some(file) => ProgramSearch::NotExecutable(file),
        None => ProgramSearch::Nowhere,
    }
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
