//! A loss of power at any moment of a run, and after it: what was told as succeeded is on its branch.

use std::time::Duration;

use gadugi_test_support::power_cut::{Cut, PowerCutDisk};
use gadugi_test_support::repo::TestRepo;

use crate::harness::{Going, Harness};

/// The number of tasks. Every third commits by itself, every third leaves its files, and every third does both.
const TASKS: usize = 12;

/// The text of a file of a task.
fn text(task: usize, file: usize) -> String {
    format!("task {task}, file {file}\n").repeat(50 + 30 * file)
}

/// The name of a file of a task: some in folders, one in the place of a file of the base.
fn name(file: usize) -> String {
    match file {
        0 => "README.md".to_owned(),
        file => format!("deep/{}/file-{file}.txt", file % 2),
    }
}

/// The tasks of the run.
fn write_tasks(harness: &Harness) -> Vec<String> {
    let contents = harness.repo.root().join("contents");
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let mut script = String::from("mkdir -p deep/0 deep/1\n");
        for file in 0..4 {
            let content = contents.join(format!("{task}-{file}"));
            std::fs::create_dir_all(&contents).expect("a folder");
            std::fs::write(&content, text(task, file)).expect("a file");
            script += &format!("cp {} {}\n", content.display(), name(file));
            if (task % 3 == 0 && file == 3) || (task % 3 == 1 && file == 1) {
                script += "git add . && git -c user.name=T -c user.email=t@example.com commit -qm Work\n";
            }
        }
        script += &format!("sleep 0.{}\n", task % 4);
        tasks.push(harness.script(&format!("t{task}"), &script));
    }
    let merged = "---\nneeds: [t0, t1]\nrun: 'echo merged > merged'\n---\n";
    // Both write the same files.
    tasks.push(harness.task("after.md", merged.replace("[t0, t1]", "[t2]")));
    tasks
}

/// Runs, and cuts the power at each of these moments; the last ones are counted from the end of the run.
fn run_and_cut(disk: &mut PowerCutDisk, harness: &Harness, during: &[u64], after: &[u64]) -> Vec<Cut> {
    let tasks = write_tasks(harness);
    // The files of the test are there, as those of a user who has begun some time ago.
    rustix::fs::sync();
    let args: Vec<&str> = ["run", "-j4"].into_iter().chain(tasks.iter().map(String::as_str)).collect();
    let run = Going::start(harness.command(&args));
    let mut cuts = Vec::new();
    for pause in during {
        std::thread::sleep(Duration::from_millis(*pause));
        // What the device is given never pauses for long while somebody works.
        run.signal(rustix::process::Signal::STOP);
        cuts.push(disk.cut());
        run.signal(rustix::process::Signal::CONT);
    }
    run.end().expect(0);
    for pause in after {
        std::thread::sleep(Duration::from_millis(*pause));
        cuts.push(disk.cut());
    }
    cuts
}

/// The tasks that are told as succeeded.
fn succeeded(harness: &Harness) -> Vec<String> {
    let outcomes = harness.known_outcomes().unwrap_or_default().into_iter();
    outcomes.filter(|(_, outcome)| outcome == "succeeded").map(|(id, _)| id).collect()
}

/// All that these tasks have made is on their branches.
#[track_caller]
fn assert_whole(harness: &Harness, tasks: &[String]) {
    for id in tasks {
        let branch = format!("gadugi/{id}");
        let objects = harness.repo.try_git_in(harness.repo.path(), &["rev-list", "--objects", &branch]);
        assert!(objects.status.success(), "{id}: {}", String::from_utf8_lossy(&objects.stderr));
        let number = id.strip_prefix('t').and_then(|number| number.parse::<usize>().ok());
        let Some(task) = number else { continue };
        for file in 0..4 {
            let shown = harness.repo.try_git_in(harness.repo.path(), &["show", &format!("{branch}:{}", name(file))]);
            let is_whole = shown.status.success() && shown.stdout == text(task, file).into_bytes();
            assert!(is_whole, "{id} {}: {}", name(file), String::from_utf8_lossy(&shown.stderr));
        }
    }
}

fn cut_power(during: &[u64], after: &[u64]) {
    let Some(mut disk) = PowerCutDisk::new(192) else { return };
    let harness = Harness::of(TestRepo::on(disk.path()));
    harness.repo.commit_file("README.md", "# A project\n");
    harness.repo.many_files(60);
    let cuts = run_and_cut(&mut disk, &harness, during, after);
    for (number, cut) in cuts.iter().enumerate() {
        disk.restart(cut);
        let before = succeeded(&harness);
        assert_whole(&harness, &before);
        if number >= during.len() {
            assert_eq!(before.len(), TASKS + 1, "after the end all are there: {before:?}");
            harness.assert_sound();
        } else if harness.known_outcomes().is_some() {
            let resumed = harness.gadugi(&["resume"]);
            assert!(matches!(resumed.code, Some(0 | 1)), "{:?} {}", resumed.code, resumed.err);
            // What was under way may be lost, with what its git had not synced. What was not begun is begun, whatever the
            // others have left.
            assert!(!resumed.err.contains("cannot make the worktree"), "{}", resumed.err);
            assert_whole(&harness, &before);
        }
    }
}

#[test]
fn what_has_succeeded_survives_a_loss_of_power_right_after_the_run() {
    cut_power(&[400], &[0]);
}

mod heavy {
    #[test]
    #[ignore = "heavy: cuts the power thirty times"]
    fn what_has_succeeded_survives_a_loss_of_power_at_any_moment() {
        for round in 0..5 {
            super::cut_power(&[100 + 37 * round, 150, 200, 250], &[0, 1000 * (round % 3)]);
        }
    }
}
