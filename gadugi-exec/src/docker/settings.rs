//! What the executor is told by whoever builds it.

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
/// the end stands for any rest. Where programs and folders are is the image's to say.
pub const PASSED_VARIABLES: &[&str] = &["LANG", "LANGUAGE", "LC_*", "TERM", "TZ"];

/// Where the home folder of a command is: in memory, unless it is [shown one](gadugi_core::ExecRequest::home).
pub const HOME: &str = "/home/gadugi";

/// The settings of a [`DockerExecutor`](super::DockerExecutor).
#[derive(Clone)]
pub struct DockerSettings {
    /// Where the daemon is.
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
    /// How much output of each command is kept.
    pub output_cap: OutputCap,
    /// How commands are kept from the machine and from each other.
    pub confinement: Confinement,
    /// How many containers are created and started at once; `None` for as many as the daemon has processors, at most
    /// eight. More gain nothing, and make each start slower.
    pub starts_at_once: Option<NonZeroUsize>,
    /// How long a daemon that has gone away is waited for, before its commands are given up as lost.
    pub patience: Duration,
}

impl DockerSettings {
    /// The usual confinement, the default cap of output, as many starts at once as are of use, and five minutes of patience.
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
            patience: Duration::from_secs(300),
        }
    }

    /// The caller's variables that these rules let through.
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
            .field("patience", &self.patience)
            .finish()
    }
}

/// How a command in a container is kept from the machine. All capabilities but [`cap_add`](Self::cap_add) are dropped; what
/// is not shown by a mount is not there; the daemon's own socket never is.
#[derive(Debug, Clone, PartialEq)]
pub struct Confinement {
    /// What network it has.
    pub network: Network,
    /// Memory in bytes, without swap, of tasks that do not say it; `None` for no limit.
    pub memory: Option<u64>,
    /// Processors of tasks that do not say it; `None` for no limit. At most as many as there are.
    pub cpus: Option<f64>,
    /// Processes and threads at once; `None` for no limit.
    pub pids: Option<u32>,
    /// As whom it runs.
    pub user: User,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Folders in memory, besides [`HOME`].
    pub tmpfs: Vec<String>,
    /// Capabilities that it keeps, such as `NET_BIND_SERVICE`.
    pub cap_add: Vec<String>,
    /// Whether programs may not give it privileges, as `setuid` ones do.
    pub no_new_privileges: bool,
    /// Which system calls it may use.
    pub seccomp: Seccomp,
    /// Whether a small init runs before it, that hands on signals and reaps what is left by others.
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

/// As whom a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// As the owner of its folder, so that what it makes belongs to them.
    Owner,
    /// As the image says.
    Image,
    /// As this user and group.
    Ids {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

/// Which system calls a command may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// Those of the daemon's own profile.
    Default,
    /// All.
    Unconfined,
    /// Those of the profile in this file.
    Profile(PathBuf),
}
