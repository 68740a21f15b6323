//! From the places where tasks stand to drafts.

use std::io::Read;
use std::path::Path;

use gadugi_core::SourceLocation;

use crate::config::document::{Entry, Node, Value, parse_toml};
use crate::config::fields::{Fields, Located};
use crate::config::{KeyIssue, read_text, read_text_file};
use crate::input::collect::Source;
use crate::input::draft::{BATCH_KEYS, Draft, Names, Prompt, TASK_KEYS};
use crate::input::issue::{InputIssue, whole};
use crate::input::markdown::{self, Parts, Unclosed};
use crate::input::yaml::parse_yaml;

/// Reads all drafts of a place. What is wrong is noted.
pub(crate) fn read_source(
    source: &Source,
    folder: &Path,
    stdin: &mut dyn Read,
    issues: &mut Vec<InputIssue>,
) -> Vec<Draft> {
    let shown = source.shown();
    let at = whole(shown);
    let text = match source {
        Source::Stdin => read_text(stdin, &at),
        Source::File(file) => read_text_file(&folder.join(file), file),
    };
    let text = match text {
        Ok(text) => text,
        Err(issue) => {
            issues.push(InputIssue::File(issue));
            return Vec::new();
        }
    };
    if text.trim().is_empty() {
        issues.push(InputIssue::Empty { at });
        return Vec::new();
    }
    if source.is_batch() {
        return read_batch(&text, shown, folder, issues);
    }
    let names = match source {
        Source::Stdin => Names { plain: "stdin".into(), unique: "stdin".into() },
        Source::File(file) => names_of(file),
    };
    read_task(&text, at, names, issues).into_iter().collect()
}

/// Makes a draft of each text of the command line.
pub(crate) fn read_texts(texts: &[String], issues: &mut Vec<InputIssue>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (number, text) in (1..).zip(texts) {
        let at = whole(format!("<text {number}>"));
        let Some(title) = markdown::title(text) else {
            issues.push(InputIssue::Empty { at });
            continue;
        };
        let names = Names { plain: first_words(&title), unique: format!("text {number}") };
        drafts.push(Draft::of_prompt(at, names, Prompt::trimmed(text)));
    }
    drafts
}

/// As many words as make a handy id.
fn first_words(title: &str) -> String {
    let mut words = String::new();
    for word in title.split(' ') {
        if !words.is_empty() && words.len() + word.len() > 32 {
            break;
        }
        words.push_str(word);
        words.push(' ');
    }
    words
}

fn names_of(file: &Path) -> Names {
    let plain = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    Names { plain, unique: file.with_extension("").to_string_lossy().into_owned() }
}

/// Reads a Markdown file.
fn read_task(text: &str, at: SourceLocation, names: Names, issues: &mut Vec<InputIssue>) -> Option<Draft> {
    let Parts { front_matter, body } = match markdown::split(text) {
        Ok(parts) => parts,
        Err(Unclosed) => {
            issues.push(InputIssue::Unclosed { at: SourceLocation { line: 1, ..at } });
            return None;
        }
    };
    let prompt = Prompt::trimmed(body);
    let Some(front_matter) = front_matter else { return Some(Draft::of_prompt(at, names, prompt)) };
    let node = match parse_yaml(front_matter, &at.file, 1) {
        Ok(node) => node,
        Err(issue) => {
            issues.push(InputIssue::Key(issue));
            return None;
        }
    };
    let entries = match node {
        Node { value: Value::Table(entries), .. } => entries,
        Node { value: Value::Nothing, .. } => Vec::new(),
        other => {
            let at = SourceLocation { line: 1, ..at };
            issues.push(InputIssue::NotKeys { at, found: other.in_words() });
            return None;
        }
    };
    let mut wrong = Vec::new();
    let mut fields = Fields::new(&at.file, 1, &entries, &mut wrong).only(TASK_KEYS);
    let draft = Draft::read(&mut fields, at.clone(), names, prompt, issues);
    issues.extend(wrong.into_iter().map(InputIssue::Key));
    Some(draft)
}

/// Reads a file of tables `[[task]]`.
fn read_batch(text: &str, file: &Path, folder: &Path, issues: &mut Vec<InputIssue>) -> Vec<Draft> {
    let entries = match parse_toml(text, file) {
        Ok(entries) => entries,
        Err(wrong) => {
            issues.extend(wrong.into_iter().map(InputIssue::Key));
            return Vec::new();
        }
    };
    let mut wrong = Vec::new();
    let tables = Fields::new(file, 1, &entries, &mut wrong).only(&["task"]).tables("task", "[[task]]");
    let tables = tables.unwrap_or_default();
    if tables.is_empty() && wrong.is_empty() {
        issues.push(InputIssue::EmptyBatch { at: whole(file) });
    }
    issues.extend(wrong.into_iter().map(InputIssue::Key));
    let batch = Batch { file, folder };
    tables.iter().enumerate().map(|(n, (line, table))| batch.read(n + 1, *line, table, issues)).collect()
}

struct Batch<'a> {
    /// As the user named it.
    file: &'a Path,
    /// What it is relative to.
    folder: &'a Path,
}

impl Batch<'_> {
    fn read(&self, number: usize, line: usize, table: &[Entry], issues: &mut Vec<InputIssue>) -> Draft {
        let known: Vec<&'static str> = TASK_KEYS.iter().chain(BATCH_KEYS).copied().collect();
        let mut wrong: Vec<KeyIssue> = Vec::new();
        let mut fields = Fields::new(self.file, line, table, &mut wrong).only(&known);
        let text = fields.text("prompt", "\"What is to be done.\"");
        let file = fields.text("prompt_file", "\"prompts/login.md\"");
        // An agent is told one text, and what is no agent's task has none to be told.
        let told: Vec<&'static str> =
            ["run", "command", "prompt", "prompt_file"].into_iter().filter(|key| fields.has(key)).collect();
        if told.len() > 1 && told.last().is_some_and(|key| BATCH_KEYS.contains(key)) {
            issues.push(InputIssue::Several { at: fields.at_key(told[told.len() - 1]), keys: told });
        }
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let title = fields.peek_text("title");
        let names = Names {
            plain: title
                .map(str::to_owned)
                .or_else(|| file.as_ref().map(|file| stem(Path::new(&file.value))))
                .unwrap_or_else(|| format!("{} {number}", stem(self.file))),
            unique: format!("{} {number}", self.file.with_extension("").to_string_lossy()),
        };
        let prompt = match (text, file) {
            (Some(text), _) => Prompt::trimmed(&text.value),
            (None, Some(file)) => self.read_prompt(&file, issues),
            (None, None) if fields.has("prompt") || fields.has("prompt_file") => Prompt::Unclear,
            (None, None) => Prompt::Text(String::new()),
        };
        let at = fields.at();
        let draft = Draft::read(&mut fields, at, names, prompt, issues);
        issues.extend(wrong.into_iter().map(InputIssue::Key));
        draft
    }

    /// Reads a prompt from a file, which is named from the folder that the batch is in.
    fn read_prompt(&self, file: &Located<String>, issues: &mut Vec<InputIssue>) -> Prompt {
        let shown = self.file.parent().unwrap_or(Path::new("")).join(&file.value);
        match read_text_file(&self.folder.join(&shown), &shown) {
            Ok(text) if text.trim().is_empty() => issues.push(InputIssue::Empty { at: whole(shown) }),
            Ok(text) => return Prompt::trimmed(&text),
            Err(issue) => issues.push(InputIssue::PromptFile { at: file.at.clone(), issue }),
        }
        Prompt::Unclear
    }
}
