//! The first process of a task dies; what it has started dies with it, and the task has failed by signal 9.

use std::io;

use super::{Round, wait_for_started};
use crate::oracle::Harm;
use crate::processes;
use crate::report::Tally;

pub(super) fn round(round: &Round<'_>) -> io::Result<Tally> {
    round.with_mixed_plan(Harm::Tasks, |harness, random, tally| {
        let mut child = harness.start_run()?;
        wait_for_started(harness, &mut child, random.usize(1..3))?;
        let shims = processes::shims(&harness.folder);
        let leader = shims.first().and_then(|&shim| processes::children(shim).first().copied());
        if let Some(leader) = leader {
            processes::kill(leader);
            tally.count("leaders killed", 1);
            tally.kills += 1;
        }
        child.wait()?;
        let report = harness.report()?;
        let is_lost = |task: &&serde_json::Value| task["outcome"]["kind"] == "lost";
        let lost = report["tasks"].as_array().into_iter().flatten().filter(is_lost).count();
        if lost > 0 {
            tally.broken.push(format!("{}: a task whose leader was killed is lost", round.name));
        }
        Ok(())
    })
}
