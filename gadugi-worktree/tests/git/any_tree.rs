//! Any tree is checked out as git checks it out, whatever the configuration.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use gadugi_core::Lease;
use gadugi_test_support::repo::TestRepo;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::harness::Harness;
use crate::like_git::listing;

/// An entry of a tree.
#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, bool),
    Link(Vec<u8>),
    Module,
    Folder(BTreeMap<Vec<u8>, Node>),
}

/// A tree, and the configuration that it is checked out with.
#[derive(Debug, Clone)]
struct Case {
    tree: BTreeMap<Vec<u8>, Node>,
    config: BTreeMap<&'static str, &'static str>,
    sparse: Option<&'static str>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let odd: Vec<Vec<u8>> = vec![
        "größe".into(),
        "two words".into(),
        "tab\there".into(),
        "line\nbreak".into(),
        "-dash".into(),
        "~".into(),
        "#hash".into(),
        "aux.c".into(),
        "dot.".into(),
        ".hidden".into(),
        ".gitignore".into(),
        "a:b".into(),
        b"\xff\xfe".to_vec(),
        vec![b'n'; 250],
    ];
    prop_oneof![
        // Around the slash, which decides the order of an index.
        4 => proptest::sample::select(vec!["a", "a-b", "a.b", "a0", "A", "ab", "b", "in", "out"]).prop_map(Into::into),
        4 => proptest::sample::select(vec!["a.txt", "b.txt", "c.bin", "d.x", "e.u", "f.sh"]).prop_map(Into::into),
        2 => proptest::sample::select(odd),
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::sample::select(vec![
            "",
            "one\ntwo\n",
            "one\r\ntwo\r\n",
            "mixed\r\nends\n",
            "lone \r return\n",
            "no end",
            "nul \0 and\nlines\r\n",
            "$Id$\n",
            "größe\n",
        ])
        .prop_map(Into::into),
        (1_usize..70_000).prop_map(|length| b"line of text\n".iter().copied().cycle().take(length).collect()),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        8 => (content(), any::<bool>()).prop_map(|(content, executable)| Node::File(content, executable)),
        1 => proptest::sample::select(vec!["a", "../outside", "nowhere at all", "/etc/passwd", "."])
            .prop_map(|target| Node::Link(target.into())),
        1 => Just(Node::Module),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| proptest::collection::btree_map(name(), inner, 1..5).prop_map(Node::Folder))
}

fn attributes() -> impl Strategy<Value = Vec<u8>> {
    let lines = proptest::sample::subsequence(
        vec![
            "* text=auto",
            "*.txt text eol=crlf",
            "* text=auto eol=crlf",
            "*.bin -text",
            "*.sh text eol=lf",
            "# *.txt ident",
            "*.x filter=shout",
            "*.c crlf",
            "*.bin binary",
        ],
        0..5,
    );
    // What only git does, now and then.
    let rare = proptest::option::weighted(
        0.1,
        proptest::sample::select(vec!["*.txt ident", "*.u text working-tree-encoding=UTF-16LE"]),
    );
    (lines, rare).prop_map(|(lines, rare)| lines.into_iter().chain(rare).collect::<Vec<_>>().join("\n").into_bytes())
}

fn case() -> impl Strategy<Value = Case> {
    let tree = proptest::collection::btree_map(name(), node(), 1..8);
    let attributes = (proptest::option::of(attributes()), proptest::option::weighted(0.2, attributes()));
    let config = proptest::sample::subsequence(
        vec![
            ("core.autocrlf", "true"),
            ("core.autocrlf", "input"),
            ("core.eol", "crlf"),
            ("core.eol", "lf"),
            ("core.fileMode", "false"),
            ("core.symlinks", "false"),
            ("core.checkStat", "minimal"),
            ("core.trustctime", "false"),
            ("index.version", "4"),
            ("index.threads", "1"),
            ("filter.shout.smudge", "tr a-z A-Z"),
            ("core.sharedRepository", "group"),
        ],
        0..4,
    );
    let sparse = proptest::option::weighted(
        0.2,
        // The last two are those of a cone.
        proptest::sample::select(vec!["/*\n!/out/\n", "*.txt\n", "/*\n!/*/\n/in/\n", "/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n"]),
    );
    (tree, attributes, config, sparse).prop_map(|(mut tree, (top, inner), config, sparse)| {
        if let Some(text) = top {
            tree.insert(b".gitattributes".to_vec(), Node::File(text, false));
        }
        if let (Some(text), Some(Node::Folder(folder))) =
            (inner, tree.values_mut().find(|node| matches!(node, Node::Folder(_))))
        {
            folder.insert(b".gitattributes".to_vec(), Node::File(text, false));
        }
        Case { tree, config: config.into_iter().collect(), sparse }
    })
}

