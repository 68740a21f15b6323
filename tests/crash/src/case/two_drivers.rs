//! Two processes want to resume one run at the same moment: one does, the other is refused.

use std::io;
use std::process::Child;

use super::{Round, bring_to_its_end, kill_child, wait_for_started};
use crate::harness::Answer;
use crate::oracle::Harm;
use crate::report::Tally;

pub(super) fn round(round: &Round<'_>) -> io::Result<Tally> {
    round.with_mixed_plan(Harm::None, |harness, random, tally| {
        let mut child = harness.start_run()?;
        wait_for_started(harness, &mut child, random.usize(1..5))?;
        if !kill_child(&mut child)? {
            return Ok(());
        }
        tally.kills += 1;
        let both = [harness.start_with_errors(&["resume"])?, harness.start_with_errors(&["resume"])?];
        let answers = both.into_iter().map(Child::wait_with_output).collect::<io::Result<Vec<_>>>()?;
        let answers: Vec<Answer> = answers.into_iter().map(Answer::from).collect();
        let with = |code: i32| answers.iter().filter(|answer| answer.code == Some(code)).count();
        match (with(1), with(4)) {
            (1, 1) => tally.count("refused", 1),
            // The second one came when the run was over.
            (2, 0) => tally.count("one after the other", 1),
            _ => {
                tally.broken.push(format!("{}: two drivers: {answers:?}", round.name));
                bring_to_its_end(harness, tally)?;
            }
        }
        Ok(())
    })
}
