//! The decisions of a merge: which tasks are tried together, which trial comes next, and what lands.
//!
//! [`Train::next`] is a function of what the trials have shown. So a merge that was cut short goes on from the results that
//! were kept, and [`Train::trials`] finds what to try at the same time by asking what would come next after each result.

use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::merge::selection::{Members, Selection};

/// Trials without anything landing after which a merge gives up: by then something else than the tasks is probably broken.
pub const MAX_TRIALS: usize = 20;

/// Trials that are less likely to be needed than this, in millionths, are not made ahead.
const MIN_CHANCE: u64 = 40_000;

/// The result of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrialResult {
    /// The check has succeeded.
    Green,
    /// The check has failed.
    Red,
    /// The check could not be asked: its command is not there, or could not be started.
    Environment,
}

/// What is known of tasks on top of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// They do not merge as text.
    Conflict,
    /// The check has succeeded each time.
    Green,
    /// The check has failed each time, so often.
    Red(u32),
    /// The check has failed and succeeded on the same files.
    Flaky,
    /// The check could not be asked.
    Environment,
}

impl Evidence {
    /// The evidence after one more result.
    #[must_use]
    pub fn with(earlier: Option<Self>, result: TrialResult) -> Self {
        match (earlier, result) {
            (Some(Self::Conflict), _) => Self::Conflict,
            (_, TrialResult::Environment) => Self::Environment,
            (Some(Self::Red(_) | Self::Flaky), TrialResult::Green)
            | (Some(Self::Green | Self::Flaky), TrialResult::Red) => Self::Flaky,
            (Some(Self::Red(times)), TrialResult::Red) => Self::Red(times + 1),
            (_, TrialResult::Green) => Self::Green,
            (_, TrialResult::Red) => Self::Red(1),
        }
    }

    /// Whether the check has succeeded on these files.
    fn is_green(self) -> bool {
        matches!(self, Self::Green | Self::Flaky)
    }
}

/// A reason why tasks cannot land together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// They do not merge as text.
    Conflict,
    /// They merge, and the check fails.
    Red,
}

/// Tasks that cannot land together. A single one cannot land at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// The tasks. Without any one of them the others may land.
    pub members: Members,
    /// The reason.
    pub cause: Cause,
}

/// The next step of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Try these tasks together; none is the target alone.
    Try(Members),
    /// Land these tasks.
    Land(Members),
    /// Nothing can land: each task is left out by an exclusion.
    Nothing,
    /// The check fails on the target alone, so that it says nothing about the tasks.
    BaselineRed,
    /// The check could not be asked.
    Environment,
}

/// The decisions of a merge, from what is known.
#[derive(Debug, Clone)]
pub struct Train {
    selection: Selection,
    has_check: bool,
    conflicts: Vec<Members>,
    known: HashMap<Members, Evidence>,
}

impl Train {
    /// A merge of which nothing is known yet.
    #[must_use]
    pub fn new(selection: Selection, has_check: bool) -> Self {
        Self { selection, has_check, conflicts: Vec::new(), known: HashMap::new() }
    }

    /// The tasks.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Adds tasks that do not merge with each other, or, if it is one, not with the target.
    pub fn add_conflict(&mut self, members: Members) {
        if !self.conflicts.contains(&members) {
            self.conflicts.push(members);
        }
    }

    /// Sets what is known of tasks on top of the target.
    pub fn learn(&mut self, members: Members, evidence: Evidence) {
        self.known.insert(members, evidence);
    }

    /// What is known of tasks on top of the target.
    #[must_use]
    pub fn evidence(&self, members: &Members) -> Option<Evidence> {
        self.known.get(members).copied()
    }

    /// The next step.
    #[must_use]
    pub fn next(&self) -> Step {
        self.decide(&mut |members| self.evidence(members)).0
    }

