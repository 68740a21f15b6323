//! The page about testing names every crash point that the code has, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn in_code(folder: &Path, points: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            in_code(&path, points);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("source in UTF-8");
            let calls = text.split("crash_point(\"").skip(1).filter_map(|rest| rest.split('"').next());
            points.extend(calls.map(str::to_owned));
        }
    }
}

#[test]
fn the_page_about_testing_lists_all_crash_points() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut points = BTreeSet::new();
    for library in ["gadugi-core", "gadugi-exec", "gadugi-registry", "gadugi-worktree"] {
        in_code(&workspace.join(library).join("src"), &mut points);
    }
    let page = fs::read_to_string(workspace.join("docs/testing.md")).expect("the page");
    let (_, table) = page.split_once("| point | when |").expect("a table of points");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let listed: BTreeSet<String> = rows.filter_map(|row| Some(row.split('`').nth(1)?.to_owned())).collect();
    assert_eq!(listed, points);
    assert!(points.len() > 20, "the code has points");
}
