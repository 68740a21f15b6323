//! How containers are kept from the machine: the table `[docker]` of the configuration.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::config::keys::DOCKER_KEYS;
use crate::parse::document::Entry;
use crate::parse::fields::{Fields, Located};
use crate::parse::parse_size;
use crate::parse::{ValueIssue, closest, shown};

/// What a container sees of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DockerNetwork {
    /// A network of Docker's own, from which others can be reached.
    #[default]
    Bridge,
    /// Nothing but itself.
    None,
}

/// Whose user the commands of a container run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DockerUser {
    /// The owner's of the task's worktree.
    #[default]
    Owner,
    /// The one that the image says.
    Image,
    /// This one.
    Ids {
        /// The user's number.
        uid: u32,
        /// The group's number.
        gid: u32,
    },
}

/// Which system calls a container may make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DockerSeccomp {
    /// Those of Docker's own profile.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// Those of the profile in this file.
    Profile(PathBuf),
}

/// All settings of the table `[docker]`, each with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerConfig {
    /// What a container sees of networks; `bridge` by default.
    pub network: DockerNetwork,
    /// How many bytes of memory a task gets that says nothing of it; 4 GiB by default.
    pub memory: u64,
    /// How many processors a task gets that says nothing of it, above 0; 2 by default.
    pub cpus: f64,
    /// How many processes and threads a container has at once, at the most; 512 by default.
    pub pids: NonZeroU32,
    /// Whose user its commands run as; the owner's of the worktree by default.
    pub user: DockerUser,
    /// Whether nothing of the image can be changed in a container; so by default.
    pub read_only: bool,
    /// Folders in memory, which are empty at first, by their absolute paths in the container; `/tmp`, `/run` and `/var/tmp`
    /// by default.
    pub tmpfs: Vec<String>,
    /// The capabilities that are not taken from it, by their names in capitals without `CAP_`; none by default.
    pub cap_add: Vec<String>,
    /// Whether its programs get no more rights than those that start them; so by default.
    pub no_new_privileges: bool,
    /// Which system calls it may make; those of Docker's own profile by default.
    pub seccomp: DockerSeccomp,
    /// Whether its first process is one that looks after those that nobody waits for; so by default.
    pub init: bool,
    /// The address of the daemon, such as `unix:///run/docker.sock`; by default whatever `DOCKER_HOST` or the current
    /// context say.
    pub host: Option<String>,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self::from(DockerLayer::default())
    }
}

impl From<DockerLayer> for DockerConfig {
    /// Fills what the layer leaves open with the defaults.
    fn from(layer: DockerLayer) -> Self {
        let tmpfs = || ["/tmp", "/run", "/var/tmp"].map(str::to_owned).to_vec();
        Self {
            network: layer.network.unwrap_or_default(),
            memory: layer.memory.unwrap_or(4 << 30),
            cpus: layer.cpus.unwrap_or(2.0),
            pids: layer.pids.unwrap_or(PIDS),
            user: layer.user.unwrap_or_default(),
            read_only: layer.read_only.unwrap_or(true),
            tmpfs: layer.tmpfs.unwrap_or_else(tmpfs),
            cap_add: layer.cap_add.unwrap_or_default(),
            no_new_privileges: layer.no_new_privileges.unwrap_or(true),
            seccomp: layer.seccomp.unwrap_or_default(),
            init: layer.init.unwrap_or(true),
            host: layer.host,
        }
    }
}

const PIDS: NonZeroU32 = NonZeroU32::new(512).expect("cannot fail because 512 is not 0");

/// What one source says of containers. What is `None` is left to the sources before it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DockerLayer {
    /// What a container sees of networks.
    pub network: Option<DockerNetwork>,
    /// How many bytes of memory a task gets that says nothing of it.
    pub memory: Option<u64>,
    /// How many processors a task gets that says nothing of it, above 0.
    pub cpus: Option<f64>,
    /// How many processes and threads a container has at once, at the most.
    pub pids: Option<NonZeroU32>,
    /// Whose user its commands run as.
    pub user: Option<DockerUser>,
    /// Whether nothing of the image can be changed in a container.
    pub read_only: Option<bool>,
    /// Folders in memory, by their absolute paths in the container.
    pub tmpfs: Option<Vec<String>>,
    /// The capabilities that are not taken from it, by their names in capitals without `CAP_`.
    pub cap_add: Option<Vec<String>>,
    /// Whether its programs get no more rights than those that start them.
    pub no_new_privileges: Option<bool>,
    /// Which system calls it may make.
    pub seccomp: Option<DockerSeccomp>,
    /// Whether its first process is one that looks after those that nobody waits for.
    pub init: Option<bool>,
    /// The address of the daemon.
    pub host: Option<String>,
}

