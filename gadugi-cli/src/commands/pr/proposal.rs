//! A pull request as it is to be, and the repository that it is for.

use std::path::Path;

use gadugi_registry::render::shell_word;

/// A repository on a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForgeRepository {
    pub(super) host: String,
    pub(super) owner: String,
    pub(super) name: String,
}

impl ForgeRepository {
    /// Reads the address of a remote: `https://host/owner/name.git`, `ssh://git@host/owner/name`, `git@host:owner/name.git`.
    pub(super) fn of(address: &str) -> Option<Self> {
        let (host, path) = match address.split_once("://") {
            Some(("https" | "http" | "ssh" | "git" | "git+ssh", rest)) => rest.split_once('/')?,
            Some(_) => return None,
            None => address.split_once(':').filter(|(host, _)| !host.contains('/'))?,
        };
        let host = host.rsplit('@').next()?.split(':').next()?;
        // The host for networks that let only HTTPS through.
        let host = if host == "ssh.github.com" { "github.com" } else { host };
        let path = path.trim_matches('/');
        let (owner, name) = path.strip_suffix(".git").unwrap_or(path).split_once('/')?;
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        };
        let found = Self { host: host.to_owned(), owner: owner.to_owned(), name: name.to_owned() };
        (is_word(host) && is_word(owner) && is_word(name)).then_some(found)
    }
}

/// A pull request as it is to be.
pub(super) struct Proposal {
    pub(super) title: String,
    pub(super) head: String,
    pub(super) base: String,
    pub(super) body: String,
    pub(super) draft: bool,
}

impl Proposal {
    /// The command that opens it by hand, with its text from a file.
    pub(super) fn command(&self, repository: Option<&ForgeRepository>, body: &Path) -> String {
        let repository = repository.map(|of| format!(" --repo {}/{}/{}", of.host, of.owner, of.name));
        let draft = if self.draft { " --draft" } else { "" };
        format!(
            "gh pr create{}{draft} --base {} --head {} --title {} --body-file {}",
            repository.unwrap_or_default(),
            shell_word(&self.base),
            shell_word(&self.head),
            shell_word(&self.title),
            shell_word(&body.to_string_lossy())
        )
    }

    /// The page of the forge on which it can be opened.
    pub(super) fn compare_page(&self, ForgeRepository { host, owner, name }: &ForgeRepository) -> String {
        format!("https://{host}/{owner}/{name}/compare/{}...{}?expand=1", self.base, self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_of_a_forge_is_read_from_every_kind_of_address() {
        let expected = ForgeRepository { host: "git.example".into(), owner: "o".into(), name: "r.x".into() };
        for address in [
            "https://git.example/o/r.x.git",
            "https://user:token@git.example:8443/o/r.x/",
            "ssh://git@git.example:22/o/r.x",
            "git@git.example:o/r.x.git",
        ] {
            assert_eq!(ForgeRepository::of(address).as_ref(), Some(&expected), "{address}");
        }
        for address in
            ["/srv/o/r.git", "../r", "file:///o/r", "C:/o/r/x", "git@host:r.git", "https://git.example/a/b/c"]
        {
            assert_eq!(ForgeRepository::of(address), None, "{address}");
        }
    }
}
