//! Finding runs, asking for a stop, and what earlier runs teach.

use std::fs;
use std::time::Duration;

use gadugi_core::executor::ExitStatus;
use gadugi_core::registry::RegistryError;
use gadugi_core::run::RunLink;
use gadugi_core::{Outcome, Registry, RunHeader};
use gadugi_registry::{FindError, FsRegistry, StopRequest};
use insta::assert_snapshot;

use crate::sample::{Story, every_outcome, run, simple_header, task, write};

#[tokio::test]
async fn runs_are_listed_oldest_first_without_half_made_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    assert_eq!(registry.list().await.expect("no runs yet"), []);
    for last in ['c', 'a', 'b'] {
        write(&registry, &simple_header(last, 1), &[]).await;
    }
    let half = simple_header('d', 1).run;
    fs::create_dir(registry.run_folder(&half)).expect("a folder");
    fs::create_dir(folder.path().join("runs/notes")).expect("a folder");
    let ids: Vec<String> = registry.list().await.expect("runs").iter().map(|listing| listing.run.to_string()).collect();
    assert_eq!(ids, ["20261122-083355-00a", "20261122-083355-00b", "20261122-083355-00c"]);
    assert!(matches!(registry.load(&half).await, Err(RegistryError::NoSuchRun { .. })));
}

#[tokio::test]
async fn a_run_is_found_by_id_by_a_beginning_and_as_the_latest() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    assert!(matches!(registry.find("latest"), Err(FindError::NoRuns)));
    let mut other = simple_header('a', 1);
    other.run = "20251231-000000-zzz".parse().expect("a run id");
    write(&registry, &other, &[]).await;
    for last in ['a', 'b'] {
        write(&registry, &simple_header(last, 1), &[]).await;
    }
    let found = |wanted: &str| registry.find(wanted).map(|run| run.to_string());
    assert_eq!(found("latest").expect("one"), "20261122-083355-00b");
    assert_eq!(found("20261122-083355-00a").expect("one"), "20261122-083355-00a");
    assert_eq!(found("2025").expect("one"), "20251231-000000-zzz");
    assert_snapshot!(found("2026").expect_err("two"), @"`2026` is the beginning of several runs: 20261122-083355-00a, 20261122-083355-00b");
    assert_snapshot!(found("1999").expect_err("none"), @"there is no run `1999`");
    assert_snapshot!(found("").expect_err("none"), @"there is no run ``");
}

#[tokio::test]
async fn the_latest_success_of_a_task_teaches_how_long_it_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let (header, events) = every_outcome();
    write(&registry, &header, &events).await;
    let durations = registry.earlier_durations(None).expect("runs");
    let took = Duration::from_micros(2_000_250);
    assert_eq!(durations.len(), 3, "{durations:?}");
    for id in ["ok", "flaky", "unchanged"] {
        assert_eq!(durations[&task(id)], took, "{id}");
    }

    let later = simple_header('f', 1);
    let mut story = Story::new(later.run.clone());
    story.whole("t1", ExitStatus::Code(0), Outcome::Succeeded);
    write(&registry, &later, &story.events).await;
    let broken = simple_header('g', 1);
    write(&registry, &broken, &[]).await;
    fs::remove_file(registry.run_folder(&broken.run).join("journal.jsonl")).expect("a journal");
    assert_eq!(registry.earlier_durations(None).expect("runs").len(), 4);
}

#[tokio::test]
async fn requests_are_taken_once_oldest_first_and_damaged_ones_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let header = simple_header('a', 2);
    let all = StopRequest { tasks: Vec::new(), now: false };
    assert!(matches!(registry.post_request(&header.run, &all), Err(RegistryError::NoSuchRun { .. })));
    write(&registry, &header, &[]).await;
    assert_eq!(registry.take_requests(&header.run).expect("no folder").requests, []);
    let one = StopRequest { tasks: vec![task("t1")], now: true };
    for request in [&all, &one, &all] {
        registry.post_request(&header.run, request).expect("it is posted");
    }
    let requests = registry.run_folder(&header.run).join("requests");
    fs::write(requests.join("00000000000000000001-1-1.json"), "{").expect("a damaged request");
    fs::write(requests.join(".half.tmp"), "{").expect("one that is being written");
    let taken = registry.take_requests(&header.run).expect("readable");
    assert_eq!(taken.requests, [all.clone(), one, all]);
    assert_eq!(taken.damage.len(), 1, "{:?}", taken.damage);
    assert_eq!(registry.take_requests(&header.run).expect("readable"), Default::default());
}

#[tokio::test]
async fn the_latest_run_is_never_that_of_a_merge() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let of_merge = |last| {
        let merge = "20261122-093355-abc".parse().expect("a merge id");
        RunHeader { link: Some(RunLink::Merge { merge }), ..simple_header(last, 1) }
    };
    drop(registry.create(&of_merge('1')).await.expect("a new run"));
    assert!(matches!(registry.find("latest"), Err(FindError::NoRuns)));
    let retry = RunHeader { link: Some(RunLink::Retry { run: run('0') }), ..simple_header('2', 1) };
    drop(registry.create(&retry).await.expect("a new run"));
    drop(registry.create(&of_merge('3')).await.expect("a new run"));
    assert_eq!(registry.find("latest").expect("one"), run('2'));
    assert_eq!(registry.find(run('3').as_str()).expect("it is there by its name"), run('3'));
    assert!(registry.is_of_merge(&run('3')) && !registry.is_of_merge(&run('2')));
}
