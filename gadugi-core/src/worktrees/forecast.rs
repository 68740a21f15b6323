//! The forecast of merges: the branches of a run that merge with each other and with their target, as text.

use std::collections::BTreeSet;

use crate::id::CommitId;
use crate::worktrees::lease::Lease;

/// One of several lines of work whose merges are foretold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The name of the task or branch.
    pub name: String,
    /// The newest commit.
    pub tip: CommitId,
    /// The worktree, where what is not committed in it counts too.
    pub worktree: Option<Lease>,
}

/// The result of merging two lines of work. It says nothing about the merged program: what merges as text may still not work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Git merges them without a conflict.
    MergesAsText,
    /// A merge stops with conflicts.
    Conflict {
        /// The files in conflict, sorted; never empty.
        files: Vec<String>,
    },
    /// The merge could not be tried.
    Unknown {
        /// The reason, for people.
        reason: String,
    },
}

/// The verdicts on pairs of several lines of work: of the first ones with each other and with all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    sides: usize,
    /// The number of sides that were compared with all others.
    asked: usize,
    /// Of the first side with all after it, of the second with all after that, and so on.
    verdicts: Vec<Verdict>,
    /// Of each side, whether its worktree held work beyond its tip.
    beyond_tip: Vec<bool>,
    /// The sides that another one contains: the one with the commits of both, and the other.
    contained: BTreeSet<(usize, usize)>,
}

impl Forecast {
    /// A forecast for so many sides, from the verdicts on the first side with each after it, the second with each after it,
    /// and so on. `None` when their number is not that of the pairs.
    #[must_use]
    pub fn new(sides: usize, verdicts: Vec<Verdict>) -> Option<Self> {
        Self::of_first(sides, sides, verdicts)
    }

    /// The same, only for the pairs in which one of the first `asked` sides stands.
    #[must_use]
    pub fn of_first(asked: usize, sides: usize, verdicts: Vec<Verdict>) -> Option<Self> {
        let asked = asked.min(sides);
        let (beyond_tip, contained) = (vec![false; sides], BTreeSet::new());
        let is_whole = verdicts.len() == pairs_before(sides, asked);
        is_whole.then_some(Self { sides, asked, verdicts, beyond_tip, contained })
    }

    /// A forecast that can tell nothing of so many sides.
    #[must_use]
    pub fn unknown(sides: usize, reason: &str) -> Self {
        let unknown = Verdict::Unknown { reason: reason.to_owned() };
        let verdicts = vec![unknown; pairs_before(sides, sides)];
        Self { sides, asked: sides, verdicts, beyond_tip: vec![false; sides], contained: BTreeSet::new() }
    }

    /// Adds, of each side, whether its worktree held work beyond its tip.
    #[must_use]
    pub fn with_work_beyond_tip(mut self, beyond_tip: &[bool]) -> Self {
        self.beyond_tip.iter_mut().zip(beyond_tip).for_each(|(known, found)| *known = *found);
        self
    }

    /// Adds the pairs of sides of which the first has all commits of the second.
    #[must_use]
    pub fn with_contained(self, contained: impl IntoIterator<Item = (usize, usize)>) -> Self {
        Self { contained: contained.into_iter().collect(), ..self }
    }

    /// Whether the worktree of a side held commits or files beyond its tip.
    #[must_use]
    pub fn is_beyond_tip(&self, side: usize) -> bool {
        self.beyond_tip.get(side).copied().unwrap_or_default()
    }

    /// Whether a side has all commits of another one, so that there is nothing to merge; only of pairs that were compared.
    #[must_use]
    pub fn contains(&self, side: usize, other: usize) -> bool {
        self.contained.contains(&(side, other))
    }

    /// The verdict on two sides, by their places; `None` for a side with itself, one that is not there, or a pair that was not
    /// compared.
    #[must_use]
    pub fn verdict(&self, one: usize, other: usize) -> Option<&Verdict> {
        let (first, second) = (one.min(other), one.max(other));
        if first == second || first >= self.asked || second >= self.sides {
            return None;
        }
        self.verdicts.get(pairs_before(self.sides, first) + second - first - 1)
    }

    /// The pairs that were compared, with their verdicts.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize, &Verdict)> {
        let pairs = (0..self.asked).flat_map(move |first| (first + 1..self.sides).map(move |second| (first, second)));
        pairs.zip(&self.verdicts).map(|((first, second), verdict)| (first, second, verdict))
    }

    /// The forecast for some of the sides, in this order; a pair that was not compared is unknown.
    #[must_use]
    pub fn of_sides(&self, places: &[usize]) -> Self {
        let unknown = Verdict::Unknown { reason: "not compared".to_owned() };
        let pairs = || (0..places.len()).flat_map(|first| (first + 1..places.len()).map(move |second| (first, second)));
        let verdict =
            |(one, other): (usize, usize)| self.verdict(places[one], places[other]).unwrap_or(&unknown).clone();
        let contained = pairs().flat_map(|(one, other)| [(one, other), (other, one)]);
        Self {
            sides: places.len(),
            asked: places.len(),
            verdicts: pairs().map(verdict).collect(),
            beyond_tip: places.iter().map(|place| self.is_beyond_tip(*place)).collect(),
            contained: contained.filter(|(one, other)| self.contains(places[*one], places[*other])).collect(),
        }
    }

    /// The pairs that are in conflict, with their files.
    pub fn conflicts(&self) -> impl Iterator<Item = (usize, usize, &[String])> {
        self.pairs().filter_map(|(first, second, verdict)| match verdict {
            Verdict::Conflict { files } => Some((first, second, &files[..])),
            _ => None,
        })
    }

    /// The number of other sides that a side does not merge with, as far as is known.
    #[must_use]
    pub fn conflicts_of(&self, side: usize) -> usize {
        self.conflicts().filter(|(first, second, _)| *first == side || *second == side).count()
    }
}

