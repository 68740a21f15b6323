//! The choice of tasks to land: as many as possible that bring along what they need, without a set that cannot land together.

use std::collections::BTreeSet;

/// Positions of tasks in the order of merging.
pub type Members = BTreeSet<usize>;

/// Nodes of the search for the largest selection, after which the best one so far counts. Only many exclusions that overlap
/// reach it.
const MAX_NODES: usize = 20_000;

/// Tasks of a merge by their positions, with what each needs.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What each task needs, directly or not, without itself.
    needs: Vec<Members>,
}

impl Selection {
    /// The tasks of a merge, by the positions of those that each needs directly. A need of a task stands before it.
    #[must_use]
    pub fn new(direct: &[Vec<usize>]) -> Self {
        let mut needs: Vec<Members> = Vec::with_capacity(direct.len());
        for (position, direct) in direct.iter().enumerate() {
            let mut all = Members::new();
            for need in direct.iter().filter(|need| **need < position) {
                all.insert(*need);
                all.extend(&needs[*need]);
            }
            needs.push(all);
        }
        Self { needs }
    }

    /// Number of tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there are no tasks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// These tasks with all that they need.
    #[must_use]
    pub fn closure(&self, members: &Members) -> Members {
        members.iter().flat_map(|member| self.needs[*member].iter().copied().chain([*member])).collect()
    }

    /// The largest set of tasks that contains what it needs and no exclusion as a whole. Of equally large ones, that which
    /// leaves out tasks late in the order.
    #[must_use]
    pub fn largest(&self, exclusions: &[Members]) -> Members {
        let mut search = Search { selection: self, exclusions, best: Members::new(), nodes: 0 };
        search.descend(&(0..self.len()).collect());
        search.best
    }

    /// The tasks without one, and without those that need it.
    fn without(&self, members: &Members, dropped: usize) -> Members {
        let stays = |member: &usize| *member != dropped && !self.needs[*member].contains(&dropped);
        members.iter().copied().filter(stays).collect()
    }
}

/// A search in which each step leaves out a task of an exclusion that is still met.
struct Search<'a> {
    selection: &'a Selection,
    exclusions: &'a [Members],
    best: Members,
    nodes: usize,
}

impl Search<'_> {
    fn descend(&mut self, members: &Members) {
        self.nodes += 1;
        // The first way down always reaches an end, since it is the greedy choice.
        if members.len() <= self.best.len() || (self.nodes > MAX_NODES && !self.best.is_empty()) {
            return;
        }
        let Some(met) = self.exclusions.iter().find(|exclusion| exclusion.is_subset(members)) else {
            self.best.clone_from(members);
            return;
        };
        for dropped in met.iter().rev() {
            self.descend(&self.selection.without(members, *dropped));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(positions: &[usize]) -> Members {
        positions.iter().copied().collect()
    }

    #[test]
    fn what_needs_a_task_that_is_left_out_is_left_out_too() {
        let selection = Selection::new(&[vec![], vec![0], vec![1], vec![]]);
        assert_eq!(selection.closure(&members(&[2])), members(&[0, 1, 2]));
        assert_eq!(selection.largest(&[members(&[0])]), members(&[3]));
        assert_eq!(selection.largest(&[members(&[0, 3])]), members(&[0, 1, 2]));
    }

    #[test]
    fn the_fewest_tasks_are_left_out_and_of_equals_the_later_one() {
        let selection = Selection::new(&[vec![], vec![], vec![], vec![]]);
        assert_eq!(selection.largest(&[members(&[0, 1]), members(&[0, 2]), members(&[0, 3])]), members(&[1, 2, 3]));
        assert_eq!(selection.largest(&[members(&[1, 2])]), members(&[0, 1, 3]));
        assert_eq!(selection.largest(&[members(&[0]), members(&[1]), members(&[2]), members(&[3])]), members(&[]));
    }

    #[test]
    fn many_exclusions_do_not_take_for_ever() {
        let selection = Selection::new(&vec![Vec::new(); 60]);
        let pairs = (0..60).flat_map(|one| (one + 1..60).map(move |other| members(&[one, other])));
        let largest = selection.largest(&pairs.collect::<Vec<_>>());
        assert_eq!(largest.len(), 1);
    }
}