    /// The sets of tasks that cannot land together, as far as is known.
    #[must_use]
    pub fn exclusions(&self) -> Vec<Exclusion> {
        self.decide(&mut |members| self.evidence(members)).1
    }

    /// The step after what is known, and the exclusions on the way to it.
    fn decide(&self, known: &mut dyn FnMut(&Members) -> Option<Evidence>) -> (Step, Vec<Exclusion>) {
        let mut exclusions: Vec<Exclusion> = self
            .conflicts
            .iter()
            .map(|members| Exclusion { members: members.clone(), cause: Cause::Conflict })
            .collect();
        let step = loop {
            let union = self.union(&exclusions);
            if union.is_empty() {
                break self.unconfirmed(&exclusions, known).map_or(Step::Nothing, Step::Try);
            }
            match known(&union) {
                // A set of conflicts that is unknown to the selection; its tasks are looked at one by one by the caller.
                Some(Evidence::Conflict) => exclusions.push(Exclusion { members: union, cause: Cause::Conflict }),
                _ if !self.has_check => break Step::Land(union),
                Some(Evidence::Green | Evidence::Flaky) => break Step::Land(union),
                Some(Evidence::Environment) => break Step::Environment,
                // The same files once more, before anybody is blamed.
                None | Some(Evidence::Red(1)) => break Step::Try(union),
                Some(Evidence::Red(_)) => {
                    // One red may have been chance. It was not, if all is green without those who are blamed for it; here it is not.
                    if let Some(blamed) = self.unconfirmed(&exclusions, known) {
                        break Step::Try(blamed);
                    }
                    match self.smallest_red(&union, known) {
                        Ok(members) => exclusions.push(Exclusion { members, cause: Cause::Red }),
                        Err(step) => break step,
                    }
                }
            }
        };
        (step, exclusions)
    }

    /// A smallest set of tasks on which the check fails, of a set on which it does: without any one of them it succeeds. `Err`
    /// with the step that is missing to find it.
    fn smallest_red(
        &self,
        union: &Members,
        known: &mut dyn FnMut(&Members) -> Option<Evidence>,
    ) -> Result<Members, Step> {
        match known(&Members::new()) {
            None => return Err(Step::Try(Members::new())),
            Some(Evidence::Environment) => return Err(Step::Environment),
            Some(evidence) if !evidence.is_green() => return Err(Step::BaselineRed),
            Some(_) => {}
        }
        let order: Vec<usize> = union.iter().copied().collect();
        let mut found = Members::new();
        // With these first ones of the order, and all found ones, the check is known to fail.
        let mut red = order.len();
        loop {
            // Without any of the order it succeeds as long as nothing is found: that is the target alone.
            let mut green = if found.is_empty() { Some(0) } else { None };
            loop {
                let next = match green {
                    Some(green) if red - green <= 1 => break,
                    Some(green) => green + (red - green) / 2,
                    // What was found may be all there is; it is asked first.
                    None if red == 0 => break,
                    None => 0,
                };
                match self.fails(&order[..next], &found, known)? {
                    true => red = next,
                    false => green = Some(next),
                }
            }
            let Some(last) = red.checked_sub(1) else { break };
            found.insert(order[last]);
            red = last;
        }
        Ok(found)
    }

    /// The first of these sets on which the check has failed only once.
    fn unconfirmed(
        &self,
        exclusions: &[Exclusion],
        known: &mut dyn FnMut(&Members) -> Option<Evidence>,
    ) -> Option<Members> {
        let blamed = exclusions.iter().filter(|exclusion| exclusion.cause == Cause::Red);
        let mut blamed = blamed.map(|exclusion| self.selection.closure(&exclusion.members));
        blamed.find(|blamed| known(blamed) == Some(Evidence::Red(1)))
    }