impl DockerLayer {
    /// The settings of this layer, and where it makes none, those of an earlier one.
    #[must_use]
    pub fn over(self, earlier: Self) -> Self {
        Self {
            network: self.network.or(earlier.network),
            memory: self.memory.or(earlier.memory),
            cpus: self.cpus.or(earlier.cpus),
            pids: self.pids.or(earlier.pids),
            user: self.user.or(earlier.user),
            read_only: self.read_only.or(earlier.read_only),
            tmpfs: self.tmpfs.or(earlier.tmpfs),
            cap_add: self.cap_add.or(earlier.cap_add),
            no_new_privileges: self.no_new_privileges.or(earlier.no_new_privileges),
            seccomp: self.seccomp.or(earlier.seccomp),
            init: self.init.or(earlier.init),
            host: self.host.or(earlier.host),
        }
    }

    /// Reads the table `[docker]` of a file in `folder`, which a path of a profile is relative to.
    pub(crate) fn read<'a>(fields: &mut Fields<'a, '_>, line: usize, table: &'a [Entry], folder: &Path) -> Self {
        let known: Vec<&'static str> = DOCKER_KEYS.iter().map(|key| key.name).collect();
        let mut fields = fields.nested(line, table).only(&known);
        let pids = |number: i128| NonZeroU32::new(u32::try_from(number).ok()?);
        Self {
            network: fields.word("network", NETWORK_WORDS, &[DockerNetwork::Bridge, DockerNetwork::None]),
            memory: fields.quantity("memory", "\"4GiB\"", parse_size),
            cpus: fields.positive("cpus", "2"),
            pids: fields.integer("pids", "a whole number from 1 on", "512", pids),
            user: fields.parsed("user", "\"owner\"", parse_user),
            read_only: fields.switch("read_only"),
            tmpfs: listed(&mut fields, "tmpfs", "[\"/tmp\"]", parse_container_path),
            cap_add: listed(&mut fields, "cap_add", "[\"NET_BIND_SERVICE\"]", parse_capability),
            no_new_privileges: fields.switch("no_new_privileges"),
            seccomp: fields.parsed("seccomp", "\"default\"", |text| parse_seccomp(text, folder)),
            init: fields.switch("init"),
            host: fields.parsed("host", "\"unix:///run/docker.sock\"", parse_host),
        }
    }
}

const NETWORK_WORDS: &[&str] = &["bridge", "none"];

/// A list of texts of a form of their own. Each that has not that form is noted.
fn listed<T>(
    fields: &mut Fields<'_, '_>,
    key: &str,
    example: &'static str,
    parse: impl Fn(&str) -> Result<T, ValueIssue>,
) -> Option<Vec<T>> {
    let mut values = Vec::new();
    for Located { value, at } in fields.texts(key, example)? {
        match parse(&value) {
            Ok(value) => values.push(value),
            Err(issue) => fields.note_value(key, at, issue),
        }
    }
    Some(values)
}

/// The largest number of a user or group that Docker takes.
const LARGEST_ID: u32 = i32::MAX.cast_unsigned();

fn parse_user(text: &str) -> Result<DockerUser, ValueIssue> {
    let id = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|id| digits && *id <= LARGEST_ID)
    };
    let ids = || {
        let (uid, gid) = text.split_once(':')?;
        Some(DockerUser::Ids { uid: id(uid)?, gid: id(gid)? })
    };
    match text {
        "owner" => Ok(DockerUser::Owner),
        "image" => Ok(DockerUser::Image),
        _ => ids().ok_or_else(|| ValueIssue::ContainerUser { text: shown(text), uid: id(text) }),
    }
}

/// An absolute path in a container, without what changes nothing of it.
fn parse_container_path(text: &str) -> Result<String, ValueIssue> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let is_usable = text.starts_with('/') && !parts.is_empty() && !parts.contains(&"..") && !text.contains([':', ',']);
    if is_usable { Ok(format!("/{}", parts.join("/"))) } else { Err(ValueIssue::ContainerPath { path: shown(text) }) }
}

/// The capabilities of capabilities(7).
const CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

fn parse_capability(text: &str) -> Result<String, ValueIssue> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name == "ALL" {
        return Err(ValueIssue::AllCapabilities);
    }
    if CAPABILITIES.contains(&name) {
        return Ok(name.to_owned());
    }
    let suggestion = closest(name, CAPABILITIES.iter().copied());
    Err(ValueIssue::Capability { name: shown(text), suggestion })
}

const SECCOMP_WORDS: &[&str] = &["default", "unconfined"];

/// A word, or the path of a profile: one that is nearly a word must be a slip.
fn parse_seccomp(text: &str, folder: &Path) -> Result<DockerSeccomp, ValueIssue> {
    match text {
        "default" => Ok(DockerSeccomp::Default),
        "unconfined" => Ok(DockerSeccomp::Unconfined),
        _ if !text.contains(['/', '.']) && closest(&text.to_lowercase(), SECCOMP_WORDS.iter().copied()).is_some() => {
            Err(ValueIssue::NoneOf { found: shown(text), words: SECCOMP_WORDS })
        }
        _ => Ok(DockerSeccomp::Profile(folder.join(text))),
    }
}

/// An address with its scheme, as Docker takes it from `DOCKER_HOST`.
fn parse_host(text: &str) -> Result<String, ValueIssue> {
    match text.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => Ok(text.to_owned()),
        _ => Err(ValueIssue::DaemonAddress { text: shown(text) }),
    }
}
