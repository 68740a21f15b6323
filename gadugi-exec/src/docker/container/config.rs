//! The description of a container, as the daemon wants it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicy,
    RestartPolicyNameEnum,
};
use gadugi_core::executor::{ExecRequest, StopSignal};
use gadugi_core::plan::Resources;

use super::entrypoint::Entry;
use super::labels;
use crate::docker::api::error::DockerError;
use crate::docker::api::{Daemon, Users};
use crate::docker::files::INSIDE;
use crate::docker::settings::{Confinement, DockerSettings, HOME, Network, PASSED_VARIABLES, Seccomp, User};

/// Makes Docker's init, tini(1), pass signals on to the whole process group of the command.
const INIT_SIGNALS_GROUP: &str = "TINI_KILL_PROCESS_GROUP=1";

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::docker) struct Owner {
    pub(in crate::docker) uid: u32,
    pub(in crate::docker) gid: u32,
}

/// Everything that the description of a container is made from.
pub(in crate::docker) struct Parts<'a> {
    pub(in crate::docker) settings: &'a DockerSettings,
    pub(in crate::docker) daemon: &'a Daemon,
    pub(in crate::docker) request: &'a ExecRequest,
    pub(in crate::docker) entry: &'a Entry,
    pub(in crate::docker) image: &'a str,
    pub(in crate::docker) owner: Owner,
    /// The folder that is mounted as [`INSIDE`].
    pub(in crate::docker) shown: Option<&'a Path>,
    /// The file for `/etc/hosts`, for a container without a network.
    pub(in crate::docker) hosts: Option<PathBuf>,
    pub(in crate::docker) nonce: &'a str,
}

