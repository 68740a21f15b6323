//! `gadugi` dies at any time, up to three times in one run, and is resumed at last.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use super::{Round, bring_to_its_end, kill_child, wait_at_random};
use crate::oracle::Harm;
use crate::report::Tally;

/// Most runs of the mixed plan take longer.
const RUN: Duration = Duration::from_millis(700);

pub(super) fn round(round: &Round<'_>) -> io::Result<Tally> {
    round.with_mixed_plan(Harm::None, |harness, random, tally| {
        let mut child = harness.start_run()?;
        wait_at_random(random, RUN);
        let mut killed = kill_child(&mut child)?;
        tally.kills += usize::from(killed);
        for _ in 0..random.usize(0..3) {
            if !killed {
                break;
            }
            if random.bool() {
                // Tasks end while nobody sees it.
                sleep(Duration::from_millis(random.u64(0..800)));
            }
            let mut child = harness.start(&["resume"])?;
            wait_at_random(random, RUN);
            killed = kill_child(&mut child)?;
            tally.kills += usize::from(killed);
        }
        // One that was killed before there was a run has left nothing to resume.
        let over = !killed && harness.report().is_ok_and(|report| report["ended"] == true);
        if over { Ok(()) } else { bring_to_its_end(harness, tally) }
    })
}
