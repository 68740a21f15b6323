//! Setups and copied files in containers.

use serde_json::{Value, json};

use super::dock::Dock;

#[test]
fn a_setup_runs_in_a_container_like_that_of_its_task() {
    let Some(dock) = Dock::new() else { return };
    dock.repo.write(".gitignore", ".signs/\n.env\n");
    dock.repo.git(&["commit", "-q", "-a", "-m", "Ignore more"]);
    dock.repo.write(".worktreeinclude", ".env\n");
    dock.repo.write(".env", "seeded\n");
    let setup = "setup: |\n  test -d /run/gadugi\n  mkdir .signs\n  cat .env > .signs/made\n  echo set up\n";
    let file = dock.scripted("good", setup, "cat .signs/made\ngit status --porcelain");
    let bad = dock.scripted("bad", "setup: exit 9\n", "touch ran");
    dock.gadugi(&["run", &file, &bad]).expect(1);
    assert_eq!(dock.gadugi(&["logs", "good"]).expect(0).out, "set up\nseeded\n");
    let report = dock.report();
    let commands = report["tasks"][0]["attempts"][0]["commands"].as_array().expect("commands").clone();
    assert_eq!(commands.iter().map(|command| &command["phase"]).collect::<Vec<&Value>>(), ["setup", "main"]);
    assert!(commands.iter().all(|command| command["executor"] == "docker"));
    let failure = json!({ "kind": "setup", "status": { "kind": "code", "code": 9 } });
    assert_eq!(report["tasks"][1]["outcome"]["failure"], failure);
    dock.assert_clean();
}