impl Parts<'_> {
    /// Returns the description of the container.
    pub(in crate::docker) fn body(&self) -> Result<ContainerCreateBody, DockerError> {
        let has_input = self.entry.secrets.is_some();
        Ok(ContainerCreateBody {
            // Not by `cmd`, which the image's own entrypoint would come before.
            entrypoint: Some(self.entry.argv.clone()),
            cmd: Some(Vec::new()),
            image: Some(self.image.to_owned()),
            hostname: Some(hostname(self.request.attempt.task.as_str())),
            user: self.user(),
            // Without it the daemon would start a process of its own in each container's network, to put nothing there. There
            // is a loopback either way.
            network_disabled: Some(self.settings.confinement.network == Network::None),
            working_dir: Some(utf8(&self.request.folder)?),
            env: Some(self.environment()),
            labels: Some(labels::of(self.settings, self.request, self.nonce)),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            attach_stdin: Some(has_input),
            open_stdin: Some(has_input),
            stdin_once: Some(has_input),
            stop_signal: Some(
                match self.request.stop_signal {
                    StopSignal::Interrupt => "SIGINT",
                    _ => "SIGTERM",
                }
                .to_owned(),
            ),
            healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
            host_config: Some(self.host_config()?),
            ..ContainerCreateBody::default()
        })
    }

    fn host_config(&self) -> Result<HostConfig, DockerError> {
        let confinement = &self.settings.confinement;
        let Resources { memory, cpus, .. } = self.request.resources;
        let memory = memory.or(confinement.memory).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let cpus = cpus.or_else(|| self.default_cpus());
        let user = self.ids();
        Ok(HostConfig {
            mounts: Some(self.mounts()?),
            tmpfs: Some(self.tmpfs(user)),
            readonly_rootfs: Some(confinement.read_only),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(confinement.cap_add.clone()).filter(|names| !names.is_empty()),
            privileged: Some(false),
            security_opt: Some(security(confinement)?),
            pids_limit: confinement.pids.map(i64::from),
            memory,
            // As much as the memory: no swap.
            memory_swap: memory,
            nano_cpus: cpus.map(|cpus| (cpus * 1e9) as i64),
            network_mode: Some(
                match confinement.network {
                    Network::Bridge => "bridge",
                    Network::None => "none",
                }
                .to_owned(),
            ),
            userns_mode: match self.daemon.users {
                Users::Remapped => Some("host".to_owned()),
                Users::RootlessPodman => Some("keep-id".to_owned()),
                Users::Same | Users::Rootless => None,
            },
            init: Some(confinement.init),
            ipc_mode: Some("private".to_owned()),
            log_config: self.log_config(),
            // It is removed when its end is kept, and not before.
            auto_remove: Some(false),
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
            ..HostConfig::default()
        })
    }

    /// Returns the default limit, capped at the daemon's processors: it refuses more.
    fn default_cpus(&self) -> Option<f64> {
        let there = Some(self.daemon.processors).filter(|there| *there > 0.0);
        self.settings
            .confinement
            .cpus
            .filter(|_| self.daemon.holds_cpus)
            .map(|cpus| there.map_or(cpus, |there| cpus.min(there)))
    }

    /// Returns the user of the command, in the numbers of this machine; `None` when unknown.
    pub(in crate::docker) fn user_here(&self) -> Option<Owner> {
        match (self.settings.confinement.user, self.daemon.users) {
            (User::Owner, _) => Some(self.owner),
            (User::Image, _) | (User::Ids { .. }, Users::Rootless) => None,
            (User::Ids { uid, gid }, _) => Some(Owner { uid, gid }),
        }
    }

    /// Returns the user of the command, in the container's numbers; `None` for the image's own.
    fn ids(&self) -> Option<Owner> {
        match (self.settings.confinement.user, self.daemon.users) {
            (User::Image, _) => None,
            (User::Ids { uid, gid }, _) => Some(Owner { uid, gid }),
            // The root in there is the user out here, and has no more rights.
            (User::Owner, Users::Rootless) => Some(Owner { uid: 0, gid: 0 }),
            (User::Owner, _) => Some(self.owner),
        }
    }

    fn user(&self) -> Option<String> {
        self.ids().map(|Owner { uid, gid }| format!("{uid}:{gid}"))
    }

    fn mounts(&self) -> Result<Vec<Mount>, DockerError> {
        let folder = &self.request.folder;
        let mut mounts = vec![mount(folder, utf8(folder)?, true)?];
        if let Some(home) = &self.request.home {
            mounts.push(mount(home, HOME.to_owned(), true)?);
        }
        for shown in &self.request.mounts {
            mounts.push(mount(&shown.source, utf8(&shown.target)?, shown.writable)?);
        }
        if let Some(shown) = self.shown {
            mounts.push(mount(shown, INSIDE.to_owned(), false)?);
        }
        if let Some(hosts) = &self.hosts {
            mounts.push(mount(hosts, "/etc/hosts".to_owned(), false)?);
        }
        Ok(mounts)
    }

    fn tmpfs(&self, user: Option<Owner>) -> HashMap<String, String> {
        // Programs are built and run in there.
        let common = "rw,exec,nosuid,nodev";
        let shared = self.settings.confinement.tmpfs.iter().map(|path| (path.clone(), format!("{common},mode=1777")));
        let home = match user {
            Some(Owner { uid, gid }) if !self.daemon.is_podman => format!("{common},mode=0700,uid={uid},gid={gid}"),
            _ => format!("{common},mode=1777"),
        };
        // A file that is shown in a folder of the home folder leaves that as writable as the rest of it.
        let around = self.request.mounts.iter().flat_map(|shown| shown.target.ancestors().skip(1));
        let around = around.filter(|folder| folder.starts_with(HOME) && *folder != Path::new(HOME));
        let around = around.map(|folder| (folder.to_string_lossy().into_owned(), home.clone()));
        // One that is shown has places of its own for them.
        let own = around.chain([(HOME.to_owned(), home.clone())]).filter(|_| self.request.home.is_none());
        shared.chain(own).collect()
    }

    fn environment(&self) -> Vec<String> {
        let passed = self.settings.let_through(PASSED_VARIABLES);
        let passed = passed.map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
        let request = self.request;
        let own = request.env.iter().map(|(name, value)| format!("{name}={value}"));
        let names = [
            format!("GADUGI_RUN={}", request.run),
            format!("GADUGI_TASK={}", request.attempt.task),
            format!("GADUGI_ATTEMPT={}", request.attempt.number),
            INIT_SIGNALS_GROUP.to_owned(),
        ];
        passed.chain([format!("HOME={HOME}")]).chain(own).chain(names).collect()
    }

    /// Returns a log driver that is bounded and keeps bytes as they are. Its log is read only for output that was missed.
    fn log_config(&self) -> Option<HostConfigLogConfig> {
        let cap = self.settings.output_cap;
        let bytes = (cap.head.saturating_add(cap.tail)).max(1 << 20);
        let config = [("max-size", bytes.to_string()), ("max-file", "2".to_owned()), ("compress", "false".to_owned())];
        self.daemon.exact_logs.then(|| HostConfigLogConfig {
            typ: Some("local".to_owned()),
            config: Some(config.map(|(name, value)| (name.to_owned(), value)).into()),
        })
    }
}

fn security(confinement: &Confinement) -> Result<Vec<String>, DockerError> {
    let mut options = Vec::new();
    if confinement.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &confinement.seccomp {
        Seccomp::Default => {}
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        // The daemon wants the profile itself.
        Seccomp::Profile(path) => {
            let profile = std::fs::read_to_string(path).map_err(DockerError::file(path))?;
            options.push(format!("seccomp={profile}"));
        }
    }
    Ok(options)
}

/// Describes a bind mount, in the newer form, which refuses a source that does not exist; the older form makes a folder.
fn mount(source: &Path, target: String, writable: bool) -> Result<Mount, DockerError> {
    Ok(Mount {
        typ: Some(MountType::BIND),
        source: Some(utf8(source)?),
        target: Some(target),
        read_only: Some(!writable),
        ..Mount::default()
    })
}

fn utf8(path: &Path) -> Result<String, DockerError> {
    path.to_str().map(str::to_owned).ok_or_else(|| DockerError::Path { path: path.to_owned() })
}

/// Returns the host name of the container: the task's id in the letters of RFC 1123.
fn hostname(task: &str) -> String {
    let name: String = task.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    name.trim_matches('-').to_owned()
}
