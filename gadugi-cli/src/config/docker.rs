//! The settings of containers: the table `[docker]` of the configuration.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::config::setting::settings;
use crate::parse::fields::{Fields, Located};
use crate::parse::kind::{COUNT_32, Kind, POSITIVE, SIZE, SWITCH};
use crate::parse::{ValueIssue, closest, shown};

/// The network of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DockerNetwork {
    /// A network of Docker's own, from which others can be reached.
    #[default]
    Bridge,
    /// Nothing but itself.
    None,
}

/// The user of a container's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DockerUser {
    /// The owner of the task's worktree.
    #[default]
    Owner,
    /// The user of the image.
    Image,
    /// The user with these numbers.
    Ids {
        /// The user's number.
        uid: u32,
        /// The group's number.
        gid: u32,
    },
}

/// The system calls that a container may make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DockerSeccomp {
    /// The calls of Docker's own profile.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// The calls of the profile in this file.
    Profile(PathBuf),
}

const NETWORK: Kind<DockerNetwork> = Kind::text("`\"bridge\"` or `\"none\"`", |fields, key, _| {
    fields.word(key, &["bridge", "none"], &[DockerNetwork::Bridge, DockerNetwork::None])
});

const USER: Kind<DockerUser> = Kind::text("`\"owner\"`, `\"image\"` or `\"UID:GID\"`", |fields, key, example| {
    fields.parsed(key, example, parse_user)
});

const FOLDERS: Kind<Vec<String>> =
    Kind::texts("list of texts", |fields, key, example| listed(fields, key, example, parse_container_path));

const CAPABILITIES: Kind<Vec<String>> =
    Kind::texts("list of texts", |fields, key, example| listed(fields, key, example, parse_capability));

const SECCOMP: Kind<DockerSeccomp> = Kind::text("`\"default\"`, `\"unconfined\"` or a path", |fields, key, example| {
    fields.parsed(key, example, parse_seccomp)
});

const ADDRESS: Kind<String> = Kind::text("text", |fields, key, example| fields.parsed(key, example, parse_host));

settings! {
    /// The keys of the table `[docker]`, in the order of the docs.
    table pub DOCKER_KEYS;

    /// The settings of containers that one source makes. `None` leaves a setting to the sources before it.
    #[derive(Debug, Clone, PartialEq, Default)]
    layer pub DockerLayer { fields pub, };

    /// All settings of containers, merged from all sources.
    #[derive(Debug, Clone, PartialEq)]
    settings DockerConfig {};

    only {}

    /// Network of a container: `"bridge"` (one of Docker's own, from which it reaches others) or `"none"` (only itself).
    network: DockerNetwork = NETWORK { default: "\"bridge\"", example: "\"none\"" };

    /// Memory of a task's container.
    ///
    /// A process of this machine has no limit, which the start of the run says.
    memory: u64 = SIZE { default: "\"4GiB\"", example: "\"8GiB\"", task: "from the configuration (`[docker]`)" };

    /// Processors of a task's container; `1.5` is one and a half.
    ///
    /// A process of this machine has no limit, which the start of the run says.
    cpus: f64 = POSITIVE { default: "2", example: "1.5", task: "from the configuration (`[docker]`)" };

    /// Maximum number of processes and threads in a container at once.
    pids: NonZeroU32 = COUNT_32 { default: "512", example: "2048" };

    /// User of a container's commands: `"owner"` (the owner of the worktree), `"image"` (that of the image), or a `"UID:GID"`.
    ///
    /// A user that cannot write the worktree cannot work there. What root (`"0:0"`) leaves there, you cannot delete, and
    /// `gadugi clean --wait` says so.
    user: DockerUser = USER { default: "\"owner\"", example: "\"1000:1000\"" };

    /// Whether the files of the image are read-only in a container.
    ///
    /// The worktree, the home folder and `tmpfs` can be written in any case.
    read_only: bool = SWITCH { default: "true", example: "false" };

    /// Folders of a container, by their absolute paths, that are in memory, empty at first, and can be written.
    ///
    /// What is in them counts as memory.
    tmpfs: Vec<String> = FOLDERS {
        default: "[\"/tmp\", \"/run\", \"/var/tmp\"]", example: "[\"/tmp\", \"/var/cache\"]"
    };

    /// Capabilities that a container keeps, which are of use to root only. All others are dropped.
    ///
    /// Their names stand with or without `CAP_`. They are of use to root (`user = "0:0"`), or, with
    /// `no_new_privileges = false`, to programs whose files have them. `"ALL"` is refused.
    cap_add: Vec<String> = CAPABILITIES { default: "[]", example: "[\"NET_BIND_SERVICE\"]" };

    /// Whether programs are kept from gaining rights that their callers have not, so that sudo and set-user-ID do nothing.
    no_new_privileges: bool = SWITCH { default: "true", example: "false" };

    /// System calls that a container may make: `"default"` (those of Docker's own profile), `"unconfined"` (all), or those of a
    /// profile, by its path relative to the file that names it.
    seccomp: DockerSeccomp = SECCOMP { default: "\"default\"", example: "\"seccomp.json\"" };

    /// Whether a small first process passes signals on and reaps orphaned processes.
    init: bool = SWITCH { default: "true", example: "false" };

    /// Address of the daemon, with its scheme. It wins over `DOCKER_HOST` and over Docker's contexts.
    host: String => Option<String> = ADDRESS { example: "\"unix:///run/docker.sock\"" };
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self::settle(DockerLayer::defaults())
    }
}

impl DockerLayer {
    /// Resolves the path of a profile against the folder of the file that names it.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        if let Some(DockerSeccomp::Profile(profile)) = &mut self.seccomp {
            *profile = folder.join(&*profile);
        }
        self
    }
}

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
const MAX_ID: u32 = i32::MAX.cast_unsigned();

fn parse_user(text: &str) -> Result<DockerUser, ValueIssue> {
    let id = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|id| digits && *id <= MAX_ID)
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
const KNOWN_CAPABILITIES: &[&str] = &[
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
    if KNOWN_CAPABILITIES.contains(&name) {
        return Ok(name.to_owned());
    }
    let suggestion = closest(name, KNOWN_CAPABILITIES.iter().copied());
    Err(ValueIssue::Capability { name: shown(text), suggestion })
}

const SECCOMP_WORDS: &[&str] = &["default", "unconfined"];

/// A word, or the path of a profile: one that is nearly a word must be a slip.
fn parse_seccomp(text: &str) -> Result<DockerSeccomp, ValueIssue> {
    match text {
        "default" => Ok(DockerSeccomp::Default),
        "unconfined" => Ok(DockerSeccomp::Unconfined),
        _ if !text.contains(['/', '.']) && closest(&text.to_lowercase(), SECCOMP_WORDS.iter().copied()).is_some() => {
            Err(ValueIssue::NoneOf { found: shown(text), words: SECCOMP_WORDS })
        }
        _ => Ok(DockerSeccomp::Profile(text.into())),
    }
}

/// An address with its scheme, as Docker takes it from `DOCKER_HOST`.
fn parse_host(text: &str) -> Result<String, ValueIssue> {
    match text.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => Ok(text.to_owned()),
        _ => Err(ValueIssue::DaemonAddress { text: shown(text) }),
    }
}
