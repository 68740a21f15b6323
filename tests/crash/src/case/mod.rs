//! The cases, one file each. A case is a number of rounds, each in a harness of its own.

mod crash_points;
mod escapes;
mod flips;
mod leaders;
mod merges;
mod random;
mod real_repository;
mod shims;
mod two_drivers;

use std::io;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::args::Length;
use crate::harness::{Answer, Harness, Installation};
use crate::oracle::{Harm, Mine, Oracle};
use crate::plan::{Expected, mixed};
use crate::report::Tally;

/// A case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) rounds: fn(Length) -> usize,
    pub(crate) round: fn(&Round<'_>) -> io::Result<Tally>,
}

/// One round of a case.
pub(crate) struct Round<'a> {
    pub(crate) installation: &'a Installation,
    /// The name of its harness.
    pub(crate) name: String,
    pub(crate) number: usize,
    pub(crate) seed: u64,
    pub(crate) keep: bool,
}

/// All cases.
pub(crate) const CASES: [Case; 10] = [
    Case { name: "crash-points", rounds: crash_points::rounds, round: crash_points::round },
    Case { name: "orchestrator-at-random", rounds: |length| length.of(8, 240), round: random::round },
    Case { name: "real-repository", rounds: |length| length.of(2, 100), round: real_repository::round },
    Case { name: "shim", rounds: |length| length.of(3, 100), round: shims::round },
    Case { name: "task", rounds: |length| length.of(3, 105), round: leaders::round },
    Case { name: "escapes", rounds: |length| length.of(2, 20), round: escapes::round },
    Case { name: "two-orchestrators", rounds: |length| length.of(4, 200), round: two_drivers::round },
    Case { name: "merge-points", rounds: merges::rounds_at_points, round: merges::round_at_points },
    Case { name: "merge-at-random", rounds: |length| length.of(4, 200), round: merges::round_at_random },
    Case { name: "bit-flips", rounds: |length| length.of(2, 20), round: flips::round },
];

impl Round<'_> {
    pub(crate) fn random(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(1_000_003).wrapping_add(self.number as u64))
    }

    /// A repository with the mixed plan, does something with it, and asks the oracle.
    pub(crate) fn with_mixed_plan(
        &self,
        harm: Harm,
        act: impl FnOnce(&Harness<'_>, &mut fastrand::Rng, &mut Tally) -> io::Result<()>,
    ) -> io::Result<Tally> {
        let mut random = self.random();
        self.with_plan(harm, mixed, &mut random, act)
    }

    pub(crate) fn with_plan(
        &self,
        harm: Harm,
        plan: impl FnOnce(&Harness<'_>, &mut fastrand::Rng) -> io::Result<Expected>,
        random: &mut fastrand::Rng,
        act: impl FnOnce(&Harness<'_>, &mut fastrand::Rng, &mut Tally) -> io::Result<()>,
    ) -> io::Result<Tally> {
        let harness = Harness::new(self.installation, &self.name)?;
        let expected = plan(&harness, random)?;
        let mine = Mine::of(&harness)?;
        let mut tally = Tally { rounds: 1, ..Tally::default() };
        act(&harness, random, &mut tally)?;
        let broken = Oracle { harness: &harness, mine: &mine, expected: &expected, harm }.broken()?;
        tally.broken.extend(broken.into_iter().map(|sentence| format!("{}: {sentence}", self.name)));
        if tally.broken.is_empty() || !self.keep {
            harness.remove()?;
        }
        Ok(tally)
    }
}

/// Kills `gadugi` itself; says whether it was still there.
fn kill_child(child: &mut Child) -> io::Result<bool> {
    if child.try_wait()?.is_some() {
        return Ok(false);
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.ok_or(io::ErrorKind::InvalidInput)?, Signal::KILL)?;
    Ok(std::os::unix::process::ExitStatusExt::signal(&child.wait()?) == Some(9))
}

/// Resumes the latest run until it is over; where it had not begun yet, runs it.
fn bring_to_its_end(harness: &Harness<'_>, tally: &mut Tally) -> io::Result<()> {
    let answer = harness.gadugi(&["resume"])?;
    let answer = if answer.code == Some(2) && harness.lines("begun")?.is_empty() {
        tally.count("run anew", 1);
        harness.gadugi(&["run", "../tasks"])?
    } else {
        answer
    };
    expect_end(&answer, tally);
    Ok(())
}

/// The mixed plan has tasks that fail, so its code is 1.
fn expect_end(answer: &Answer, tally: &mut Tally) {
    if answer.code != Some(1) {
        let Answer { code, out: _, err } = answer;
        tally.broken.push(format!("gadugi ended with {code:?}: {err}"));
    }
}

/// Waits until so many tasks have begun; gives up when `gadugi` ends before.
fn wait_for_started(harness: &Harness<'_>, child: &mut Child, tasks: usize) -> io::Result<bool> {
    loop {
        if harness.lines("begun")?.len() >= tasks {
            return Ok(true);
        }
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        sleep(Duration::from_millis(2));
    }
}

/// Waits a random while.
fn wait_at_random(random: &mut fastrand::Rng, most: Duration) {
    sleep(most.mul_f64(random.f64()));
}
