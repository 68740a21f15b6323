//! Secrets reach the command, and nothing else.

use std::fs;
use std::path::Path;

use gadugi_core::Executor;

use crate::harness::{Harness, chain, log};

const CANARY: &str = "c4n4ry-0f-th3-s3cr3t";

/// Whether the canary stands in a file below a folder.
fn is_in(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => is_in(&path),
            false => fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(CANARY)),
        }
    })
}

#[tokio::test]
async fn a_secret_is_seen_by_the_command_and_by_nobody_else() {
    let value = format!("{CANARY} 'quoted' \"twice\" $HOME `id` \\ \nsecond line\n");
    let change = |settings: &mut gadugi_exec::docker::DockerSettings| {
        settings.environment.insert("API_KEY".into(), value.clone().into());
        settings.environment.insert("PASSED_TOKEN".into(), CANARY.into());
        settings.environment.insert("UNASKED".into(), CANARY.into());
        settings.passed = vec!["PASSED_*".to_owned()];
    };
    let Some(harness) = Harness::with(change) else { return };
    // It tells how much it has got by a sum, and waits to be looked at.
    let mut request = harness.script(
        "printf %s \"$API_KEY\" | od -An -tx1 | tr -d ' \\n'; echo; printf %s \"$PASSED_TOKEN\" | wc -c; echo \"[$UNASKED]\"\n\
         cat; touch seen; while ! [ -e go ]; do sleep 0.01; done",
    );
    request.secrets = vec!["API_KEY".to_owned()];
    request.stdin = Some("the prompt\n".to_owned());
    let task = harness.start(&request).await;
    while !harness.folder().join("seen").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let id = harness.containers().pop().expect("it runs");
    let inspected = harness.docker.run(&["inspect", &id]);
    assert!(!inspected.contains(CANARY), "{inspected}");
    assert!(!harness.docker.run(&["logs", &id]).contains(CANARY));
    assert!(!task.identity().token.contains(CANARY));
    let processes = std::process::Command::new("ps").args(["-eo", "args"]).output().expect("ps can be started");
    assert!(!String::from_utf8_lossy(&processes.stdout).contains(CANARY), "it is no argument");
    assert!(!is_in(harness.root.path()), "it is in no file");
    fs::write(harness.folder().join("go"), "").expect("a file");
    assert!(task.wait().await.expect("its end is seen").status.success());
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(log(&request), format!("{hex}\n{}\n[]\nthe prompt\n", CANARY.len()));
    assert!(!is_in(harness.root.path()), "it is in no file");
}

#[tokio::test]
async fn a_secret_that_is_not_set_or_has_no_name_keeps_the_command_from_starting() {
    let Some(harness) = Harness::new() else { return };
    for (name, said) in [("MISSING", "`MISSING`, which it needs, is not set"), ("NO-NAME", "no name of a variable")] {
        let mut request = harness.argv(&["true"]);
        request.secrets = vec![name.to_owned()];
        let error = harness.executor.start(&request).await.err().expect("it cannot be started");
        assert!(chain(&error).contains(said), "{}", chain(&error));
    }
    assert_eq!(harness.containers(), Vec::<String>::new());
}
