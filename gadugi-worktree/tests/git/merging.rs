//! Branches to merge, and the calls that merge them.

use gadugi_core::merge::{
    AmendContent, AmendRequest, Amended, Chain, ChainRequest, ConflictRequest, Integration, LandRequest, Landing, Link,
    LinkResult, MarkedConflict, Strategy,
};
use gadugi_core::{CommitId, MergeId};
use gadugi_test_support::repo::TestRepo;

use crate::harness::{Harness, RUN, chain, commit_id};

pub(crate) const MERGE: &str = "20261123-101500-abc";

pub(crate) fn merge_id() -> MergeId {
    MERGE.parse().expect("a merge id")
}

/// A repository on `main` with a few files of twelve lines.
pub(crate) fn harness() -> Harness {
    let repo = TestRepo::new();
    for name in ["a.txt", "b.txt", "c.txt", "dir/d.txt", "dir/e.txt"] {
        repo.write(name, lines(name));
    }
    repo.write(".gitignore", "*.log\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    Harness::on(repo)
}

pub(crate) fn lines(name: &str) -> String {
    (0..12).map(|line| format!("{name} {line}\n")).collect()
}

/// The twelve lines with one of them changed.
pub(crate) fn with_line(name: &str, line: usize, text: &str) -> String {
    lines(name).replace(&format!("{name} {line}\n"), &format!("{text}\n"))
}

impl Harness {
    pub(crate) fn rev(&self, name: &str) -> String {
        self.repo.git(&["rev-parse", name])
    }

    pub(crate) fn id(&self, name: &str) -> CommitId {
        commit_id(&self.rev(name))
    }

    /// Makes a branch `gadugi/<name>` at a start, with a commit for each list of files, in a work tree of its own. `None` deletes
    /// a file.
    pub(crate) fn branch(&self, name: &str, start: &str, commits: &[&[(&str, Option<&str>)]]) -> Link {
        let base = self.rev(start);
        let folder = self.repo.root().join("elsewhere");
        let folder_text = folder.to_str().expect("a path");
        self.repo.git(&["worktree", "add", "-q", "--detach", folder_text, &base]);
        for (number, files) in commits.iter().enumerate() {
            for (path, content) in *files {
                let path = folder.join(path);
                match content {
                    Some(content) => {
                        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                        std::fs::write(&path, content).expect("a file");
                    }
                    None => drop(std::fs::remove_file(&path)),
                }
            }
            self.repo.git_in(&folder, &["add", "-A"]);
            let message = format!("Commit {number} of {name}");
            self.repo.git_in(
                &folder,
                &["commit", "-q", "--allow-empty", "--author=An Agent <agent@example.com>", "-m", &message],
            );
        }
        let tip = self.repo.git_in(&folder, &["rev-parse", "HEAD"]);
        self.repo.git(&["worktree", "remove", "--force", folder_text]);
        self.repo.git(&["branch", "-f", &format!("gadugi/{name}"), &tip]);
        self.link(name, &tip, &base)
    }

    pub(crate) fn link(&self, name: &str, tip: &str, base: &str) -> Link {
        Link {
            name: name.to_owned(),
            title: format!("Do {name}"),
            run: RUN.parse().expect("a run id"),
            tip: commit_id(&self.rev(tip)),
            base: commit_id(&self.rev(base)),
        }
    }

    pub(crate) async fn chain(&self, strategy: Strategy, links: &[&Link]) -> Chain {
        self.chain_with(strategy, links, &[]).await
    }

    pub(crate) async fn chain_with(&self, strategy: Strategy, links: &[&Link], regenerate: &[&str]) -> Chain {
        let request = ChainRequest {
            merge: merge_id(),
            onto: self.id("main"),
            links: links.iter().map(|link| (*link).clone()).collect(),
            strategy,
            regenerate: regenerate.iter().map(ToString::to_string).collect(),
        };
        Integration::chain(&self.worktrees, request).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    pub(crate) async fn mark(&self, strategy: Strategy, onto: &CommitId, link: &Link) -> MarkedConflict {
        let (merge, onto, link) = (merge_id(), onto.clone(), link.clone());
        let request = ConflictRequest { merge, onto, link, strategy, regenerate: Vec::new() };
        self.worktrees.mark_conflict(request).await.expect("a commit")
    }

    pub(crate) async fn amend(&self, onto: &CommitId, from: &str, content: AmendContent) -> Amended {
        let request = AmendRequest { merge: merge_id(), onto: onto.clone(), from: self.id(from), content };
        self.worktrees.amend(request).await.expect("an answer")
    }

    pub(crate) async fn land(&self, branch: &str, old: Option<&str>, new: &CommitId) -> Landing {
        let request = self.landing(branch, old, new);
        self.worktrees.land(request).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    pub(crate) fn landing(&self, branch: &str, old: Option<&str>, new: &CommitId) -> LandRequest {
        LandRequest {
            merge: merge_id(),
            branch: branch.parse().expect("a branch"),
            old: old.map(|old| self.id(old)),
            new: new.clone(),
        }
    }

    pub(crate) fn subjects(&self, range: &str) -> Vec<String> {
        self.repo.git(&["log", "--format=%s", range]).lines().map(str::to_owned).collect()
    }

    pub(crate) fn kept(&self) -> Vec<String> {
        let list = self.repo.git(&["for-each-ref", "--format=%(objectname)", "refs/gadugi/merges"]);
        list.lines().map(str::to_owned).collect()
    }
}

pub(crate) fn is_added(result: &LinkResult) -> bool {
    matches!(result, LinkResult::Added { .. })
}

pub(crate) fn conflict(files: &[&str], with: &[&str]) -> LinkResult {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    LinkResult::Conflict { files: owned(files), with: owned(with) }
}
