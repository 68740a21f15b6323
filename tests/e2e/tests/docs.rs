//! The pages of the documentation: they are short, and what they name exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The lines that the readme may have.
const MAX_README_LINES: usize = 149;

/// The words that a paragraph, or an item of a list, may have.
const MAX_WORDS: usize = 79;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages of the repository, but for licences.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in [root(), root().join("docs")] {
        for entry in fs::read_dir(folder).expect("a folder of pages") {
            let path = entry.expect("an entry of a folder").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The text of a page without its blocks of code.
fn prose(page: &str) -> String {
    let mut in_code = false;
    let mut prose = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code && !line.starts_with("    ") {
            prose.push_str(line);
        }
        prose.push('\n');
    }
    prose
}

/// The paragraphs and the items of lists of a page, without headings and tables.
fn paragraphs(page: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in prose(page).lines() {
        let text = line.trim();
        let is_item =
            text.starts_with("- ") || text.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if text.is_empty() || text.starts_with(['|', '#']) {
            paragraphs.push(String::new());
            continue;
        }
        if is_item {
            paragraphs.push(String::new());
        }
        if let Some(paragraph) = paragraphs.last_mut() {
            *paragraph += text;
            paragraph.push(' ');
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// The name by which links reach a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    prose(page).lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// The targets of the links and pictures of a page, without the titles of links.
fn targets(page: &str) -> Vec<String> {
    let prose = prose(page);
    let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter_map(|link| link.split(' ').next()).map(str::to_owned).collect()
}

/// The words in backquotes of a page.
fn quoted(page: &str) -> Vec<String> {
    prose(page)
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn the_readme_fits_on_a_page() {
    let lines = read(&root().join("README.md")).lines().count();
    assert!(lines <= MAX_README_LINES, "README.md has {lines} lines");
}

#[test]
fn no_paragraph_is_long() {
    let mut long = Vec::new();
    for page in pages() {
        for paragraph in paragraphs(&read(&page)) {
            let words = paragraph.split_whitespace().count();
            if words > MAX_WORDS {
                let start: String = paragraph.chars().take(60).collect();
                long.push(format!(
                    "{}: {words} words: {start}…",
                    page.strip_prefix(root()).expect("a page of ours").display()
                ));
            }
        }
    }
    assert!(long.is_empty(), "paragraphs with more than {MAX_WORDS} words:\n{}", long.join("\n"));
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = read(&page);
        for target in targets(&text) {
            if target.contains("://") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let file = if path.is_empty() { page.clone() } else { page.parent().expect("a folder").join(path) };
            let is_alive = file.exists() && (heading.is_empty() || anchors(&read(&file)).contains(heading));
            if !is_alive {
                dead.push(format!("{}: {target}", page.strip_prefix(root()).expect("a page of ours").display()));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn the_paths_of_the_architecture_exist() {
    let page = read(&root().join("docs/architecture.md"));
    let is_path = |word: &String| {
        let start = word.split('/').next().unwrap_or_default();
        word.contains('/') && !word.contains([' ', '<', '*']) && (start.starts_with("gadugi-") || start == "tests")
    };
    let paths: Vec<String> = quoted(&page).into_iter().filter(is_path).collect();
    assert!(paths.len() > 40, "{paths:?}");
    let missing: Vec<_> = paths.into_iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "docs/architecture.md names what does not exist: {missing:?}");
}

#[test]
fn the_architecture_names_every_room_and_no_other() {
    let page = read(&root().join("docs/architecture.md"));
    let (_, rooms) = page.split_once("\n## The rooms\n").expect("its section");
    let (rooms, _) = rooms.split_once("\n## ").expect("a section after it");
    let crates: Vec<&str> = rooms.split("\n### ").skip(1).collect();
    assert_eq!(crates.len(), 5, "each crate has its rooms");
    for section in crates {
        let (name, table) = section.split_once('\n').expect("a heading and a table");
        let source = root().join(name).join("src");
        let first_cells: String =
            table.lines().filter_map(|line| line.split('|').nth(1)).collect::<Vec<_>>().join("\n");
        let named: BTreeSet<String> = quoted(&first_cells).into_iter().collect();
        let missing: Vec<_> = named.iter().filter(|room| !source.join(room).exists()).collect();
        assert!(missing.is_empty(), "{name} has no {missing:?}");
        for entry in fs::read_dir(&source).expect("a folder of sources") {
            let entry = entry.expect("an entry of a folder");
            let room = format!("{}/", entry.file_name().to_string_lossy());
            let is_room = entry.path().is_dir() && room != "bin/";
            assert!(!is_room || named.contains(&room), "docs/architecture.md does not name {room} of {name}");
        }
    }
}

#[test]
fn paragraphs_links_and_anchors_are_seen() {
    let page = "# One, `two`: three\n\nA [link](a.md \"title\") and\n[more](#b).\n- an item\n  of two lines\n1. one\n\n| a table |\n```\n[no](link)\n```\n";
    assert_eq!(paragraphs(page), ["A [link](a.md \"title\") and [more](#b). ", "- an item of two lines ", "1. one "]);
    assert_eq!(targets(page), ["a.md", "#b"]);
    assert_eq!(anchors(page).into_iter().collect::<Vec<_>>(), ["one-two-three"]);
}
