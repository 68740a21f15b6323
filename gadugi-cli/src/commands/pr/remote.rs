//! The remote that branches are pushed to.

use std::collections::{BTreeMap, BTreeSet};

use gadugi_core::BranchName;

use super::candidates::BaseTip;
use super::full;
use super::proposal::ForgeRepository;
use crate::failure::Failure;
use crate::work::Git;

/// A remote, with its branches at the start of the command and those that were pushed since.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) name: String,
    /// Repository on its forge, if its address names one.
    pub(super) repository: Option<ForgeRepository>,
    /// Its branches, with their commits.
    heads: BTreeMap<String, String>,
    default: Option<String>,
    /// Branches and commits of tasks that are in the target already.
    landed: BTreeSet<String>,
}

/// The end of a push that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PushEnd {
    New,
    Moved,
    UpToDate,
}

impl Remote {
    /// Finds the remote: that of this name, else the one that git pushes to, else `origin`, else the only one.
    pub(super) async fn find(git: &Git<'_>, name: Option<&str>) -> Result<Self, Failure> {
        let remotes = git.answer(&["remote"]).await?.unwrap_or_default();
        let remotes: Vec<&str> = remotes.lines().collect();
        let configured = git.answer(&["config", "--get", "remote.pushDefault"]).await?;
        let wanted = name.map(str::to_owned).or(configured);
        let name = match (wanted, &remotes[..]) {
            (Some(name), remotes) if remotes.contains(&name.as_str()) => name,
            (Some(name), _) => {
                let failure = Failure::usage(format!("there is no remote `{name}`"));
                return Err(failure.hint("`git remote -v` lists what there is, `git remote add` adds one"));
            }
            (None, remotes) if remotes.contains(&"origin") => "origin".to_owned(),
            (None, [only]) => (*only).to_owned(),
            (None, []) => {
                let failure = Failure::environment("the repository has no remote to push to");
                return Err(failure.hint("add one: git remote add origin URL"));
            }
            (None, _) => {
                let failure = Failure::usage("there are several remotes, and none is called origin");
                return Err(failure.hint(format!("name one: --remote {}", remotes[0])));
            }
        };
        // One of them may be an address that `insteadOf` stands for.
        let address = git.answer(&["remote", "get-url", "--push", &name]).await?.unwrap_or_default();
        let written = git.answer(&["config", "--get", &format!("remote.{name}.url")]).await?.unwrap_or_default();
        let repository = ForgeRepository::of(&address).or_else(|| ForgeRepository::of(&written));
        let listed = git.talking(&["ls-remote", "--symref", &name, "HEAD", "refs/heads/*"]).await?;
        if !listed.status.success() {
            let said = String::from_utf8_lossy(&listed.stderr);
            let message = format!("the remote {name} cannot be read: {}", said.trim());
            return Err(Failure::environment(message).hint(format!("`git ls-remote {name}` shows the same")));
        }
        let listed = String::from_utf8_lossy(&listed.stdout);
        let (mut heads, mut default) = (BTreeMap::new(), None);
        for (value, reference) in listed.lines().filter_map(|line| line.split_once('\t')) {
            if let Some(branch) = reference.strip_prefix("refs/heads/") {
                heads.insert(branch.to_owned(), value.to_owned());
            } else if let Some(branch) = value.strip_prefix("ref: refs/heads/") {
                default = Some(branch.to_owned());
            }
        }
        Ok(Self { name, repository, heads, default, landed: BTreeSet::new() })
    }

    /// The branch that the work is meant for: the named one, else the base of the run where the remote has such a branch, else
    /// the remote's own.
    pub(super) fn target(&self, named: Option<&str>, base: Option<&str>) -> Result<String, Failure> {
        if let Some(named) = named {
            let is_there = self.heads.contains_key(named);
            let missing = || Failure::usage(format!("{} has no branch `{named}`", self.name));
            return is_there.then(|| named.to_owned()).ok_or_else(missing);
        }
        let base = base.map(|base| base.strip_prefix(&format!("{}/", self.name)).unwrap_or(base));
        let base = base.filter(|base| self.heads.contains_key(*base)).map(str::to_owned);
        let default = self.default.clone().filter(|branch| self.heads.contains_key(branch));
        base.or(default).ok_or_else(|| {
            let failure = Failure::environment(format!("{} has no branch that the work could be meant for", self.name));
            failure
                .hint(format!("push the base first, such as `git push {} main`, or name one: --base BRANCH", self.name))
        })
    }

    /// Notes which of these revisions are in the target already, as far as this repository has its commit.
    pub(super) async fn note_landed(
        &mut self,
        git: &Git<'_>,
        target: &str,
        revisions: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        let Some(commit) = self.heads.get(target) else { return Ok(()) };
        for revision in revisions {
            let ancestor = ["merge-base", "--is-ancestor", &revision, commit];
            if git.output(&ancestor).await?.status.success() {
                self.landed.insert(revision);
            }
        }
        Ok(())
    }

    pub(super) fn has_landed(&self, revision: &str) -> bool {
        self.landed.contains(revision)
    }

    /// The branch on the remote that has the work of a need, at its end there.
    pub(super) fn branch_of(&self, tip: &BaseTip) -> Option<&str> {
        match tip {
            BaseTip::Branch(branch) => self.heads.get_key_value(branch.as_str()).map(|(name, _)| name.as_str()),
            BaseTip::Commit(commit) => {
                let mut heads = self.heads.iter();
                heads.find(|(_, head)| *head == commit.as_str()).map(|(name, _)| name.as_str())
            }
        }
    }

    /// Counts a branch as pushed.
    pub(super) fn plan(&mut self, branch: &BranchName) {
        self.heads.entry(branch.to_string()).or_default();
    }

    pub(super) fn push_command(&self, branch: &BranchName) -> String {
        format!("git push {} {branch}:{branch}", self.name)
    }

    /// Pushes a branch, never by force.
    pub(super) async fn push(&mut self, git: &Git<'_>, branch: &BranchName) -> Result<PushEnd, Failure> {
        let full = full(branch);
        let arguments = ["push", "--porcelain", "--no-force", &self.name, &format!("{full}:{full}")];
        let output = git.talking(&arguments).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find(|line| line.contains(&format!("\t{full}:{full}\t"))).unwrap_or_default();
        let end = match (line.chars().next(), output.status.success()) {
            (Some('*'), true) => PushEnd::New,
            (Some('='), true) => PushEnd::UpToDate,
            (Some(' '), true) => PushEnd::Moved,
            _ => return Err(self.refusal(branch, line, &String::from_utf8_lossy(&output.stderr))),
        };
        self.plan(branch);
        Ok(end)
    }

    fn refusal(&self, branch: &BranchName, line: &str, stderr: &str) -> Failure {
        let remote = &self.name;
        let reason = line.rsplit('\t').next().unwrap_or_default();
        if reason.contains("non-fast-forward") || reason.contains("fetch first") {
            let message = format!("{remote} refuses {branch}: its branch there has commits that are not in yours");
            let hint = format!(
                "look at them: git fetch {remote} {branch} && git log {branch}..FETCH_HEAD; then merge them into {branch} in a \
                 worktree, or delete the branch there: git push {remote} --delete {branch}"
            );
            return Failure::undone(message).hint(hint);
        }
        let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        let said = if reason.is_empty() { lines.collect::<Vec<_>>().join("; ") } else { reason.to_owned() };
        let hint = format!("try it by hand: {}", self.push_command(branch));
        Failure::undone(format!("{branch} could not be pushed to {remote}: {said}")).hint(hint)
    }
}
