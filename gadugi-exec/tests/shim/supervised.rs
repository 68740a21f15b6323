//! An executor whose commands have shims, and what these leave.

use std::fs;
use std::path::Path;

use gadugi_core::Executor;
use gadugi_core::executor::{ExecRequest, Reattached, RunningTask};
use gadugi_exec::{ShimProgram, SubprocessSettings};
pub(crate) use gadugi_test_support::commands::command;

use crate::harness::{Harness, settings};

pub(crate) fn shimmed() -> SubprocessSettings {
    SubprocessSettings { shim: Some(ShimProgram::at(env!("CARGO_BIN_EXE_gadugi-shim"))), ..settings() }
}

pub(crate) fn harness() -> Harness {
    Harness::with(shimmed())
}

/// Looks for the command of a request of which no identity was recorded.
pub(crate) async fn find(harness: &Harness, request: &ExecRequest) -> Reattached {
    harness.executor.reattach(&command(request, None)).await.expect("it can be looked for")
}

pub(crate) async fn found(harness: &Harness, request: &ExecRequest) -> Box<dyn RunningTask> {
    match find(harness, request).await {
        Reattached::Found(task) => task,
        other => panic!("it is found, and not: {other:?}"),
    }
}

pub(crate) async fn why_gone(harness: &Harness, request: &ExecRequest) -> String {
    match find(harness, request).await {
        Reattached::Gone { why } => why,
        other => panic!("it is gone, and not: {other:?}"),
    }
}

/// The pids of the leader and of the shim, as the token names them.
pub(crate) fn pids(task: &dyn RunningTask) -> (String, String) {
    let token = &task.identity().token;
    let word = |n| token.split(' ').nth(n).expect("a token of the second version");
    let shim = word(3).strip_prefix("shim=").and_then(|shim| shim.split(':').next()).expect("the shim");
    (word(1).to_owned(), shim.to_owned())
}

/// A record without its checksum, changed, and with the checksum that it then has.
pub(crate) fn forge(path: &Path, change: impl Fn(&str) -> String) {
    let line = fs::read_to_string(path).expect("a record");
    let (head, rest) = line.trim_end().split_once("\"crc\":\"").expect("a checksum");
    let (_, rest) = rest.split_once("\",").expect("the end of the checksum");
    let changed = change(&format!("{head}{rest}"));
    let (head, rest) = changed.split_at(changed.find(',').expect("the version comes first") + 1);
    let crc = crc32c::crc32c(format!("{head}{rest}").as_bytes());
    fs::remove_file(path).expect("it is there");
    fs::write(path, format!("{head}\"crc\":\"{crc:08x}\",{rest}\n")).expect("the folder can be written");
}

/// The names of the files in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