impl Case {
    /// A repository with the tree as its only commit, and nothing checked out.
    fn repo(&self) -> TestRepo {
        let repo = TestRepo::new();
        let mut stream =
            b"commit refs/heads/main\ncommitter A <a@example.com> 1767323045 +0000\ndata 5\nBegin\n".to_vec();
        let mut lines = Vec::new();
        for (name, node) in &self.tree {
            node.write(name.clone(), &mut lines);
        }
        stream.extend(lines);
        let mut import = repo.git_command(repo.path());
        let import = import.args(["fast-import", "--quiet"]).stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut import = import.expect("git can be started");
        import.stdin.take().expect("a pipe").write_all(&stream).expect("git reads it");
        assert!(import.wait().expect("git ends").success());
        for (key, value) in &self.config {
            repo.git(&["config", key, value]);
        }
        if let Some(patterns) = self.sparse {
            repo.git(&["config", "core.sparseCheckout", "true"]);
            repo.git(&["config", "core.sparseCheckoutCone", if patterns.contains("!/*/") { "true" } else { "false" }]);
            repo.write(".git/info/sparse-checkout", patterns);
        }
        repo
    }
}

impl Node {
    fn write(&self, path: Vec<u8>, stream: &mut Vec<u8>) {
        let (mode, content) = match self {
            Self::File(content, false) => ("100644", content),
            Self::File(content, true) => ("100755", content),
            Self::Link(target) => ("120000", target),
            Self::Module => {
                stream.extend(format!("M 160000 {} ", "1".repeat(40)).into_bytes());
                stream.extend(quoted(&path));
                return;
            }
            Self::Folder(folder) => {
                for (name, node) in folder {
                    node.write([&path, &b"/"[..], name].concat(), stream);
                }
                return;
            }
        };
        stream.extend(format!("M {mode} inline ").into_bytes());
        stream.extend(quoted(&path));
        stream.extend(format!("data {}\n", content.len()).into_bytes());
        stream.extend(content);
        stream.push(b'\n');
    }
}

fn quoted(path: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in path {
        match byte {
            b'\n' => quoted.extend(b"\\n"),
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            _ => quoted.push(*byte),
        }
    }
    quoted.extend(b"\"\n");
    quoted
}

/// Everything that an index notes, by path, without what differs from one file on disk to the next.
fn noted(harness: &Harness, folder: &Path) -> BTreeMap<Vec<u8>, (String, BTreeMap<String, String>)> {
    let output = harness.repo.try_git_in(folder, &["ls-files", "-s", "-t", "-z", "--debug"]);
    assert!(output.status.success());
    let mut noted = BTreeMap::new();
    let mut rest = &output.stdout[..];
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let line = &rest[..end];
        let tab = line.iter().position(|byte| *byte == b'\t').expect("a tab before the path");
        let mut fields = BTreeMap::new();
        rest = &rest[end + 1..];
        // Five lines follow, of one or two fields each.
        for _ in 0..5 {
            let end = rest.iter().position(|byte| *byte == b'\n').expect("a line");
            let text = String::from_utf8_lossy(&rest[..end]).into_owned();
            for field in text.split('\t') {
                let (name, value) = field.trim().split_once(": ").expect("a field");
                fields.insert(name.to_owned(), value.to_owned());
            }
            rest = &rest[end + 1..];
        }
        noted.insert(line[tab + 1..].to_vec(), (String::from_utf8_lossy(&line[..tab]).into_owned(), fields));
    }
    noted
}

/// Checks that the stat data in an index are those on disk.
fn assert_noted_as_on_disk(harness: &Harness, folder: &Path) {
    for (path, (head, fields)) in noted(harness, folder) {
        if head.starts_with('S') {
            assert!(fields.iter().all(|(name, value)| name == "flags" || value == "0" || value == "0:0"), "{fields:?}");
            continue;
        }
        let file = folder.join(PathBuf::from(std::ffi::OsString::from_vec(path)));
        let metadata = file.symlink_metadata().expect("a file");
        let low = |number: u64| (number & 0xffff_ffff).to_string();
        let expected = [
            ("ctime", format!("{}:{}", metadata.ctime(), metadata.ctime_nsec())),
            ("mtime", format!("{}:{}", metadata.mtime(), metadata.mtime_nsec())),
            ("dev", low(metadata.dev())),
            ("ino", low(metadata.ino())),
            ("uid", metadata.uid().to_string()),
            ("gid", metadata.gid().to_string()),
            ("size", low(metadata.size())),
        ];
        if !metadata.is_dir() {
            for (name, value) in expected {
                assert_eq!(fields[name], value, "{name} of {}", file.display());
            }
        }
    }
}

