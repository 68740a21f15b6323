//! A shim dies while its task runs, with and without `gadugi`.

use std::io;

use super::{Round, bring_to_its_end, kill_child, wait_for_started};
use crate::oracle::Harm;
use crate::processes;
use crate::report::Tally;

pub(super) fn round(round: &Round<'_>) -> io::Result<Tally> {
    round.with_mixed_plan(Harm::Tasks, |harness, random, tally| {
        let mut child = harness.start_run()?;
        wait_for_started(harness, &mut child, random.usize(1..4))?;
        let driven = random.bool();
        if !driven {
            tally.kills += usize::from(kill_child(&mut child)?);
        }
        if let Some(&shim) = processes::shims(&harness.folder).first() {
            processes::kill(shim);
            tally.count("shims killed", 1);
            tally.kills += 1;
        }
        if driven {
            child.wait()?;
            return Ok(());
        }
        bring_to_its_end(harness, tally)
    })
}
