//! Reads the keys of a table. A wrong value is noted and the next key read, so that all errors of a file are reported at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use gadugi_core::plan::SourceLocation;

use crate::parse::document::{Entry, Node, Value};
use crate::parse::key_issue::{KeyIssue, ValueIssue, shown, similar_key};
use crate::parse::quantity::QuantityError;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) at: SourceLocation,
}

/// The keys of one table of a file.
pub(crate) struct Fields<'a, 'n> {
    file: &'a Path,
    line: usize,
    entries: &'a [Entry],
    /// Turns a key into its name in messages.
    called: fn(&str) -> String,
    issues: &'n mut Vec<KeyIssue>,
    unknown: bool,
}

impl<'a, 'n> Fields<'a, 'n> {
    /// The keys of the table that begins on `line`.
    pub(crate) fn new(file: &'a Path, line: usize, entries: &'a [Entry], issues: &'n mut Vec<KeyIssue>) -> Self {
        Self { file, line, entries, called: str::to_owned, issues, unknown: false }
    }

    /// The keys of a table in this one.
    pub(crate) fn nested(&mut self, line: usize, entries: &'a [Entry]) -> Fields<'a, '_> {
        Fields { file: self.file, line, entries, called: self.called, issues: self.issues, unknown: false }
    }

    /// Notes every key that is not one of these.
    pub(crate) fn only(mut self, known: &[&'static str]) -> Self {
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.issues.push(KeyIssue::UnknownKey {
                at: SourceLocation { file: self.file.to_owned(), line: entry.line },
                key: shown(&entry.key),
                suggestion: similar_key(&entry.key, known.iter().copied()).map(str::to_owned),
                known: known.to_vec(),
            });
            self.unknown = true;
        }
        self
    }

    /// Whether [`Fields::only`] has found a key that it does not know.
    pub(crate) fn has_unknown(&self) -> bool {
        self.unknown
    }

    /// Sets the names of keys in messages.
    pub(crate) fn called(self, called: fn(&str) -> String) -> Self {
        Self { called, ..self }
    }

    /// The location of the table.
    pub(crate) fn at(&self) -> SourceLocation {
        SourceLocation { file: self.file.to_owned(), line: self.line }
    }

    /// The location of a key, or of the table if it has no such key.
    pub(crate) fn at_key(&self, key: &str) -> SourceLocation {
        let line = self.entries.iter().find(|entry| entry.key == key).map_or(self.line, |entry| entry.line);
        SourceLocation { file: self.file.to_owned(), line }
    }

    /// Whether the table has that key, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// Notes that a key is missing.
    pub(crate) fn note_missing(&mut self, key: &'static str, example: &'static str) {
        let at = self.at();
        self.issues.push(KeyIssue::MissingKey { at, key, example });
    }

    /// Notes what is wrong with the value of a key.
    pub(crate) fn note_value(&mut self, key: &str, at: SourceLocation, issue: ValueIssue) {
        self.issues.push(KeyIssue::Value { at, key: (self.called)(key), issue: issue.into() });
    }

    fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    fn locate(&self, node: &Node) -> SourceLocation {
        SourceLocation { file: self.file.to_owned(), line: node.line }
    }

    fn wrong_type(&mut self, key: &str, node: &Node, expected: impl Into<String>, example: &'static str) {
        self.issues.push(KeyIssue::WrongType {
            at: self.locate(node),
            key: (self.called)(key),
            expected: expected.into(),
            found: node.in_words(),
            example,
        });
    }

    /// The text of a node, without what no program can be given.
    fn text_of(&mut self, key: &str, node: &Node, example: &'static str) -> Option<Located<String>> {
        let text = match (&node.value, &node.bare) {
            (Value::Text(text), _) => text,
            (Value::Switch(_) | Value::Integer(_) | Value::Float(_), Some(bare)) => bare,
            _ => {
                self.wrong_type(key, node, "a text", example);
                return None;
            }
        };
        let at = self.locate(node);
        if text.contains('\0') {
            self.note_value(key, at, ValueIssue::Nul);
            return None;
        }
        Some(Located { value: text.clone(), at })
    }

    /// A text with something in it.
    pub(crate) fn text(&mut self, key: &str, example: &'static str) -> Option<Located<String>> {
        let text = self.text_of(key, self.node(key)?, example)?;
        if text.value.trim().is_empty() {
            self.note_value(key, text.at, ValueIssue::Blank);
            return None;
        }
        Some(text)
    }

