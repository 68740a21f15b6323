//! Opening a repository: the configuration that counts, and the identity where git has none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::bstr::ByteSlice;
use gix::open::Permissions;
use gix::sec::Permission;

use crate::error::GitError;
use crate::files::ordinary;
use crate::repo::filters;

/// The sources of git's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConfigSources {
    /// As for git: the system's, the user's and the repository's.
    #[default]
    All,
    /// Only the repository's, so that results do not depend on who runs the program.
    RepositoryOnly,
}

impl ConfigSources {
    /// The file of rules that git and gix read where `core.excludesFile` names none (gitignore(5)).
    pub(crate) fn default_excludes_file(self) -> Option<PathBuf> {
        match self {
            Self::All => gix::path::env::xdg_config("ignore", &mut gix::path::env::var),
            Self::RepositoryOnly => None,
        }
    }
}

/// The author of commits in a repository whose user has not told git a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self { name: "gadugi".into(), email: "gadugi@localhost".into() }
    }
}

/// Opens repositories in one and the same way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opener {
    pub(crate) sources: ConfigSources,
    pub(crate) identity: Identity,
    /// The time limit for all filters of a worktree together; `None` is no limit.
    pub(crate) limit: Option<Duration>,
}

impl Opener {
    /// Opens the repository of a work tree, without looking further up.
    pub(crate) fn open(&self, work_tree: &Path) -> Result<gix::Repository, GitError> {
        Ok(gix::open_opts(work_tree, self.options(&[]))?)
    }

    /// Opens the repository whose git folder this is: that of all its worktrees, or that of one of them.
    ///
    /// gix opens none while the folder that this process is in does not exist, by whatever path.
    pub(crate) fn open_git_dir(&self, git_dir: &Path, overrides: &[&str]) -> Result<gix::Repository, GitError> {
        ordinary::check_git_folder(git_dir)?;
        let head = ordinary::read_to_string(&git_dir.join("HEAD")).unwrap_or_default();
        let branch = head.strip_prefix("ref:").map(str::trim);
        if let Some(branch) = branch {
            ordinary::check(&git_dir.join(branch))?;
        }
        if let Ok(shared) = ordinary::read(&git_dir.join("commondir"))
            && let Ok(shared) = gix::path::from_bstr(shared.trim().as_bstr())
        {
            let shared = git_dir.join(shared);
            ordinary::check_git_folder(&shared)?;
            branch.map_or(Ok(()), |branch| ordinary::check(&shared.join(branch)))?;
        }
        let repo = gix::open_opts(git_dir, self.options(overrides).open_path_as_is(true))?;
        if let Some(attributes) = repo.config_snapshot().trusted_path("core.attributesFile")? {
            ordinary::check(&attributes)?;
        }
        Ok(repo)
    }

    /// The options for gix. Variables that point git to another repository, index or object store are ignored: a user who runs
    /// gadugi from a hook means the folder that is given.
    pub(crate) fn options(&self, overrides: &[&str]) -> gix::open::Options {
        let mut permissions = match self.sources {
            ConfigSources::All => Permissions::all(),
            ConfigSources::RepositoryOnly => Permissions::isolated(),
        };
        permissions.env.git_prefix = Permission::Deny;
        permissions.env.objects = Permission::Deny;
        let var = |name| gix::path::env::var(name).filter(|_| self.sources == ConfigSources::All);
        // Those that name the files of the configuration are followed, as by git (git(1)).
        permissions.config.system &= var("GIT_CONFIG_NOSYSTEM").is_none();
        let (global, system) = (var("GIT_CONFIG_GLOBAL"), var("GIT_CONFIG_SYSTEM"));
        if global.is_some() {
            let config = &mut permissions.config;
            (config.git, config.user, config.git_binary) = (false, false, true);
        }
        let Identity { name, email } = &self.identity;
        let defaults = [
            // By the second only, all files of a worktree seem as new as its index and are read again and again.
            "gitoxide.core.useNsec=true".to_owned(),
            // Packs that it names may be gone, which git reads past, and gix does not.
            "core.multiPackIndex=false".to_owned(),
            // With several threads gix panics where there can be no more of them.
            "index.threads=1".to_owned(),
            format!("gitoxide.committer.nameFallback={name}"),
            format!("gitoxide.committer.emailFallback={email}"),
            format!("gitoxide.author.nameFallback={name}"),
            format!("gitoxide.author.emailFallback={email}"),
        ];
        let limit = self.limit.map(filters::limit_setting);
        let mut options = gix::open::Options::default().permissions(permissions);
        if let Some(global) = global {
            // It is read before that of the system, which is the nearest that gix can be told.
            options = options.git_installation_config_path(global);
        }
        if let Some(system) = system {
            options = options.system_config_path(system);
        }
        options
            .config_overrides(defaults.into_iter().chain(limit).chain(overrides.iter().map(|text| (*text).to_owned())))
    }
}
