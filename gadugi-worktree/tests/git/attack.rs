//! A task that has committed something good to its private git folder, and then gets a chance to do something bad.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use gadugi_core::Worktrees;
use gadugi_core::worktrees::WorktreeFate;

use crate::harness::{DISCARD, Harness, KEEP, chain, write};
use crate::isolated::{Isolated, Untouched, all_private, kept};
use crate::untrusted::canary;

pub(crate) struct Attack {
    pub(crate) harness: Harness,
    pub(crate) task: Isolated,
    /// The good commit.
    pub(crate) tip: String,
    pub(crate) before: Untouched,
    pub(crate) program: String,
    pub(crate) trace: PathBuf,
}

impl Attack {
    /// With enough objects for a pack, or with few.
    pub(crate) async fn with(objects: usize) -> Self {
        let harness = Harness::new();
        let (program, trace) = canary(&harness);
        let task = Isolated::new(&harness, "a").await;
        let before = Untouched::of(&harness, &task.lease);
        for number in 0..objects {
            write(&task.lease, &format!("many/{number}.txt"), format!("{number}\n"));
        }
        let tip = task.commit(&harness, "a.txt", "a\n");
        task.git(&harness, &["add", "."]);
        Self { harness, task, tip, before, program, trace }
    }

    pub(crate) async fn new() -> Self {
        Self::with(0).await
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.task.git(&self.harness, args)
    }

    /// Writes an object as it is, whether git likes it or not, and gives its id.
    pub(crate) fn object(&self, kind: &str, content: &[u8]) -> String {
        let mut command = self.harness.repo.git_command(&self.task.lease.path);
        command.arg("--git-dir").arg(&self.task.git).args(["hash-object", "-w", "--literally", "--stdin", "-t", kind]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git can be started");
        std::io::Write::write_all(&mut child.stdin.take().expect("an input"), content).expect("it is read");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("an id").trim().to_owned()
    }

    /// The file of an object that is not packed.
    pub(crate) fn loose(&self, id: &str) -> PathBuf {
        self.task.git.join("objects").join(&id[..2]).join(&id[2..])
    }

    /// Imports, goes through everything that follows, and looks at what must not have happened.
    pub(crate) async fn import(&self) -> Result<(), String> {
        let Self { harness, task, .. } = self;
        let imported = task.import(harness).await.map_err(|error| chain(&error));
        task.assert_nothing_begun_but_a_failed_import(imported.is_err());
        assert!(!self.trace.exists(), "the canary was run");
        assert_eq!(Untouched::of(harness, &task.lease), self.before);
        harness.assert_sound();
        imported
    }

    /// Checks that the good commit is there, whatever else the task has done.
    pub(crate) async fn assert_arrives(&self) {
        self.import().await.expect("an import");
        assert_eq!(self.task.tip(&self.harness), self.tip);
        self.harness.commit(&self.task.lease).await;
        self.discard(true).await;
    }

    /// Checks that nothing is there; returns the reason.
    pub(crate) async fn assert_refused(&self) -> String {
        let Self { harness, task, .. } = self;
        let mut errors = Vec::new();
        for _ in 0..2 {
            errors.push(self.import().await.expect_err("it is refused"));
            assert_eq!(task.tip(harness), task.base());
            assert_eq!(kept(harness), Vec::<String>::new());
        }
        harness.worktrees.release(&task.lease, KEEP).await.expect_err("it is not imported");
        assert!(task.lease.path.exists());
        self.discard(false).await;
        errors.pop().expect("an error")
    }

    pub(crate) async fn discard(&self, is_whole: bool) {
        let Self { harness, task, .. } = self;
        let release = harness.release(&task.lease, DISCARD).await;
        assert_eq!((release.worktree, release.dropped.is_empty()), (WorktreeFate::Removed, is_whole));
        assert!(!all_private(harness.repo.path()).exists());
        assert!(!self.trace.exists(), "the canary was run");
        // The branch of the task goes with what is discarded.
        assert_eq!(harness.branches(), ["main"]);
        harness.assert_sound();
    }
}

pub(crate) fn pipe(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o600.into()).expect("a pipe");
}
