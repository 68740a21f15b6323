//! The tasks of a round, and how each must end.

use std::collections::BTreeMap;
use std::io;

use crate::arena::Arena;

/// How a task must end when nothing but Gadugi itself is killed: as in the report.
pub(crate) type Expected = BTreeMap<&'static str, &'static str>;

/// Something of everything: needs, a failure that skips another task, a check, a retry, work that is left
/// uncommitted, a daemon that leaves its session.
pub(crate) fn mixed(arena: &Arena<'_>, random: &mut fastrand::Rng) -> io::Result<Expected> {
    let mut pause = || format!("0.{:03}", random.u32(0..250));
    let commits = "git add -A\ngit commit -q -m work\ngit rev-parse HEAD >> $ARENA/commits";
    let write = |front: &str, name: &str, work: &str, code: u32| {
        let folder = arena.folder.display();
        let begin = format!("ARENA={folder}\necho $GADUGI_TASK $GADUGI_ATTEMPT >> $ARENA/begun");
        let end = format!("echo $GADUGI_TASK $GADUGI_ATTEMPT {code} >> $ARENA/ended\nexit {code}");
        arena.task(name, front, &format!("{begin}\n{work}\n{end}"))
    };
    let (first, second) = (pause(), pause());
    write("", "plain", &format!("sleep {first}\necho plain > plain.txt\n{commits}\nsleep {second}"), 0)?;
    write("needs: [plain]\n", "needing", &format!("test -f plain.txt\nsleep {}", pause()), 0)?;
    write("", "failing", &format!("sleep {}\necho f > failing.txt\n{commits}", pause()), 7)?;
    write("needs: [failing]\n", "skipped", "", 0)?;
    write("check: test -f checked.txt && sleep 0.1\n", "checked", &format!("sleep {}\ntouch checked.txt", pause()), 0)?;
    let retried =
        format!("sleep {}\ntest $GADUGI_ATTEMPT = 2 || {{ echo $GADUGI_TASK 1 3 >> $ARENA/ended; exit 3; }}", pause());
    write("retries: 1\nretry_delay: 100ms\n", "retried", &retried, 0)?;
    let daemon = format!("{} mute daemon 60000 $ARENA/daemons\nsleep {}", arena.faketask(), pause());
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
