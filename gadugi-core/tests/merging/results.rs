//! What lands, by conflicts, needs and results of checks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gadugi_core::merge::{MAX_TRIALS, MergeEnd, SetAside};
use proptest::prelude::*;

use crate::repository::{Log, World, drive, drive_with, names};

fn world(tasks: usize, conflicts: &[&[usize]], red: &[&[usize]]) -> Arc<World> {
    let sets = |sets: &[&[usize]]| sets.iter().map(|set| set.to_vec()).collect();
    Arc::new(World { conflicts: sets(conflicts), red: sets(red), ..World::new(tasks) })
}

fn any_world() -> impl Strategy<Value = World> {
    (1_usize..=6).prop_flat_map(|count| {
        let set = |most| proptest::collection::btree_set(0..count, 1..=most).prop_map(|set| set.into_iter().collect());
        let needs = (0..count).map(|task| proptest::collection::vec(0..task.max(1), 0..=2)).collect::<Vec<_>>();
        let sets = (proptest::collection::vec(set(2), 0..=2), proptest::collection::vec(set(3), 0..=2));
        (needs, sets, any::<bool>()).prop_map(move |(needs, (conflicts, red), has_check)| {
            let before = |(task, needs): (usize, Vec<usize>)| needs.into_iter().filter(|need| *need < task).collect();
            let needs = needs.into_iter().enumerate().map(before).collect();
            World { needs, conflicts, red, has_check, ..World::new(count) }
        })
    })
}

proptest! {
    #[test]
    fn as_much_lands_as_can_and_no_tree_is_checked_without_need(world in any_world(), jobs in 1_usize..8) {
        let world = Arc::new(world);
        let record = drive(&world, jobs);
        prop_assume!(!matches!(record.ended, Some((MergeEnd::GaveUp, _))));
        prop_assert_eq!(record.merged().len(), world.largest());
        let landed = world.branch("main").expect("it is there");
        prop_assert_eq!(landed.len(), record.merged().len());
        for task in record.merged() {
            prop_assert!(landed.contains(task.as_str()));
        }
        let mut counts = HashMap::new();
        for tree in &*world.checked.lock().expect("a lock") {
            *counts.entry(tree.clone()).or_insert(0) += 1;
        }
        prop_assert!(counts.values().all(|count| *count <= 2));
    }
}

#[test]
fn a_conflict_is_set_aside_with_its_files_and_the_others_go_on() {
    let world = world(4, &[&[1, 2]], &[]);
    let record = drive(&world, 4);
    assert_eq!(names(record.merged()), ["t0", "t1", "t3"]);
    let conflict = SetAside::Conflict { with: vec!["t1".parse().expect("an id")], files: vec!["file".to_owned()] };
    assert_eq!(record.set_aside, [("t2".parse().expect("an id"), conflict)].into());
}

#[test]
fn tasks_that_fail_only_together_are_named_together_and_the_rest_lands() {
    let world = world(5, &[], &[&[1, 3]]);
    let record = drive(&world, 2);
    assert_eq!(names(record.merged()), ["t0", "t1", "t2", "t4"]);
    let red = SetAside::Red { with: vec!["t1".parse().expect("an id")] };
    assert_eq!(record.set_aside, [("t3".parse().expect("an id"), red)].into());
}

#[test]
fn nothing_lands_on_a_target_that_is_red_itself() {
    let world = world(3, &[], &[&[]]);
    let record = drive(&world, 4);
    assert_eq!(record.ended.expect("an end").0, MergeEnd::BaselineRed);
    assert_eq!((world.landings(), record.set_aside.len()), (0, 0));
}

#[test]
fn a_check_that_cannot_be_asked_blames_nobody() {
    let world = world(3, &[], &[]);
    world.is_asked.store(false, Ordering::Relaxed);
    let record = drive(&world, 4);
    assert_eq!(record.ended.expect("an end").0, MergeEnd::Environment { why: "as told".to_owned() });
    assert_eq!((world.landings(), record.set_aside.len()), (0, 0));
}

#[test]
fn a_flake_lands_and_is_counted() {
    let world = world(3, &[], &[]);
    *world.flaky.lock().expect("a lock") = true;
    let record = drive(&world, 1);
    assert_eq!((record.merged().len(), record.flakes(), record.checks()), (3, 1, 2));
}

#[test]
fn a_merge_gives_up_after_so_many_checks_without_a_landing() {
    // Each of them is red alone, so that each costs several checks.
    let red: Vec<Vec<usize>> = (0..12).map(|task| vec![task]).collect();
    let world = Arc::new(World { red, ..World::new(12) });
    let record = drive(&world, 1);
    assert_eq!(record.ended.as_ref().expect("an end").0, MergeEnd::GaveUp);
    assert_eq!((record.checks(), world.landings()), (MAX_TRIALS, 0));
}

#[test]
fn a_green_tree_is_known_to_the_next_merge() {
    let log = Log::default();
    let world = world(2, &[], &[]);
    drive_with(&world, 1, log.clone()).expect("it lands");
    assert_eq!(world.checked.lock().expect("a lock").len(), 1);
    // The same files again, on a repository of which nothing has landed.
    let again = self::world(2, &[], &[]);
    let log = Log { kept: log.kept, ..Log::default() };
    let record = drive_with(&again, 1, log).expect("it lands");
    assert_eq!((record.merged().len(), again.checked.lock().expect("a lock").len()), (2, 0));
}

#[test]
fn what_the_target_has_already_is_said_and_not_merged_again() {
    let world = world(2, &[], &[]);
    drive(&world, 1);
    let record = drive(&world, 1);
    assert_eq!(record.ended.as_ref().expect("an end").0, MergeEnd::UpToDate);
    assert_eq!((record.contained.len(), record.merged().len(), world.landings()), (2, 0, 1));
}
