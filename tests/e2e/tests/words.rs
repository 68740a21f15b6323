//! The language of doc comments: a sentence starts with the noun or the verb of its thing.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;

/// Openers of a relative clause, which leave out the noun.
const OPENERS: [&str; 8] = ["What", "How", "Those", "That", "Which", "Who", "By which", "Whether"];

/// The part of a crate's doc comments that may begin so, in percent.
const MAX_PERCENT: usize = 5;

#[test]
fn doc_comments_start_with_the_noun_or_the_verb_of_their_thing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let workspace = MetadataCommand::new().manifest_path(root).no_deps().exec().expect("cargo describes the workspace");
    let mut failures = Vec::new();
    assert!(workspace.packages.len() > 5, "the workspace has all crates");
    for package in &workspace.packages {
        let name = &package.name;
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path();
        let (mut all, mut found) = (0, Vec::new());
        for path in rust_files(folder) {
            let text = fs::read_to_string(&path).expect("a source file");
            let comments = doc_comments(&text);
            all += comments.len();
            let clauses = comments.iter().filter(|comment| comment.opens_with_a_clause());
            found.extend(clauses.map(|comment| format!("{}:{}: {}", path.display(), comment.line, comment.opener)));
        }
        assert!(all > 0, "{name} has no doc comments");
        if found.len() * 100 > all * MAX_PERCENT {
            let most = all * MAX_PERCENT / 100;
            failures.push(format!("{name}: {} of {all}, at most {most}:\n{}", found.len(), found.join("\n")));
        }
    }
    assert!(failures.is_empty(), "doc comments that begin with a relative clause:\n{}", failures.join("\n\n"));
}

#[test]
fn the_search_for_openers_sees_the_first_line_of_a_comment_and_allows_whether_for_a_bool() {
    let source = "
        //! What a module does.
        //! How it goes on does not count.

        /// Whatever it is.
        struct Whatever {
            /// Whether it is.
            #[serde(default)]
            is: bool,
            /// Whether, as a number.
            number: u64, // bool
            /// Whether it stops.
            stop: Arc<AtomicBool>,
        }

        /// Whether it holds for all.
        fn all(items: &[Item], holds: impl Fn(&Item) -> Option<u8>)
            -> Result<bool, Error> {}

        /// Whether it holds, as a word.
        fn word(holds: impl Fn(&Item) -> bool) -> &'static str {}

        /// By which it is found.
        /// By the way.
        fn find(is: bool);
        //// Which is no doc comment.
        // How this is none either.
        /// Whether one is there, if that can be told.
        async fn is_there() -> Option<bool>;
    ";
    let comments = doc_comments(source);
    assert_eq!(comments.len(), 9);
    let found: Vec<_> = comments.iter().filter(|comment| comment.opens_with_a_clause()).collect();
    let openers: Vec<_> = found.iter().map(|comment| comment.opener).collect();
    assert_eq!(
        openers,
        ["What a module does.", "Whether, as a number.", "Whether it holds, as a word.", "By which it is found."]
    );
    assert_eq!(found[0].line, 2);
}

/// A doc comment, of a module or of an item.
struct DocComment<'a> {
    /// The number of its first line.
    line: usize,
    /// The text of that line.
    opener: &'a str,
    /// Whether its item is a bool, or a function that answers with one.
    is_of_bool: bool,
}

impl DocComment<'_> {
    fn opens_with_a_clause(&self) -> bool {
        let is_word = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let opener = OPENERS.iter().find(|opener| self.opener.strip_prefix(**opener).is_some_and(is_word));
        opener.is_some_and(|opener| *opener != "Whether" || !self.is_of_bool)
    }
}

/// The doc comments of a source file.
fn doc_comments(source: &str) -> Vec<DocComment<'_>> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(text) = doc_text(line) else { continue };
        if at > 0 && doc_text(lines[at - 1]).is_some() {
            continue;
        }
        let end = at + lines[at..].iter().take_while(|line| doc_text(line).is_some()).count();
        let is_item = line.starts_with("///");
        found.push(DocComment { line: at + 1, opener: text, is_of_bool: is_item && is_of_bool(&lines[end..]) });
    }
    found
}

/// The text of a line of a doc comment; `None` for any other line.
fn doc_text(line: &str) -> Option<&str> {
    let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///").filter(|rest| !rest.starts_with('/')))?;
    Some(text.trim_start())
}

/// Whether the item that begins with these lines, after its attributes, is a bool or a function that answers with one.
fn is_of_bool(lines: &[&str]) -> bool {
    let mut item = String::new();
    for line in lines.iter().skip_while(|line| line.starts_with("#[") || line.starts_with("//")).take(20) {
        let code = line.split("//").next().unwrap_or_default();
        item.push_str(code);
        item.push(' ');
        let is_field = !item.contains("fn ") && code.trim_end().ends_with(',');
        if is_field || code.contains('{') || code.trim_end().ends_with(';') {
            break;
        }
    }
    let item = item.split('{').next().unwrap_or_default();
    match item.split_once("fn ") {
        Some((_, signature)) => answer(signature).is_some_and(|mut answer| {
            // A result or an option of it counts too.
            while let Some((outer, inner)) = answer.split_once('<') {
                if !(outer.ends_with("Result") || outer.ends_with("Option")) {
                    break;
                }
                answer = inner;
            }
            words(answer).next() == Some("bool")
        }),
        None => words(item).any(|word| matches!(word, "bool" | "AtomicBool")),
    }
}

/// The type behind the parameters of a function's signature.
fn answer(signature: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, letter) in signature.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return signature[at + 1..].trim_start().strip_prefix("->").map(str::trim_start),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// The Rust files below the folder of a crate, without those that were built.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
