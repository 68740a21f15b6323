//! The settings of the executor.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::os::passed_variables::passes;
use crate::output::capped_log::OutputCap;

/// The variables that a command sees without asking for them: those by which programs find each other,
/// the user's folders, the terminal and the language. A `*` at the end stands for any rest. Everything
/// else, tokens and keys above all, has to be named by the task.
pub const PASSED_VARIABLES: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TERM",
    "TZ",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// The settings of a [`SubprocessExecutor`](super::SubprocessExecutor).
#[derive(Clone)]
pub struct SubprocessSettings {
    /// The caller's environment. A command sees of it what [`passed`](Self::passed) lets through and the
    /// secrets that its task names.
    pub environment: BTreeMap<OsString, OsString>,
    /// Names that are let through; a `*` at the end stands for any rest.
    pub passed: Vec<String>,
    /// The part of each command's output that is kept.
    pub output_cap: OutputCap,
    /// Time, after the end of a command, for output that is held open by a process outside of the command's process group.
    pub drain: Duration,
    /// The program that supervises each command and outlives this process. `None`: this process does it itself, and the end of a
    /// command whose starter has died is unknown. There are shims on Linux only; on macOS this process does it in any case.
    pub shim: Option<ShimProgram>,
    /// With a shim: whether a command is stopped, with [`grace`](Self::grace), when this process has ended, or
    /// the runtime that the command was started in. Without a shim this has no effect.
    pub die_with_parent: bool,
    /// With a shim: the time between SIGTERM and SIGKILL for a stop without a grace of its own, such as a SIGTERM to the shim.
    pub grace: Duration,
    /// With a shim: whether each command gets a cgroup of its own where one can be made. Without it, processes that leave the
    /// command's process group are found by their descent.
    pub cgroups: bool,
}

/// The program that is executed as a shim. Its `main` begins with
/// [`shim::main_if_requested`](crate::shim::main_if_requested).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimProgram(PathBuf);

impl ShimProgram {
    /// The program that this process executes, also if the file of it has been replaced since.
    #[must_use]
    pub fn this_program() -> Self {
        Self("/proc/self/exe".into())
    }

    /// Another program, such as `gadugi-shim` of this crate.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    #[cfg(target_os = "linux")]
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl SubprocessSettings {
    /// [`PASSED_VARIABLES`] of this environment, the default cap, two seconds of draining, and no shim; for
    /// shims, ten seconds of grace, and cgroups.
    #[must_use]
    pub fn new(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self {
            environment: environment.into_iter().collect(),
            passed: PASSED_VARIABLES.iter().map(|&name| name.to_owned()).collect(),
            output_cap: OutputCap::default(),
            drain: Duration::from_secs(2),
            shim: None,
            die_with_parent: false,
            grace: Duration::from_secs(10),
            cgroups: true,
        }
    }

    /// Whether a variable of that name is let through.
    pub(super) fn passes(&self, name: &OsStr) -> bool {
        passes(&self.passed, name)
    }
}

impl fmt::Debug for SubprocessSettings {
    /// Without the values of the environment, which hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubprocessSettings")
            .field("environment", &self.environment.keys())
            .field("passed", &self.passed)
            .field("output_cap", &self.output_cap)
            .field("drain", &self.drain)
            .field("shim", &self.shim)
            .field("die_with_parent", &self.die_with_parent)
            .field("grace", &self.grace)
            .field("cgroups", &self.cgroups)
            .finish()
    }
}
