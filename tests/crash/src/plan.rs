//! The tasks of a round, and how each must end.

use std::collections::BTreeMap;
use std::io;

use crate::harness::Harness;

/// The end of each task, as in the report, when nothing but Gadugi itself is killed.
pub(crate) type Expected = BTreeMap<&'static str, &'static str>;

/// The last lines of a script that commits its work and notes the commit.
const COMMITS: &str = "git add -A\ngit commit -q -m work\ngit rev-parse HEAD >> $ARENA/commits";

/// A task that notes its beginning, does something, notes its end, and ends with this code. `$ARENA` is the folder for notes.
fn task(harness: &Harness<'_>, front: &str, name: &str, work: &str, code: u32) -> io::Result<()> {
    let folder = harness.folder.display();
    let begin = format!("ARENA={folder}\necho $GADUGI_TASK $GADUGI_ATTEMPT >> $ARENA/begun");
    let end = format!("echo $GADUGI_TASK $GADUGI_ATTEMPT {code} >> $ARENA/ended\nexit {code}");
    harness.task(name, front, &format!("{begin}\n{work}\n{end}"))
}

/// Something of everything: needs, a failure that skips another task, a check, a retry, work that is left
/// uncommitted, a daemon that leaves its session.
pub(crate) fn mixed(harness: &Harness<'_>, random: &mut fastrand::Rng) -> io::Result<Expected> {
    let mut pause = || format!("0.{:03}", random.u32(0..250));
    let write = |front: &str, name: &str, work: &str, code: u32| task(harness, front, name, work, code);
    let (first, second) = (pause(), pause());
    write("", "plain", &format!("sleep {first}\necho plain > plain.txt\n{COMMITS}\nsleep {second}"), 0)?;
    write("needs: [plain]\n", "needing", &format!("test -f plain.txt\nsleep {}", pause()), 0)?;
    write("", "failing", &format!("sleep {}\necho f > failing.txt\n{COMMITS}", pause()), 7)?;
    write("needs: [failing]\n", "skipped", "", 0)?;
    write("check: test -f checked.txt && sleep 0.1\n", "checked", &format!("sleep {}\ntouch checked.txt", pause()), 0)?;
    let retried =
        format!("sleep {}\ntest $GADUGI_ATTEMPT = 2 || {{ echo $GADUGI_TASK 1 3 >> $ARENA/ended; exit 3; }}", pause());
    write("retries: 1\nretry_delay: 100ms\n", "retried", &retried, 0)?;
    let daemon = format!("{} mute daemon 60000 $ARENA/daemons\nsleep {}", harness.faketask(), pause());
    write("", "leaving", &daemon, 0)?;
    Ok(BTreeMap::from([
        ("plain", "succeeded"),
        ("needing", "succeeded"),
        ("failing", "failed"),
        ("skipped", "skipped"),
        ("checked", "succeeded"),
        ("retried", "succeeded"),
        ("leaving", "succeeded"),
    ]))
}

/// The file of the task of [`mergeable`] that breaks the check.
pub(crate) const RED: &str = "red.txt";

/// Tasks whose work merges, one of which needs another, and one that breaks the check.
pub(crate) fn mergeable(harness: &Harness<'_>) -> io::Result<()> {
    for (name, front) in [("one", ""), ("two", "needs: [one]\n"), ("three", ""), ("red", "")] {
        task(harness, front, name, &format!("echo {name} > {name}.txt\n{COMMITS}"), 0)?;
    }
    Ok(())
}

/// The file that a task of [`many`] leaves uncommitted in the end, and its name among the tasks.
pub(crate) const LEFT: (&str, &str) = ("left.txt", "leaves-");

/// Many tasks for a repository with many files: they commit once and again, move what is there, leave files uncommitted, fail
/// with work of both kinds, and need each other.
pub(crate) fn many(harness: &Harness<'_>, random: &mut fastrand::Rng) -> io::Result<Expected> {
    let mut pause = || format!("sleep 0.{:03}", random.u32(0..400));
    let write = |front: &str, name: &str, work: &str, code: u32| task(harness, front, name, work, code);
    let (left, _) = LEFT;
    for name in ["commits-1", "commits-2", "commits-3"] {
        let once = |nth: u32| format!("echo {nth} >> {name}.txt\necho {name} >> README.md\n{COMMITS}");
        // Two of them change the same line; nobody needs both.
        write("", name, &format!("{}\n{}\n{}\n{}", pause(), once(1), pause(), once(2)), 0)?;
    }
    let moves = format!("mkdir moved\ngit mv docs moved/docs\n{}\nrm -r tests\n{COMMITS}", pause());
    write("", "moves", &moves, 0)?;
    for name in ["leaves-1", "leaves-2"] {
        write("", name, &format!("{}\necho x > one.txt\n{COMMITS}\necho {name} > {left}", pause()), 0)?;
    }
    for name in ["fails-1", "fails-2"] {
        write("", name, &format!("echo x > {name}.txt\n{COMMITS}\n{}\necho y > {left}", pause()), 7)?;
    }
    write("needs: [commits-1]\n", "needs-1", &format!("test -f commits-1.txt\n{}\ntouch new\n{COMMITS}", pause()), 0)?;
    let merged = format!("test -f commits-2.txt && test -f {left} && test -d moved/docs\n{}", pause());
    write("needs: [needs-2, moves]\n", "needs-3", &merged, 0)?;
    write("needs: [commits-2, leaves-1]\n", "needs-2", &format!("{}\ntouch newer\n{COMMITS}", pause()), 0)?;
    write("needs: [fails-1]\n", "skipped", "", 0)?;
    Ok(BTreeMap::from([
        ("commits-1", "succeeded"),
        ("commits-2", "succeeded"),
        ("commits-3", "succeeded"),
        ("moves", "succeeded"),
        ("leaves-1", "succeeded"),
        ("leaves-2", "succeeded"),
        ("fails-1", "failed"),
        ("fails-2", "failed"),
        ("needs-1", "succeeded"),
        ("needs-2", "succeeded"),
        ("needs-3", "succeeded"),
        ("skipped", "skipped"),
    ]))
}
