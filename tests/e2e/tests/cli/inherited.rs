//! Open files and limits that gadugi inherits from its caller.

use std::fs;
use std::process::{Command, Stdio};

use crate::harness::{Answer, Harness};
use crate::waiting::{gated, gone, open, pid};

/// Calls gadugi by a shell that sets something up before.
fn called_by_a_shell(harness: &Harness, before: &str, args: &[&str]) -> Command {
    let gadugi = harness.command(args);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{before}\nexec \"$@\"")).arg("sh").arg(gadugi.get_program()).args(gadugi.get_args());
    shell.current_dir(harness.repo.path()).stdin(Stdio::null()).env_clear();
    shell.envs(gadugi.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[test]
fn a_run_in_the_background_holds_neither_a_lock_nor_a_pipe_of_its_caller() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    let lock = harness.repo.root().join("lock");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let before = format!("exec 9>>'{}' 8>&0 </dev/null", lock.display());
    let mut run = called_by_a_shell(&harness, &before, &["run", "--detach", &file]);
    let answer: Answer = run.stdin(writer).stderr(Stdio::piped()).output().expect("it starts").into();
    drop(run);
    answer.expect(0);
    let command = pid(&harness, "a");
    // The pipe has an end as soon as nobody else holds it.
    let mut nothing = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut nothing).expect("it can be read");
    let holders = holders(&lock);
    open(&harness, "a");
    gone(&command);
    harness.gadugi(&["attach"]).expect(0);
    assert_eq!(holders, Vec::<String>::new());
}

/// The names of the processes that have a file open.
fn holders(file: &std::path::Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("procfs").flatten();
    let holds = |process: &fs::DirEntry| {
        let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        files.into_iter().any(|open| fs::read_link(open.path()).is_ok_and(|open| open == file))
    };
    let name = |process: fs::DirEntry| fs::read_to_string(process.path().join("comm")).unwrap_or_default();
    processes.filter(holds).map(name).collect()
}

#[test]
fn nothing_that_outlives_a_run_holds_a_file_of_its_caller() {
    let harness = Harness::new();
    let lock = harness.repo.root().join("lock");
    // The task says what it and its supervisor hold; what deletes worktrees afterwards is looked at from here.
    let look = "for p in $$ $PPID; do ls -l /proc/$p/fd; done > seen.txt; i=0; while [ $i -lt 300 ]; do : > f$i; i=$((i+1)); done; \
                printf 'f*\\n' > .gitignore";
    let file = harness.script("a", look);
    let before = format!("exec 9>>'{}'", lock.display());
    let run: Answer = called_by_a_shell(&harness, &before, &["run", &file]).output().expect("it starts").into();
    let holders = holders(&lock);
    run.expect(0);
    assert_eq!(holders, Vec::<String>::new());
    let seen = harness.repo.git(&["show", "gadugi/a:seen.txt"]);
    assert!(!seen.contains("lock"), "{seen}");
}

#[test]
fn a_run_in_the_background_reads_a_file_that_its_caller_has_opened_and_has_the_name_of_the_program() {
    let harness = Harness::new();
    let file = gated(&harness, "a", "true");
    let before = format!("exec 9<'{file}'");
    let run = called_by_a_shell(&harness, &before, &["run", "--detach", "/dev/fd/9"]).output().expect("it starts");
    Answer::from(run).expect(0);
    let command = pid(&harness, "a");
    let owner = fs::read_to_string(harness.latest_run().join("owner.json")).expect("it is driven");
    let driver = owner.split_once("\"pid\":").and_then(|(_, rest)| rest.trim_start().split([',', '\n']).next());
    let driver = driver.expect("a process").to_owned();
    let comm = fs::read_to_string(format!("/proc/{driver}/comm")).expect("it runs");
    let args = fs::read(format!("/proc/{driver}/cmdline")).expect("it runs");
    open(&harness, "a");
    gone(&command);
    harness.gadugi(&["attach"]).expect(0);
    let program = harness.command(&[]).get_program().to_owned();
    let name = std::path::Path::new(&program).file_name().expect("a name").to_string_lossy().into_owned();
    // The kernel keeps fifteen bytes of it.
    assert_eq!(comm.trim_end(), &name[..name.len().min(15)]);
    assert!(args.starts_with(program.as_encoded_bytes()), "{}", String::from_utf8_lossy(&args));
}

#[test]
fn a_limit_of_the_size_of_files_is_told_and_is_no_end_without_a_word() {
    let harness = Harness::new();
    let file = harness.script("a", "head -c 100000 /dev/zero > big.bin; echo $? > code.txt");
    let mut run = called_by_a_shell(&harness, "ulimit -f 8", &["run", &file]);
    let run: Answer = run.output().expect("it starts").into();
    assert!(run.code.is_some_and(|code| code != 0), "{}", run.err);
    let said =
        run.err.contains("File too large") || run.err.contains("ulimit -f") || run.out.contains("File too large");
    assert!(said, "{}{}", run.out, run.err);
    harness.gadugi(&["ps"]).expect(0);
}
