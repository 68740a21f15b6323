//! `docs/formats.md` is true: its examples are a run that can be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gadugi_core::registry::RegistryError;
use gadugi_core::run::TaskState;
use gadugi_core::{Registry, RunRecord};
use gadugi_registry::FsRegistry;
use gadugi_registry::format::event_to_json;

use crate::agents;
use crate::sample::{every_outcome, load, write};

/// The contents of the page's blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats.md");
    let page = fs::read_to_string(path).expect("the page");
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().expect("an end").to_owned()).collect()
}

#[tokio::test]
async fn the_examples_are_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let run = "20261122-083355-k7q".parse().expect("a run id");
    let files = registry.run_folder(&run);
    fs::create_dir_all(&files).expect("a folder");
    let lines = blocks("jsonl").concat();
    fs::write(files.join("run.json"), blocks("json").concat()).expect("a header");
    fs::write(files.join("journal.jsonl"), &lines).expect("a journal");
    let history = load(&registry, &run).await.expect("the run");
    assert_eq!(history.damage, Vec::<String>::new());
    assert_eq!(history.events.len(), lines.lines().count());
    let record = RunRecord::fold(history.header, &history.events).expect("events that follow one another");
    assert!(record.tasks.iter().all(|task| matches!(task.state, TaskState::Finished(_))));

    fs::create_dir_all(files.join("requests")).expect("a folder");
    fs::write(files.join("requests/1.json"), blocks("json request").concat()).expect("a request");
    let taken = registry.take_requests(&run).expect("readable");
    assert_eq!((taken.requests.len(), taken.damage.len()), (1, 0));
}

#[tokio::test]
async fn the_example_of_an_owner_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let (header, _) = every_outcome();
    let _log = registry.create(&header).await.expect("a new run");
    let owner = registry.run_folder(&header.run).join("owner.json");
    fs::write(owner, blocks("json owner").concat()).expect("another owner");
    let Err(RegistryError::Held { holder, .. }) = registry.create(&header).await else { panic!("it is held") };
    assert_eq!(holder, "process 4700 on workbench");
}

#[test]
fn every_kind_of_event_has_its_example() {
    let kind = |json: &str| {
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        value["kind"].as_str().expect("a kind").to_owned()
    };
    let shown: BTreeSet<String> = blocks("jsonl").concat().lines().map(kind).collect();
    let events = [every_outcome().1, agents::story().1].concat();
    let all = events.iter().map(|event| kind(&event_to_json(event).expect("it has a format")));
    assert_eq!(shown, all.collect());
}

#[tokio::test]
async fn the_files_of_a_run_are_those_that_are_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = FsRegistry::new(folder.path());
    let (header, events) = every_outcome();
    write(&registry, &header, &events).await;
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats.md")).expect("the page");
    let mut open = vec![registry.run_folder(&header.run)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("text");
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                assert!(page.contains(&name), "{name} is not described");
            }
        }
    }
}
