//! The benchmarks run from their start to their figures, and leave nothing.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

#[test]
fn all_benchmarks_run_and_leave_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_gadugi-bench"));
    let output = bench.args(["--small", "--rounds", "1"]).env("TMPDIR", folder.path()).output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    for name in
        ["speedup", "overhead", "thousand", "journal", "clean", "chain", "forecast", "containers", "merge", "worktrees"]
    {
        assert!(out.contains(&format!("## {name}")), "{out}");
    }
    assert!(!out.contains("NaN"), "every figure was measured:\n{out}");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}
