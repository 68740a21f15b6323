//! What was set aside, resolved by agents.

use std::sync::{Arc, Mutex};

use gadugi_core::merge::Work;

use crate::repository::{World, drive, names};

fn world(conflicts: &[&[usize]], red: &[&[usize]], resolutions: &[Option<&'static str>]) -> Arc<World> {
    let sets = |sets: &[&[usize]]| sets.iter().map(|set| set.to_vec()).collect();
    Arc::new(World {
        conflicts: sets(conflicts),
        red: sets(red),
        resolves: true,
        resolutions: Mutex::new(resolutions.to_vec()),
        ..World::new(3)
    })
}

fn messages(world: &World) -> Vec<String> {
    let message = |work: Work| if let Work::Resolve { message, .. } = work { message } else { String::new() };
    world.work().into_iter().map(message).collect()
}

#[test]
fn a_conflict_that_an_agent_resolves_lands_with_the_rest() {
    let world = world(&[&[0, 1]], &[], &[Some("resolved")]);
    let record = drive(&world, 1);
    assert_eq!(names(record.merged()), ["t0", "t1", "t2"]);
    let [message] = &messages(&world)[..] else { panic!("one call of an agent") };
    assert!(message.contains("- file\n"), "{message}");
}

#[test]
fn markers_that_stay_are_refused_and_the_agent_is_told() {
    let world = world(&[&[0, 1]], &[], &[Some("nothing"), Some("resolved")]);
    let record = drive(&world, 1);
    assert_eq!(names(record.merged()), ["t0", "t1", "t2"]);
    let [_, message] = &messages(&world)[..] else { panic!("two calls of an agent") };
    assert!(message.contains("still conflict markers in file"), "{message}");
}

#[test]
fn a_failed_check_is_repaired_by_the_agent_of_the_task_that_is_set_aside() {
    let world = world(&[], &[&[0, 1]], &[Some("repaired")]);
    let record = drive(&world, 1);
    assert_eq!(names(record.merged()), ["t0", "t1", "t2"]);
    let [message] = &messages(&world)[..] else { panic!("one call of an agent") };
    assert!(message.contains("assertion failed"), "{message}");
}

#[test]
fn a_task_is_left_after_two_attempts_and_the_rest_lands() {
    let world = world(&[&[0, 1]], &[], &[None, Some("nothing"), Some("resolved")]);
    let record = drive(&world, 1);
    assert_eq!(names(record.merged()), ["t0", "t2"]);
    assert_eq!(messages(&world).len(), 2);
    assert!(record.set_aside.contains_key(&"t1".parse().expect("an id")));
}

#[test]
fn a_resolution_on_which_the_check_fails_does_not_land() {
    let world = world(&[&[0, 1]], &[&[0, 1]], &[Some("resolved"), Some("resolved")]);
    let record = drive(&world, 1);
    assert_eq!(names(record.merged()), ["t0", "t2"]);
}