    /// Whether the check fails on these tasks and what they need. `Err` with the step that is missing to know.
    fn fails(
        &self,
        first: &[usize],
        found: &Members,
        known: &mut dyn FnMut(&Members) -> Option<Evidence>,
    ) -> Result<bool, Step> {
        let members = self.selection.closure(&first.iter().copied().chain(found.iter().copied()).collect());
        match known(&members) {
            None => Err(Step::Try(members)),
            Some(Evidence::Environment) => Err(Step::Environment),
            // Tasks that do not merge cannot land together, whatever the check would say.
            Some(evidence) => Ok(!evidence.is_green()),
        }
    }

    /// The trials to make now: the next one, and those that probably come after it, the likely ones first. As long as nothing
    /// says that a set of tasks fails, it is tried alone. There are at most `jobs`, and at most half of what is `left` of the
    /// trials that the merge may make at all, so that guesses do not use them up.
    #[must_use]
    pub fn trials(&self, jobs: usize, left: usize) -> Vec<Members> {
        let at_once = jobs.min(left.div_ceil(2));
        let mut trials = Vec::new();
        let mut tried = HashSet::new();
        let mut futures = BinaryHeap::from([Future { chance: 1_000_000, assumed: HashMap::new() }]);
        // Each trial is met in several futures, and some futures end without one.
        for _ in 0..at_once * 8 {
            let Some(Future { chance, assumed }) = futures.pop() else { break };
            let mut known = |members: &Members| assumed.get(members).copied().or_else(|| self.evidence(members));
            let (Step::Try(members), exclusions) = self.decide(&mut known) else { continue };
            let earlier = known(&members);
            let is_union = earlier.is_none() && members == self.union(&exclusions);
            if tried.insert(members.clone()) {
                trials.push(members.clone());
            }
            if trials.len() >= at_once || (is_union && assumed.is_empty()) {
                break;
            }
            if chance < MIN_CHANCE {
                continue;
            }
            // Guesses, by which only the order of trials is chosen: what failed fails again, the target is sound, the rest
            // is sound without what is to blame, and half of a red set is red or not.
            let red = match earlier {
                Some(_) => 90,
                None if members.is_empty() || is_union => 10,
                None => 50,
            };
            for (result, percent) in [(TrialResult::Red, red), (TrialResult::Green, 100 - red)] {
                let mut assumed = assumed.clone();
                assumed.insert(members.clone(), Evidence::with(earlier, result));
                futures.push(Future { chance: chance * percent / 100, assumed });
            }
        }
        trials
    }

    /// The largest set of tasks that may land.
    fn union(&self, exclusions: &[Exclusion]) -> Members {
        let excluded: Vec<Members> = exclusions.iter().map(|exclusion| exclusion.members.clone()).collect();
        self.selection.largest(&excluded)
    }
}

/// Results that trials may have, with the chance of that in millionths.
#[derive(Debug, PartialEq, Eq)]
struct Future {
    chance: u64,
    assumed: HashMap<Members, Evidence>,
}

impl Ord for Future {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Of equally likely ones the nearer one.
        self.chance.cmp(&other.chance).then(other.assumed.len().cmp(&self.assumed.len()))
    }
}

impl PartialOrd for Future {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Tasks with their needs, pairs that conflict, and the sets on which a check fails.
    #[derive(Debug, Clone)]
    struct World {
        needs: Vec<Vec<usize>>,
        conflicts: Vec<Members>,
        red: Vec<Members>,
    }

    impl World {
        fn is_green(&self, members: &Members) -> bool {
            !self.red.iter().any(|red| red.is_subset(members))
        }

        fn merges(&self, members: &Members) -> bool {
            !self.conflicts.iter().any(|conflict| conflict.is_subset(members))
        }

        fn train(&self) -> Train {
            let mut train = Train::new(Selection::new(&self.needs), true);
            for conflict in &self.conflicts {
                train.add_conflict(conflict.clone());
            }
            train
        }