/// The part of an index that does not depend on the files on disk.
fn lasting(harness: &Harness, folder: &Path) -> BTreeMap<Vec<u8>, (String, Vec<String>)> {
    let noted = noted(harness, folder).into_iter();
    let of_folder = |head: &str| head.contains(" 160000 ");
    let lasting = noted.map(|(path, (head, fields))| {
        let names: &[&str] = if of_folder(&head) { &["flags"] } else { &["uid", "gid", "size", "flags"] };
        (path, (head, names.iter().map(|name| fields[*name].clone()).collect()))
    });
    lasting.collect()
}

/// The number of files that the first `git status` there reads.
fn read_by_status(harness: &Harness, folder: &Path) -> u64 {
    let trace = harness.repo.root().join("trace");
    let mut status = harness.repo.git_command(folder);
    status.args(["status", "--porcelain"]).env("GIT_TRACE2_EVENT", &trace);
    let output = status.output().expect("git can be started");
    assert_eq!((output.status.success(), output.stdout.len()), (true, 0));
    // Names stand in it as they are, also those that are no UTF-8.
    let events = fs::read(&trace).expect("a trace");
    let events = String::from_utf8_lossy(&events);
    fs::remove_file(&trace).expect("the trace goes");
    let figure = |key: &str| {
        let line = events.lines().find(|line| line.contains(key)).expect("git tells what it reads");
        let value = line.split("\"value\":\"").nth(1).and_then(|rest| rest.split('"').next());
        value.and_then(|value| value.parse().ok()).expect("a number")
    };
    figure("\"refresh/sum_scan\"")
}

/// The status when every file has to be read.
fn status_of_all(harness: &Harness, folder: &Path) -> String {
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for (path, _) in listing(folder) {
        let path = folder.join(path);
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            File::open(&path).and_then(|file| file.set_modified(past)).expect("another time");
        }
    }
    harness.repo.git_in(folder, &["status", "--porcelain"])
}

async fn assert_like_git(repo: TestRepo) -> (Harness, Lease) {
    let harness = Harness::on(repo);
    let by_git = harness.repo.root().join("by-git");
    harness.repo.git(&["worktree", "add", "-q", "--detach", &by_git.to_string_lossy(), "main"]);
    let made = harness.make(crate::harness::request("a")).await.expect("a worktree");
    let ours = made.lease.path.clone();
    assert_eq!(listing(&ours), listing(&by_git));
    assert_eq!(lasting(&harness, &ours), lasting(&harness, &by_git));
    assert_noted_as_on_disk(&harness, &ours);
    if made.warnings.is_empty() {
        assert_eq!(read_by_status(&harness, &ours), 0);
    }
    assert_eq!(harness.repo.git_in(&ours, &["write-tree"]), harness.repo.git(&["rev-parse", "main^{tree}"]));
    assert_eq!(status_of_all(&harness, &ours), status_of_all(&harness, &by_git));
    (harness, made.lease)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn like_git(case: &Case) -> Result<(), TestCaseError> {
    let (harness, _) = runtime().block_on(assert_like_git(case.repo()));
    let fsck = harness.repo.try_git_in(harness.repo.path(), &["fsck", "--no-dangling"]);
    let complaints = String::from_utf8_lossy(&fsck.stderr).into_owned();
    // The submodules' commits are nowhere, and git does not look for them.
    prop_assert!(fsck.status.success(), "{}", complaints);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_checked_out_like_git(case in case()) {
        like_git(&case)?;
    }
}

mod heavy {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        #[ignore = "heavy: makes 600 worktrees of small trees"]
        fn any_tree_of_many_is_checked_out_like_git(case in case()) {
            like_git(&case)?;
        }
    }
}

#[tokio::test]
async fn this_project_is_checked_out_like_git() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let repo = TestRepo::new();
    let fetched =
        repo.try_git_in(repo.path(), &["fetch", "-q", "--update-head-ok", &project.to_string_lossy(), "HEAD:main"]);
    if !fetched.status.success() {
        // A copy of the files alone, as in an archive of the source.
        repo.git(&["--work-tree", &project.join("gadugi-worktree").to_string_lossy(), "add", "."]);
        repo.git(&["commit", "-q", "-m", "The source"]);
    }
    let (harness, lease) = assert_like_git(repo).await;
    assert!(lease.path.join("Cargo.toml").exists());
    harness.assert_sound();
}
