//! The values of a TOML or YAML file, each with its line.

use std::path::Path;

use gadugi_core::plan::SourceLocation;
use toml::de::{DeTable, DeValue};

use crate::parse::key_issue::{KeyIssue, shown};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) value: Value,
    /// For a bare word of YAML, as it was written: there `8080`, `1.10` and `true` can be meant as text.
    pub(crate) bare: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Nothing,
    Switch(bool),
    Integer(i128),
    Float(f64),
    Date,
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) node: Node,
}

impl Node {
    /// In words, for "must be …, not …".
    pub(crate) fn in_words(&self) -> String {
        match &self.value {
            Value::Nothing => "nothing".into(),
            Value::Switch(value) => format!("`{value}`"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Date => "a date".into(),
            Value::Text(text) => format!("the text `{}`", shown(text)),
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
        }
    }
}

/// Reads a TOML file, and reports all errors in its syntax.
///
/// # Errors
/// [`KeyIssue::Syntax`].
pub(crate) fn parse_toml(text: &str, file: &Path) -> Result<Vec<Entry>, Vec<KeyIssue>> {
    let line_starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let line_of = |offset: usize| 1 + line_starts.partition_point(|start| *start <= offset);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(entries(table.into_inner(), &line_of));
    }
    let issue = |error: &toml::de::Error| KeyIssue::Syntax {
        at: SourceLocation { file: file.to_owned(), line: error.span().map_or(0, |span| line_of(span.start)) },
        format: "TOML",
        message: error.message().lines().collect::<Vec<_>>().join(", "),
    };
    Err(errors.iter().map(issue).collect())
}

fn entries(table: DeTable<'_>, line_of: &dyn Fn(usize) -> usize) -> Vec<Entry> {
    let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<DeValue<'_>>)| Entry {
        line: line_of(key.span().start),
        key: std::borrow::Cow::into_owned(key.into_inner()),
        node: node(value, line_of),
    };
    let mut entries: Vec<Entry> = table.into_iter().map(entry).collect();
    // The table is in the order of the alphabet; messages follow the file.
    entries.sort_by_key(|entry| entry.line);
    entries
}

fn node(value: toml::Spanned<DeValue<'_>>, line_of: &dyn Fn(usize) -> usize) -> Node {
    let line = line_of(value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            let out_of_range = if digits.starts_with('-') { i128::MIN } else { i128::MAX };
            Value::Integer(i128::from_str_radix(digits, number.radix()).unwrap_or(out_of_range))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Switch(value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(array) => Value::List(array.into_iter().map(|value| node(value, line_of)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, line_of)),
    };
    Node { line, value, bare: None }
}