        /// The size of the largest set that may land, of all there are.
        fn largest(&self) -> usize {
            let selection = Selection::new(&self.needs);
            let sets = (0_u32..1 << self.needs.len())
                .map(|bits| (0..self.needs.len()).filter(|at| bits >> at & 1 == 1).collect());
            let may_land = |members: &Members| {
                selection.closure(members) == *members && self.merges(members) && self.is_green(members)
            };
            sets.filter(may_land).map(|members| members.len()).max().unwrap_or(0)
        }
    }

    /// Drives a merge to its end, and counts the trials of each set.
    fn drive(
        train: &mut Train,
        at_once: usize,
        mut check: impl FnMut(&Members) -> TrialResult,
    ) -> (Step, HashMap<Members, u32>, usize) {
        let (mut counts, mut rounds) = (HashMap::new(), 0);
        loop {
            let trials = train.trials(at_once, usize::MAX);
            assert!(trials.len() <= at_once);
            if trials.is_empty() {
                return (train.next(), counts, rounds);
            }
            rounds += 1;
            for members in trials {
                *counts.entry(members.clone()).or_default() += 1;
                let evidence = Evidence::with(train.evidence(&members), check(&members));
                train.learn(members, evidence);
            }
        }
    }

    fn members(positions: &[usize]) -> Members {
        positions.iter().copied().collect()
    }

    fn set(count: usize, most: usize) -> impl Strategy<Value = Members> {
        proptest::collection::btree_set(0..count, 1..=most)
    }

