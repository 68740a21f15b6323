//! Real git repositories in a folder of their own, without the configuration of whoever runs the tests.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A git repository in a temporary folder, which goes when this is dropped.
///
/// It lies in the subfolder `repo`, so that what is put beside it (such as `repo.gadugi`) stays in the
/// temporary folder too. Every failure panics.
pub struct TestRepo {
    root: TempDir,
    path: PathBuf,
}

impl Default for TestRepo {
    fn default() -> Self {
        Self::new()
    }
}

impl TestRepo {
    /// An empty repository whose `HEAD` is the unborn branch `main`.
    #[must_use]
    pub fn new() -> Self {
        Self::init("repo", &[])
    }

    /// As [`TestRepo::new`], in a folder of another name (which may hold spaces, or be several levels deep) and
    /// with further arguments for `git init`.
    #[must_use]
    pub fn init(folder: &str, args: &[&str]) -> Self {
        Self::init_in(TempDir::new().expect("a temporary folder"), folder, args)
    }

    /// As [`TestRepo::new`], in a folder of its own in the given one, such as a disk.
    #[must_use]
    pub fn on(disk: &Path) -> Self {
        Self::init_in(TempDir::new_in(disk).expect("a temporary folder"), "repo", &[])
    }

    fn init_in(root: TempDir, folder: &str, args: &[&str]) -> Self {
        let real_root = root.path().canonicalize().expect("the temporary folder has a real path");
        fs::create_dir(real_root.join("home")).expect("a home folder");
        let path = real_root.join(folder);
        fs::create_dir_all(&path).expect("a folder for the repository");
        let repo = Self { root, path };
        repo.git(&[&["init", "-q", "-b", "main"], args].concat());
        // Since 2.47 each commit starts a git in the background, which still holds a lock file when the test ends and its
        // folder goes (git-config(1), `maintenance.autoDetach`).
        repo.git(&["config", "maintenance.auto", "false"]);
        repo
    }

    /// The work tree (or, for `git init --bare`, the repository).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The temporary folder that holds the repository and everything beside it.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.root.path().canonicalize().expect("the temporary folder has a real path")
    }

    /// Runs git in the work tree and gives what it printed, without the last line break.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.path, args)
    }

    /// Runs git in another folder, such as a worktree.
    pub fn git_in(&self, folder: &Path, args: &[&str]) -> String {
        let output = self.try_git_in(folder, args);
        assert!(
            output.status.success(),
            "git {args:?} in {}: {}\n{}",
            folder.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// Runs git in a folder, whether it succeeds or not.
    pub fn try_git_in(&self, folder: &Path, args: &[&str]) -> Output {
        self.git_command(folder).args(args).output().expect("git can be started")
    }

    /// A git command in a folder, which sees no configuration but the repository's, and neither asks for
    /// anything nor refreshes an index by the way.
    #[must_use]
    pub fn git_command(&self, folder: &Path) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(folder)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.root.path().join("home"))
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            // As in the repository itself, also for one that is made within it.
            .envs([
                ("GIT_CONFIG_COUNT", "1"),
                ("GIT_CONFIG_KEY_0", "maintenance.auto"),
                ("GIT_CONFIG_VALUE_0", "false"),
            ])
            .env("GIT_AUTHOR_NAME", "Test Author")
            .env("GIT_AUTHOR_EMAIL", "author@example.com")
            .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
            .env("GIT_COMMITTER_NAME", "Test Committer")
            .env("GIT_COMMITTER_EMAIL", "committer@example.com")
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z");
        command
    }

    /// Writes a file of the work tree, with the folders above it.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path.join(path);
        let folder = path.parent().expect("a file has a folder");
        fs::create_dir_all(folder).expect("the folder of a file");
        fs::write(&path, text).expect("a file");
    }

    /// Writes a file of the work tree, commits it alone, and gives the id of the commit.
    pub fn commit_file(&self, path: &str, text: impl AsRef<[u8]>) -> String {
        self.write(path, text);
        self.git(&["add", "--", path]);
        self.git(&["commit", "-q", "-m", &format!("Change {path}"), "--", path]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits `count` small files in folders of a hundred, and gives the id of the commit.
    pub fn many_files(&self, count: usize) -> String {
        for number in 0..count {
            self.write(&format!("many/{:03}/file-{number:05}.txt", number / 100), format!("file {number}\n"));
        }
        self.git(&["add", "--", "many"]);
        self.git(&["commit", "-q", "-m", &format!("Add {count} files")]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Everything that belongs to the user of the repository and that gadugi never touches: `HEAD`,
    /// index, configuration, hooks and the rest of the git folder's own files, all references outside gadugi's
    /// namespaces, and every file of the work tree with its kind and permissions.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut entries = BTreeMap::new();
        let git_folder = PathBuf::from(self.git(&["rev-parse", "--absolute-git-dir"]));
        for name in ["HEAD", "ORIG_HEAD", "MERGE_HEAD", "index", "config", "config.worktree", "logs/HEAD"] {
            take(&git_folder.join(name), &format!(".git/{name}"), &mut entries);
        }
        for name in ["hooks", "info"] {
            take(&git_folder.join(name), &format!(".git/{name}"), &mut entries);
        }
        let references = self.git(&["for-each-ref", "--format=%(refname) %(objectname) %(symref)"]);
        for line in references.lines() {
            let (name, target) = line.split_once(' ').expect("for-each-ref prints a name and an id");
            if !name.starts_with("refs/heads/gadugi/") && !name.starts_with("refs/gadugi/") {
                entries.insert(name.to_owned(), target.as_bytes().to_owned());
            }
        }
        for entry in fs::read_dir(&self.path).expect("the work tree") {
            let entry = entry.expect("an entry of the work tree");
            if entry.file_name() != ".git" {
                take(&entry.path(), &entry.file_name().to_string_lossy(), &mut entries);
            }
        }
        Fingerprint(entries)
    }
}

/// The result of [`TestRepo::fingerprint`], to be compared with a later one. Its debug output is a line for each
/// entry, so that a failed comparison shows which differs.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<String, Vec<u8>>);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes) in &self.0 {
            let start = &bytes[..bytes.len().min(60)];
            let sum = bytes.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
            writeln!(f, "{name}: {} bytes, sum {sum:08x}, {:?}", bytes.len(), String::from_utf8_lossy(start))?;
        }
        Ok(())
    }
}

/// Notes what is at `path` and, if it is a folder, everything below it.
fn take(path: &Path, name: &str, entries: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    if metadata.is_dir() {
        entries.insert(format!("{name}/"), Vec::new());
        for entry in fs::read_dir(path).expect("a folder") {
            let entry = entry.expect("an entry of a folder");
            take(&entry.path(), &format!("{name}/{}", entry.file_name().to_string_lossy()), entries);
        }
        return;
    }
    let content = if metadata.is_symlink() {
        fs::read_link(path).expect("a symlink").into_os_string().into_encoded_bytes()
    } else {
        fs::read(path).expect("a file")
    };
    entries.insert(format!("{name} ({})", kind(&metadata)), content);
}

fn kind(metadata: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{:o}", metadata.mode())
}