    /// A text, without a note if it is none.
    pub(crate) fn peek_text(&self, key: &str) -> Option<&'a str> {
        match &self.node(key)?.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }

    /// A text of a form of its own.
    pub(crate) fn parsed<T, E: Into<ValueIssue>>(
        &mut self,
        key: &str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key, example)?;
        parse(&text.value).map_err(|error| self.note_value(key, text.at, error.into())).ok()
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&mut self, key: &str, words: &'static [&'static str], values: &[T]) -> Option<T> {
        self.parsed(key, words[0], |text| {
            let found = words.iter().position(|word| *word == text);
            found.map(|at| values[at]).ok_or_else(|| ValueIssue::NoneOf { found: shown(text), words })
        })
    }

    /// A length of time or an amount of memory. A bare number is given to `parse` too, which asks for the unit.
    pub(crate) fn quantity<T>(
        &mut self,
        key: &str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, QuantityError>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let bare = match &node.value {
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => return self.parsed(key, example, parse),
        };
        let at = self.locate(node);
        parse(&bare).map_err(|error| self.note_value(key, at, error.into())).ok()
    }

    /// A whole number in the range that `convert` takes.
    pub(crate) fn integer<T>(
        &mut self,
        key: &str,
        expected: &str,
        example: &'static str,
        convert: impl FnOnce(i128) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let number = match node.value {
            Value::Integer(number) => convert(number),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type(key, node, expected, example);
        }
        number
    }

    /// A number above zero.
    pub(crate) fn positive(&mut self, key: &str, example: &'static str) -> Option<f64> {
        let node = self.node(key)?;
        let number = match node.value {
            Value::Integer(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        };
        let number = number.filter(|number| *number > 0.0 && number.is_finite());
        if number.is_none() {
            self.wrong_type(key, node, "a number above 0", example);
        }
        number
    }

    /// `true` or `false`.
    pub(crate) fn switch(&mut self, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        if let Value::Switch(value) = node.value {
            return Some(value);
        }
        self.wrong_type(key, node, "`true` or `false`", "true");
        None
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &str, example: &'static str) -> Option<Vec<Located<String>>> {
        let node = self.node(key)?;
        let Value::List(items) = &node.value else {
            self.wrong_type(key, node, "a list of texts", example);
            return None;
        };
        Some(items.iter().filter_map(|item| self.text_of(key, item, example)).collect())
    }

    /// A shell script, as a text or as a list of its lines; an empty one stands for none.
    pub(crate) fn script(&mut self, key: &str, example: &'static str) -> Option<String> {
        let node = self.node(key)?;
        let lines = match &node.value {
            Value::List(items) => items.iter().filter_map(|item| self.text_of(key, item, example)).collect(),
            Value::Text(_) => vec![self.text_of(key, node, example)?],
            _ => {
                self.wrong_type(key, node, "a text or a list of texts", example);
                return None;
            }
        };
        let lines: Vec<String> = lines.into_iter().map(|line: Located<String>| line.value).collect();
        Some(lines.join("\n").trim().to_owned())
    }

    /// A list of names of variables.
    pub(crate) fn variables(&mut self, key: &str, example: &'static str) -> Option<Vec<Located<String>>> {
        let mut names = self.texts(key, example)?;
        names.retain(|name| self.is_variable(key, &name.value, &name.at));
        Some(names)
    }

    /// A list of names of variables, where a `*` at the end of one stands for any rest.
    pub(crate) fn variable_patterns(&mut self, key: &str, example: &'static str) -> Option<Vec<Located<String>>> {
        let mut names = self.texts(key, example)?;
        names.retain(|name| {
            let start = name.value.strip_suffix('*').unwrap_or(&name.value);
            self.is_variable(key, start, &name.at)
        });
        Some(names)
    }

    fn is_variable(&mut self, key: &str, name: &str, at: &SourceLocation) -> bool {
        let wrong = |c: char| matches!(c, '=' | '*') || c.is_whitespace() || c.is_control();
        let valid = !name.is_empty() && !name.contains(wrong);
        if !valid {
            let name = shown(name);
            self.note_value(key, at.clone(), ValueIssue::VariableName { name });
        }
        valid
    }

    /// A table of variables and their values.
    pub(crate) fn environment(&mut self, key: &str, example: &'static str) -> Option<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        for entry in self.table(key, example)? {
            let at = SourceLocation { file: self.file.to_owned(), line: entry.line };
            let value = self.text_of(&format!("{key}.{}", entry.key), &entry.node, "\"a text in quotes\"");
            if self.is_variable(key, &entry.key, &at)
                && let Some(value) = value
            {
                variables.insert(entry.key.clone(), value.value);
            }
        }
        Some(variables)
    }

    /// A list of tables, each with the line that it begins on.
    pub(crate) fn tables(&mut self, key: &str, example: &'static str) -> Option<Vec<(usize, &'a [Entry])>> {
        let Some(node) = self.node(key) else { return Some(Vec::new()) };
        let Value::List(items) = &node.value else {
            self.wrong_type(key, node, "a list of tables", example);
            return None;
        };
        let mut tables = Vec::new();
        for item in items {
            match &item.value {
                Value::Table(entries) => tables.push((item.line, &entries[..])),
                _ => self.wrong_type(key, item, "a list of tables", example),
            }
        }
        Some(tables)
    }

    /// A table.
    pub(crate) fn table(&mut self, key: &str, example: &'static str) -> Option<&'a [Entry]> {
        let node = self.node(key)?;
        if let Value::Table(entries) = &node.value {
            return Some(entries);
        }
        self.wrong_type(key, node, "a table", example);
        None
    }
}

/// [`Fields::parsed`] for a type that parses itself.
pub(crate) fn from_text<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}