/// The number of pairs whose first side is one of the first `first` of so many sides: (sides - 1) + (sides - 2) + …
fn pairs_before(sides: usize, first: usize) -> usize {
    first * (2 * sides).saturating_sub(first + 1) / 2
}

/// An order for merging sides of a forecast: what a side needs comes before it; of those that may come next, the one with the
/// fewest conflicts with what is merged by then, then with what is still to come; of equals, the one that stands first.
///
/// `needs` has, for each side to be merged, the places of those that it needs. Sides of the forecast beyond these, such as the
/// target, count as merged already. Sides that need each other in a circle come last.
#[must_use]
pub fn merge_order(forecast: &Forecast, needs: &[Vec<usize>]) -> Vec<usize> {
    let mut merged: Vec<usize> = (needs.len()..forecast.sides).collect();
    let mut left: Vec<usize> = (0..needs.len()).collect();
    while !left.is_empty() {
        let conflicts = |side: usize, others: &[usize]| {
            let conflict = |other: &&usize| matches!(forecast.verdict(side, **other), Some(Verdict::Conflict { .. }));
            others.iter().filter(conflict).count()
        };
        let is_ready = |side: &usize| !needs[*side].iter().any(|need| need != side && left.contains(need));
        let ready = left.iter().copied().filter(is_ready);
        let next = ready.min_by_key(|side| (conflicts(*side, &merged), conflicts(*side, &left), *side));
        let next = next.unwrap_or(left[0]);
        left.retain(|side| *side != next);
        merged.push(next);
    }
    merged.split_off(forecast.sides.saturating_sub(needs.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(sides: usize, conflicts: &[(usize, usize)]) -> Forecast {
        let pairs = (0..sides).flat_map(|first| (first + 1..sides).map(move |second| (first, second)));
        let verdict = |pair| match conflicts.contains(&pair) {
            true => Verdict::Conflict { files: vec![format!("{}-{}", pair.0, pair.1)] },
            false => Verdict::MergesAsText,
        };
        Forecast::new(sides, pairs.map(verdict).collect()).expect("as many verdicts as pairs")
    }

    #[test]
    fn the_verdict_on_a_pair_is_found_from_either_side() {
        let forecast = forecast(5, &[(0, 4), (2, 3)]);
        for (one, other) in [(0, 4), (4, 0), (2, 3), (3, 2)] {
            let name = format!("{}-{}", one.min(other), one.max(other));
            assert_eq!(forecast.verdict(one, other), Some(&Verdict::Conflict { files: vec![name] }));
        }
        assert_eq!(forecast.verdict(1, 4), Some(&Verdict::MergesAsText));
        assert_eq!(forecast.verdict(2, 2), None);
        assert_eq!(forecast.verdict(0, 5), None);
        assert_eq!(forecast.conflicts_of(3), 1);
        assert_eq!(forecast.conflicts().map(|(a, b, _)| (a, b)).collect::<Vec<_>>(), [(0, 4), (2, 3)]);
    }

    #[test]
    fn a_forecast_of_the_first_sides_has_only_their_pairs() {
        let verdict = |name: &str| Verdict::Conflict { files: vec![name.to_owned()] };
        let verdicts = ["0-1", "0-2", "0-3", "1-2", "1-3"].map(verdict).to_vec();
        let forecast = Forecast::of_first(2, 4, verdicts.clone()).expect("as many verdicts as pairs");
        assert_eq!(forecast.verdict(3, 1), Some(&verdict("1-3")));
        assert_eq!(forecast.verdict(2, 3), None);
        assert_eq!(forecast.pairs().count(), 5);
        assert_eq!(Forecast::of_first(1, 4, verdicts), None);
        let some = forecast.of_sides(&[3, 0, 2]);
        assert_eq!(some.verdict(0, 1), Some(&verdict("0-3")));
        assert!(matches!(some.verdict(0, 2), Some(Verdict::Unknown { .. })), "{some:?}");
    }

    #[test]
    fn what_is_needed_comes_first_then_what_is_in_the_fewest_conflicts() {
        let none = || vec![Vec::new(); 4];
        assert_eq!(merge_order(&forecast(4, &[]), &none()), [0, 1, 2, 3]);
        assert_eq!(merge_order(&forecast(4, &[(0, 1), (0, 2)]), &none()), [3, 1, 2, 0]);
        let mut needs = none();
        needs[3] = vec![0];
        assert_eq!(merge_order(&forecast(4, &[(0, 1), (0, 2)]), &needs), [1, 2, 0, 3]);
        needs[0] = vec![3];
        assert_eq!(merge_order(&forecast(4, &[]), &needs), [1, 2, 0, 3]);
    }
}
