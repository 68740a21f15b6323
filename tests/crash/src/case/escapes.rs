//! Ten tasks leave processes behind in every way there is; some ask for it to be stopped, and `gadugi` dies in
//! every other round.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::{Round, bring_to_its_end, kill_child, wait_at_random, wait_for_started};
use crate::harness::Harness;
use crate::oracle::Harm;
use crate::plan::Expected;
use crate::report::Tally;

/// The action of each task beside its own work. `$F` is the program for bad tasks, `$ARENA` its folder.
const WAYS: [(&str, &str); 10] = [
    ("daemon", "$F mute daemon 60000 $ARENA/daemons"),
    ("daemon-holding-output", "$F daemon 60000 $ARENA/daemons"),
    ("daemon-without-env", "$F bare mute daemon 60000 $ARENA/daemons"),
    ("hopper", "$F hop 60000 &\nsleep 0.05"),
    ("hopper-without-env", "env -i setsid $F hop 60000 &\nsleep 0.05"),
    ("storm", "$F storm 150 &\nsleep 0.05"),
    ("deaf", "(trap '' TERM; setsid sleep 60) > /dev/null 2>&1 &"),
    ("background", "sleep 60 &"),
    ("two-forks", "( ( setsid sleep 60 & ) & )"),
    ("stopped", "$F stop-self &\nsleep 0.02"),
];

pub(super) fn round(round: &Round<'_>) -> io::Result<Tally> {
    let plan = |harness: &Harness<'_>, random: &mut fastrand::Rng| -> io::Result<Expected> {
        let mut expected = BTreeMap::new();
        for (name, way) in WAYS {
            let (folder, faketask) = (harness.folder.display(), harness.faketask());
            let pause = random.u32(0..300);
            let script = format!(
                "ARENA={folder}\nF={faketask}\necho $GADUGI_TASK $GADUGI_ATTEMPT >> $ARENA/begun\n{way}\nsleep 0.{pause:03}\n\
                 echo $GADUGI_TASK $GADUGI_ATTEMPT 0 >> $ARENA/ended"
            );
            harness.task(name, "", &script)?;
            expected.insert(name, "succeeded");
        }
        Ok(expected)
    };
    let mut random = round.random();
    round.with_plan(Harm::None, plan, &mut random, |harness, random, tally| {
        tally.count("escaping tasks", WAYS.len());
        let mut child = harness.start(&["run", "-j5", "../tasks"])?;
        if random.bool() {
            wait_for_started(harness, &mut child, 1)?;
            wait_at_random(random, Duration::from_secs(2));
            if kill_child(&mut child)? {
                tally.kills += 1;
                let mut answer = Tally::default();
                bring_to_its_end(harness, &mut answer)?;
                // All of these succeed, so the code is 0 and not the 1 of the mixed plan.
                tally.broken.extend(answer.broken.into_iter().filter(|said| !said.contains("Some(0)")));
                return Ok(());
            }
        }
        child.wait()?;
        Ok(())
    })
}
