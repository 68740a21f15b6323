//! The last step: moving the target.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gadugi_core::merge::{MAX_TARGETS, MergeEnd};

use crate::repository::{World, drive};

#[test]
fn a_target_that_moves_is_merged_onto_once_more() {
    let world = Arc::new(World::new(2));
    for commit in 1..MAX_TARGETS {
        world.user_commits(&format!("user-{commit}"));
    }
    let record = drive(&world, 1);
    assert_eq!(record.ended.as_ref().expect("an end").0, MergeEnd::Landed);
    assert_eq!(record.targets.len(), MAX_TARGETS);
    let content = world.branch("main").expect("it is there");
    assert_eq!(content.into_iter().collect::<Vec<_>>(), ["t0", "t1", "user-1", "user-2"]);
}

#[test]
fn a_target_that_moves_each_time_is_left_alone() {
    let world = Arc::new(World::new(2));
    for commit in 0..MAX_TARGETS {
        world.user_commits(&format!("user-{commit}"));
    }
    let record = drive(&world, 1);
    assert_eq!(record.ended.as_ref().expect("an end").0, MergeEnd::TargetMoved);
    assert_eq!((record.merged().len(), world.landings()), (0, 0));
}

#[test]
fn a_result_that_a_work_tree_is_in_the_way_of_is_kept_on_a_branch() {
    let world = Arc::new(World::new(2));
    world.blocked.store(true, Ordering::Relaxed);
    let record = drive(&world, 1);
    let kept = "gadugi/merged/20261122-083355-k7q";
    assert_eq!(record.ended.as_ref().expect("an end").0, MergeEnd::Kept { branch: kept.parse().expect("a branch") });
    assert_eq!(record.merged().len(), 2);
    assert_eq!(world.branch("main"), Some([].into()));
    assert_eq!(world.branch(kept), Some(["t0".to_owned(), "t1".to_owned()].into()));
}
