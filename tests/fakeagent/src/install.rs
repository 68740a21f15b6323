use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::calls::Call;
use crate::command_line::Agent;
use crate::state;

/// The fake agents in a folder.
#[derive(Debug, Clone)]
pub struct Installed {
    folder: PathBuf,
}

impl Installed {
    /// Links `claude` and `codex` in a folder, which need not be there, to an executable that calls [`main`](crate::main).
    /// Links and no copies: a copy may still be open for writing in a child that another thread has forked, and then cannot
    /// be run.
    ///
    /// # Errors
    /// The executable is not there, or the folder cannot be written or has such programs.
    pub fn new(program: &Path, folder: &Path) -> io::Result<Self> {
        let program = program.canonicalize()?;
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        state::make(&folder)?;
        for agent in [Agent::Claude, Agent::Codex] {
            symlink(&program, folder.join(agent.name()))?;
        }
        Ok(Self { folder })
    }

    /// Where the agents are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The `PATH` of this process, with the agents before all other programs.
    ///
    /// # Errors
    /// The name of the folder has a colon.
    pub fn search_path(&self) -> io::Result<OsString> {
        let others = env::var_os("PATH").unwrap_or_default();
        let folders = [self.folder.clone()].into_iter().chain(env::split_paths(&others));
        env::join_paths(folders).map_err(io::Error::other)
    }

    /// The calls of the agents so far, in order.
    ///
    /// # Errors
    /// The record cannot be read, or has a line that tells of no call.
    pub fn calls(&self) -> io::Result<Vec<Call>> {
        match fs::read_to_string(state::calls(&self.folder)) {
            Ok(lines) => lines.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