    fn world() -> impl Strategy<Value = World> {
        (1_usize..=6).prop_flat_map(|count| {
            let needs: Vec<_> = (0..count)
                .map(|at| {
                    proptest::collection::vec(0..at.max(1), 0..=2)
                        .prop_map(move |needs| needs.into_iter().filter(|need| *need < at).collect())
                })
                .collect();
            let conflicts = proptest::collection::vec(set(count, 2), 0..=2);
            let red = proptest::collection::vec(set(count, 3), 0..=3);
            (needs, conflicts, red).prop_map(|(needs, conflicts, red)| World { needs, conflicts, red })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn as_much_lands_as_can(world in world(), at_once in 1_usize..8) {
            let mut train = world.train();
            let check = |members: &Members| if world.is_green(members) { TrialResult::Green } else { TrialResult::Red };
            let (end, counts, _) = drive(&mut train, at_once, check);
            let landed = if let Step::Land(members) = end { members } else { Members::new() };
            prop_assert!(world.is_green(&landed) && world.merges(&landed));
            prop_assert_eq!(&train.selection().closure(&landed), &landed);
            prop_assert_eq!(landed.len(), world.largest());
            for (members, count) in counts {
                prop_assert!(count <= if world.is_green(&members) { 1 } else { 2 }, "{:?} was tried {} times", members, count);
            }
        }

        #[test]
        fn what_lands_was_green_whatever_a_check_says(
            needs in world().prop_map(|world| world.needs),
            answers in proptest::collection::vec(any::<bool>(), 400),
            at_once in 1_usize..8,
        ) {
            let mut train = Train::new(Selection::new(&needs), true);
            let mut answers = answers.into_iter();
            let mut green = HashSet::new();
            let (end, _, _) = drive(&mut train, at_once, |members| {
                if answers.next().unwrap_or(true) {
                    green.insert(members.clone());
                    TrialResult::Green
                } else {
                    TrialResult::Red
                }
            });
            if let Step::Land(members) = end {
                prop_assert!(green.contains(&members));
                prop_assert_eq!(&train.selection().closure(&members), &members);
            }
        }
    }

    fn plain(count: usize, red: &[&[usize]]) -> World {
        World {
            needs: vec![Vec::new(); count],
            conflicts: Vec::new(),
            red: red.iter().map(|red| members(red)).collect(),
        }
    }

    fn end_of(world: &World, at_once: usize) -> (Step, Vec<Members>, usize, usize) {
        let mut train = world.train();
        let check = |members: &Members| if world.is_green(members) { TrialResult::Green } else { TrialResult::Red };
        let (end, counts, rounds) = drive(&mut train, at_once, check);
        let blamed = train.exclusions().into_iter().map(|exclusion| exclusion.members).collect();
        (end, blamed, counts.values().map(|count| *count as usize).sum(), rounds)
    }

    #[test]
    fn all_land_after_one_trial_when_it_is_green() {
        let (end, blamed, trials, rounds) = end_of(&plain(16, &[]), 16);
        assert_eq!((end, blamed, trials, rounds), (Step::Land((0..16).collect()), vec![], 1, 1));
    }

    #[test]
    fn one_culprit_of_sixteen_is_found_in_three_rounds_or_with_ten_trials() {
        for culprit in 0..16 {
            let world = plain(16, &[&[culprit]]);
            let rest: Members = (0..16).filter(|task| *task != culprit).collect();
            let (end, blamed, trials, rounds) = end_of(&world, 1);
            assert_eq!((end, blamed), (Step::Land(rest.clone()), vec![members(&[culprit])]));
            assert!(trials <= 10 && trials == rounds, "{culprit}: {trials} trials");
            let (mut train, mut left, mut rounds) = (world.train(), MAX_TRIALS, 0);
            while let trials = train.trials(16, left)
                && !trials.is_empty()
            {
                (left, rounds) = (left - trials.len(), rounds + 1);
                for members in trials {
                    let result = if world.is_green(&members) { TrialResult::Green } else { TrialResult::Red };
                    let evidence = Evidence::with(train.evidence(&members), result);
                    train.learn(members, evidence);
                }
            }
            assert_eq!(train.next(), Step::Land(rest));
            assert!(rounds <= 3, "{culprit}: {rounds} rounds, {left} trials left");
        }
    }

    #[test]
    fn two_that_fail_only_together_are_named_together_and_one_of_them_lands() {
        let (end, blamed, _, _) = end_of(&plain(8, &[&[2, 6]]), 4);
        assert_eq!((end, blamed), (Step::Land(members(&[0, 1, 2, 3, 4, 5, 7])), vec![members(&[2, 6])]));
    }

    #[test]
    fn a_single_task_is_never_halved() {
        let (end, blamed, trials, _) = end_of(&plain(1, &[&[0]]), 1);
        assert_eq!((end, blamed), (Step::Nothing, vec![members(&[0])]));
        // Twice itself, and once the target.
        assert_eq!(trials, 3);
    }

    #[test]
    fn a_red_target_blames_nobody() {
        let (end, blamed, trials, _) = end_of(&plain(4, &[&[]]), 1);
        assert_eq!((end, blamed, trials), (Step::BaselineRed, vec![], 3));
    }

    #[test]
    fn a_check_that_cannot_be_asked_blames_nobody() {
        let mut train = plain(4, &[]).train();
        let (end, _, rounds) = drive(&mut train, 4, |_| TrialResult::Environment);
        assert_eq!((end, train.exclusions(), rounds), (Step::Environment, vec![], 1));
    }

    #[test]
    fn a_flake_lands_and_is_seen() {
        let mut train = plain(3, &[]).train();
        let mut answers = [TrialResult::Red, TrialResult::Green].into_iter();
        let (end, _, _) = drive(&mut train, 1, |_| answers.next().expect("two trials"));
        let all = members(&[0, 1, 2]);
        assert_eq!((end, train.evidence(&all)), (Step::Land(all.clone()), Some(Evidence::Flaky)));
    }

    #[test]
    fn without_a_check_only_conflicts_count() {
        let mut train = Train::new(Selection::new(&[vec![], vec![], vec![1]]), false);
        train.add_conflict(members(&[0, 1]));
        assert_eq!(train.next(), Step::Land(members(&[1, 2])));
        assert_eq!(train.trials(4, 20), Vec::<Members>::new());
    }
}
