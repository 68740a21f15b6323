//! Reads drafts from the sources of tasks.

use std::io::Read;
use std::path::Path;

use gadugi_core::plan::SourceLocation;

use crate::config::Config;
use crate::config::setting::key_names;
use crate::input::Findings;
use crate::input::collect::TaskSource;
use crate::input::draft::{BATCH_KEYS, BatchLayer, Draft, Names, Prompt, TASK_KEYS};
use crate::input::foreign::{PassedOver, is_known, sift};
use crate::input::front_matter::read_front_matter;
use crate::input::issue::{InputIssue, whole};
use crate::input::markdown::{self, Parts, Unsplit};
use crate::input::no_task::{kind_by_content, kind_by_ending};
use crate::parse::document::{Entry, parse_toml};
use crate::parse::fields::{Fields, Located};
use crate::parse::{KeyIssue, read_text, read_text_file, shown};

/// Reads sources of tasks, and notes errors and what is passed over.
pub(crate) struct Reader<'a> {
    /// The folder of relative paths.
    pub(crate) folder: &'a Path,
    pub(crate) config: &'a Config,
    pub(crate) found: &'a mut Findings,
}

impl Reader<'_> {
    /// Reads all drafts of a source.
    pub(crate) fn read(&mut self, source: &TaskSource, stdin: &mut dyn Read) -> Vec<Draft> {
        let shown = source.shown();
        let at = whole(shown);
        let text = match source {
            TaskSource::Stdin => read_text(stdin, &at),
            TaskSource::File(file) => read_text_file(&self.folder.join(file), file),
        };
        let text = match text {
            Ok(text) => text,
            Err(issue) => {
                self.found.issues.push(InputIssue::File(issue));
                return Vec::new();
            }
        };
        if markdown::is_blank(&text) {
            self.found.issues.push(InputIssue::Empty { at });
            return Vec::new();
        }
        if source.is_batch() {
            return self.read_batch(&text, shown);
        }
        let names = match source {
            TaskSource::Stdin => Names { plain: "stdin".into(), unique: "stdin".into() },
            TaskSource::File(file) => names_of(file),
        };
        self.read_task(&text, at, names).into_iter().collect()
    }

    /// Makes a draft of each text of the command line.
    pub(crate) fn read_texts(&mut self, texts: &[String]) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for (number, text) in (1..).zip(texts) {
            let at = whole(format!("<text {number}>"));
            let Some(title) = markdown::title(text) else {
                self.found.issues.push(InputIssue::Empty { at });
                continue;
            };
            if matches!(markdown::split(text, &is_known), Ok(Parts { front_matter: Some(block), .. }) if block.has_key(&is_known))
            {
                self.found.issues.push(InputIssue::KeysInText { at });
                continue;
            }
            let names = Names { plain: first_words(&title), unique: format!("text {number}") };
            drafts.push(Draft::of_prompt(at, names, Prompt::trimmed(text)));
        }
        drafts
    }

    /// Cuts a file into its front matter, if it has any, and its text; an error where it is no task file.
    fn cut<'t>(&self, text: &'t str, at: &SourceLocation) -> Result<Parts<'t>, InputIssue> {
        let by_ending = kind_by_ending(&at.file);
        let no_task = |what| InputIssue::NoTask { at: at.clone(), what };
        match (markdown::split(text, &is_known), by_ending) {
            (Ok(Parts { front_matter: Some(block), body }), kind) => match kind.filter(|_| !block.has_key(&is_known)) {
                Some(kind) => Err(no_task(kind)),
                None => Ok(Parts { front_matter: Some(block), body }),
            },
            (_, Some(kind)) => Err(no_task(kind)),
            (Ok(parts), None) => kind_by_content(text).map_or(Ok(parts), |kind| Err(no_task(kind))),
            (Err(unsplit), None) => Err(unsplit_issue(unsplit, &at.file)),
        }
    }

    /// Reads a Markdown file.
    fn read_task(&mut self, text: &str, at: SourceLocation, mut names: Names) -> Option<Draft> {
        let parts = self.cut(text, &at).map_err(|issue| self.found.issues.push(issue)).ok()?;
        let prompt = Prompt::trimmed(parts.body);
        let Some(block) = parts.front_matter else { return Some(Draft::of_prompt(at, names, prompt)) };
        let strict = self.config.strict;
        let entries = read_front_matter(&block, &at.file, strict);
        let mut entries = entries.map_err(|issue| self.found.issues.push(issue)).ok()?;
        if !strict {
            let sifted = sift(entries, &at.file, self.config, &mut self.found.passed);
            names.plain = sifted.name.unwrap_or(names.plain);
            entries = sifted.entries;
            for stands_for in ["$ARGUMENTS", "${input:"].into_iter().filter(|word| parts.body.contains(word)) {
                let what = format!("{stands_for} (it stays in the text as it is)");
                self.found.passed.push(PassedOver { at: at.clone(), what });
            }
        }
        let mut wrong = Vec::new();
        let mut fields = Fields::new(&at.file, block.lines_before, &entries, &mut wrong).only(&key_names(&*TASK_KEYS));
        let draft = Draft::read(&mut fields, at.clone(), names, prompt, &mut self.found.issues);
        self.found.issues.extend(wrong.into_iter().map(InputIssue::Key));
        Some(draft)
    }

    /// Reads a file of tables `[[task]]`.
    fn read_batch(&mut self, text: &str, file: &Path) -> Vec<Draft> {
        let entries = match parse_toml(text, file) {
            Ok(entries) => entries,
            Err(wrong) => {
                self.found.issues.extend(wrong.into_iter().map(InputIssue::Key));
                return Vec::new();
            }
        };
        let mut wrong = Vec::new();
        let tables = Fields::new(file, 1, &entries, &mut wrong).only(&["task"]).tables("task", "[[task]]");
        let tables = tables.unwrap_or_default();
        if tables.is_empty() && wrong.is_empty() {
            self.found.issues.push(InputIssue::EmptyBatch { at: whole(file) });
        }
        self.found.issues.extend(wrong.into_iter().map(InputIssue::Key));
        let table = |(n, (line, table)): (usize, &(usize, &[Entry]))| self.read_table(file, n + 1, *line, table);
        tables.iter().enumerate().map(table).collect()
    }

    fn read_table(&mut self, batch: &Path, number: usize, line: usize, table: &[Entry]) -> Draft {
        let known: Vec<&'static str> = key_names(TASK_KEYS.iter().chain(BATCH_KEYS));
        let mut wrong: Vec<KeyIssue> = Vec::new();
        let mut fields = Fields::new(batch, line, table, &mut wrong).only(&known);
        let BatchLayer { prompt: text, prompt_file: file } =
            BatchLayer::read(&mut fields, |setting| Some(setting.example));
        // An agent is told one text, and what is no agent's task has none to be told.
        let told: Vec<&'static str> =
            ["run", "command", "prompt", "prompt_file"].into_iter().filter(|key| fields.has(key)).collect();
        if told.len() > 1 && told.last().is_some_and(|key| key_names(BATCH_KEYS).contains(key)) {
            self.found.issues.push(InputIssue::Several { at: fields.at_key(told[told.len() - 1]), keys: told });
        }
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let title = fields.peek_text("title");
        let names = Names {
            plain: title
                .map(str::to_owned)
                .or_else(|| file.as_ref().map(|file| stem(Path::new(&file.value))))
                .unwrap_or_else(|| format!("{} {number}", stem(batch))),
            unique: format!("{} {number}", batch.with_extension("").to_string_lossy()),
        };
        let prompt = match (text, file) {
            (Some(text), _) => Prompt::trimmed(&text.value),
            (None, Some(file)) => self.read_prompt(batch, &file),
            (None, None) if fields.has("prompt") || fields.has("prompt_file") => Prompt::Unclear,
            (None, None) => Prompt::Text(String::new()),
        };
        let at = fields.at();
        let draft = Draft::read(&mut fields, at, names, prompt, &mut self.found.issues);
        self.found.issues.extend(wrong.into_iter().map(InputIssue::Key));
        draft
    }

    /// Reads a prompt from a file, which is named from the folder that the batch is in. Front matter of it is passed over: the
    /// table says what there is to say of the task.
    fn read_prompt(&mut self, batch: &Path, file: &Located<String>) -> Prompt {
        let shown = batch.parent().unwrap_or(Path::new("")).join(&file.value);
        let text = match read_text_file(&self.folder.join(&shown), &shown) {
            Ok(text) => text,
            Err(issue) => {
                self.found.issues.push(InputIssue::PromptFile { at: file.at.clone(), issue });
                return Prompt::Unclear;
            }
        };
        let at = whole(shown);
        let parts = match self.cut(&text, &at) {
            Ok(parts) if !markdown::is_blank(parts.body) => parts,
            Ok(_) => {
                self.found.issues.push(InputIssue::Empty { at });
                return Prompt::Unclear;
            }
            Err(issue) => {
                self.found.issues.push(issue);
                return Prompt::Unclear;
            }
        };
        if parts.front_matter.is_some() {
            self.found.passed.push(PassedOver { at, what: "its front matter".to_owned() });
        }
        Prompt::trimmed(parts.body)
    }
}

fn unsplit_issue(unsplit: Unsplit, file: &Path) -> InputIssue {
    let at = |line| SourceLocation { line, ..whole(file) };
    match unsplit {
        Unsplit::Unclosed(line) => InputIssue::Unclosed { at: at(line) },
        Unsplit::NearFence(line, found) => InputIssue::NearFence { at: at(line), found: shown(&found) },
        Unsplit::NoFence(line) => InputIssue::NoFence { at: at(line) },
        Unsplit::NotFirst(line) => InputIssue::NotFirst { at: at(line) },
    }
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
