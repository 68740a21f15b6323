//! The settings of the executor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::api::endpoint::Endpoint;
use crate::os::passed_variables::passes;
use crate::output::capped_log::OutputCap;

/// The variables that a command in a container sees without asking for them: the terminal and the language. A `*` at
/// the end stands for any rest. The paths of programs and folders are the image's.
pub const PASSED_VARIABLES: &[&str] = &["LANG", "LANGUAGE", "LC_*", "TERM", "TZ"];

/// The home folder of a command: in memory, unless it is [shown one](gadugi_core::executor::ExecRequest::home).
pub const HOME: &str = "/home/gadugi";

/// The settings of a [`DockerExecutor`](super::DockerExecutor).
#[derive(Clone)]
pub struct DockerSettings {
    /// The address of the daemon.
    pub endpoint: Endpoint,
    /// Names the repository among all whose containers the daemon has, also those of other machines. Containers of
    /// another name are never touched.
    pub repository: String,
    /// The caller's environment. A command sees of it what [`PASSED_VARIABLES`] lets through, what
    /// [`passed`](Self::passed) names, and the secrets that its task names.
    pub environment: BTreeMap<OsString, OsString>,
    /// Further names that are let through; a `*` at the end stands for any rest. Their values are treated as those of
    /// secrets.
    pub passed: Vec<String>,
    /// The part of each command's output that is kept.
    pub output_cap: OutputCap,
    /// The isolation of commands from the machine and from each other.
    pub confinement: Confinement,
    /// Containers that are created and started at once; `None` for as many as the daemon has processors, at most
    /// eight. More gain nothing, and make each start slower.
    pub starts_at_once: Option<NonZeroUsize>,
    /// Time for a daemon that has gone away to come back, before its commands are given up as lost.
    pub reconnect_timeout: Duration,
}

impl DockerSettings {
    /// The usual confinement, the default cap of output, as many starts at once as are of use, and five minutes to
    /// reconnect.
    #[must_use]
    pub fn new(
        endpoint: Endpoint,
        repository: impl Into<String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        Self {
            endpoint,
            repository: repository.into(),
            environment: environment.into_iter().collect(),
            passed: Vec::new(),
            output_cap: OutputCap::default(),
            confinement: Confinement::default(),
            starts_at_once: None,
            reconnect_timeout: Duration::from_secs(300),
        }
    }

    /// Returns the caller's variables that these rules let through.
    pub(super) fn let_through<'a, S: AsRef<str>>(
        &'a self,
        rules: &'a [S],
    ) -> impl Iterator<Item = (&'a OsString, &'a OsString)> {
        self.environment.iter().filter(move |(name, _)| passes(rules, name))
    }
}

impl fmt::Debug for DockerSettings {
    /// Without the values of the environment, which hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerSettings")
            .field("endpoint", &self.endpoint)
            .field("repository", &self.repository)
            .field("environment", &self.environment.keys())
            .field("passed", &self.passed)
            .field("output_cap", &self.output_cap)
            .field("confinement", &self.confinement)
            .field("starts_at_once", &self.starts_at_once)
            .field("reconnect_timeout", &self.reconnect_timeout)
            .finish()
    }
}

/// The isolation of a command from the machine. All capabilities but [`cap_add`](Self::cap_add) are dropped; only
/// mounts show it anything of the machine; the daemon's own socket is never shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Confinement {
    /// The network of the container.
    pub network: Network,
    /// Memory in bytes, without swap, of tasks that do not say it; `None` for no limit.
    pub memory: Option<u64>,
    /// Processors of tasks that do not say it; `None` for no limit. At most as many as there are.
    pub cpus: Option<f64>,
    /// Processes and threads at once; `None` for no limit.
    pub pids: Option<u32>,
    /// The user that the command runs as.
    pub user: User,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Folders in memory, besides [`HOME`].
    pub tmpfs: Vec<String>,
    /// Capabilities that it keeps, such as `NET_BIND_SERVICE`.
    pub cap_add: Vec<String>,
    /// Whether programs may not give it privileges, as `setuid` ones do.
    pub no_new_privileges: bool,
    /// The system calls that it may use.
    pub seccomp: Seccomp,
    /// Whether a small init runs as the first process, which passes signals on and reaps orphans.
    pub init: bool,
}

impl Default for Confinement {
    /// The bridge network, 4 GiB of memory, two processors, 512 processes, as the owner of the worktree, a read-only root
    /// with `/tmp`, `/run` and `/var/tmp` in memory, no capabilities, no new privileges, the daemon's own seccomp profile,
    /// and an init.
    fn default() -> Self {
        Self {
            network: Network::Bridge,
            memory: Some(4 << 30),
            cpus: Some(2.0),
            pids: Some(512),
            user: User::Owner,
            read_only: true,
            tmpfs: ["/tmp", "/run", "/var/tmp"].map(str::to_owned).to_vec(),
            cap_add: Vec::new(),
            no_new_privileges: true,
            seccomp: Seccomp::Default,
            init: true,
        }
    }
}

/// The network of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The daemon's default bridge: everything that the machine can reach.
    Bridge,
    /// None but the container's own loopback.
    None,
}

/// The user that a command runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// The owner of its folder, who then owns the files that it makes.
    Owner,
    /// The image's own user.
    Image,
    /// This user and group.
    Ids {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

/// The system calls that a command may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// The daemon's own profile.
    Default,
    /// All system calls.
    Unconfined,
    /// The profile in this file.
    Profile(PathBuf),
}
