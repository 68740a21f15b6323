//! Drivers that die after each event.

use std::sync::Arc;

use crate::repository::{Log, World, drive, drive_with, resume};

fn world() -> Arc<World> {
    Arc::new(World {
        conflicts: vec![vec![1, 2]],
        red: vec![vec![0, 3]],
        needs: vec![vec![], vec![], vec![], vec![], vec![3]],
        ..World::new(5)
    })
}

#[test]
fn a_merge_that_was_cut_short_anywhere_ends_as_if_it_had_not_been() {
    let whole = Log::default();
    let expected = drive_with(&world(), 3, whole.clone()).expect("nothing fails");
    let checks = {
        let world = world();
        drive(&world, 3);
        world.checked.lock().expect("a lock").len()
    };
    let count = whole.events.lock().expect("a lock").len();
    assert!(count > 8);
    for dies_at in 0..count {
        let world = world();
        let log = Log { dies_at: Some(dies_at), ..Log::default() };
        let header = world.header(3);
        drive_with(&world, 3, log.clone()).expect_err("it dies");
        let record = resume(&world, header, Log { dies_at: None, ..log }).expect("nothing fails");
        assert_eq!((record.merged(), &record.set_aside), (expected.merged(), &expected.set_aside), "event {dies_at}");
        assert_eq!(record.ended.as_ref().map(|(end, _)| end), expected.ended.as_ref().map(|(end, _)| end));
        assert_eq!(world.landings(), 1, "event {dies_at}");
        // A run of checks whose results were not recorded is asked again, in the same run.
        let checked = world.checked.lock().expect("a lock").len();
        assert!(checked <= checks + 5, "event {dies_at}: {checked} checks instead of {checks}");
    }
}
