//! Kinds of values: their names in the docs, and how they are read from a file and from a variable.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::parse::document::{Node, Value};
use crate::parse::fields::{Fields, Located, from_text};
use crate::parse::quantity::{TimeLimit, parse_duration, parse_size};

/// Reader of the value of a key, with an example for messages.
type Read<T> = fn(&mut Fields<'_, '_>, &str, &'static str) -> Option<T>;

/// A kind of value.
pub(crate) struct Kind<T> {
    /// The name in the docs, in Markdown.
    pub(crate) name: &'static str,
    /// Reads the value of a key, and notes what is wrong with it.
    pub(crate) read: Read<T>,
    /// Turns the text of a variable into the value that would stand in a file.
    pub(crate) of_variable: fn(&str) -> Value,
}

impl<T> Kind<T> {
    /// A kind whose values are texts.
    pub(crate) const fn text(name: &'static str, read: Read<T>) -> Self {
        Self { name, read, of_variable: |text| Value::Text(text.to_owned()) }
    }

    /// A kind whose values are lists of texts, which a variable separates by commas.
    pub(crate) const fn texts(name: &'static str, read: Read<T>) -> Self {
        Self { name, read, of_variable: list }
    }

    /// A kind whose values are whole numbers.
    const fn integer(name: &'static str, read: Read<T>) -> Self {
        Self {
            name,
            read,
            of_variable: |text| text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Integer),
        }
    }

    /// A kind whose values are `true` and `false`, perhaps with others.
    pub(crate) const fn switch(name: &'static str, read: Read<T>) -> Self {
        Self { name, read, of_variable: switch }
    }
}

fn list(text: &str) -> Value {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::List(items.map(|item| Node { line: 0, value: Value::Text(item.to_owned()), bare: None }).collect())
}

fn switch(text: &str) -> Value {
    match text {
        "true" | "1" => Value::Switch(true),
        "false" | "0" => Value::Switch(false),
        _ => Value::Text(text.to_owned()),
    }
}

fn values<T>(located: Vec<Located<T>>) -> Vec<T> {
    located.into_iter().map(|located| located.value).collect()
}

/// Reads a whole number from 1 on, as a number of type `N` that fits into a `T`.
fn from_one<N: TryFrom<i128>, T: TryFrom<N>>(
    fields: &mut Fields<'_, '_>,
    key: &str,
    example: &'static str,
) -> Option<T> {
    fields.integer(key, FROM_ONE, example, |number| T::try_from(N::try_from(number).ok()?).ok())
}

const FROM_ONE: &str = "a whole number from 1 on";

/// A text with something in it.
pub(crate) const TEXT: Kind<String> =
    Kind::text("text", |fields, key, example| fields.text(key, example).map(|text| text.value));

/// A text with its place in the file.
pub(crate) const LOCATED_TEXT: Kind<Located<String>> =
    Kind::text("text", |fields, key, example| fields.text(key, example));

/// The path of a file or folder.
pub(crate) const PATH: Kind<PathBuf> =
    Kind::text("text", |fields, key, example| fields.text(key, example).map(|text| text.value.into()));

/// A shell script, as a text or as a list of its lines.
pub(crate) const SCRIPT: Kind<String> =
    Kind::text("text or list of texts", |fields, key, example| fields.script(key, example));

/// Texts.
pub(crate) const TEXTS: Kind<Vec<String>> =
    Kind::texts("list of texts", |fields, key, example| fields.texts(key, example).map(values));

/// Texts with their places in the file.
pub(crate) const LOCATED_TEXTS: Kind<Vec<Located<String>>> =
    Kind::texts("list of texts", |fields, key, example| fields.texts(key, example));

/// Names of variables.
pub(crate) const VARIABLES: Kind<Vec<String>> =
    Kind::texts("list of texts", |fields, key, example| fields.variables(key, example).map(values));

/// Names of variables with their places in the file.
pub(crate) const LOCATED_VARIABLES: Kind<Vec<Located<String>>> =
    Kind::texts("list of texts", |fields, key, example| fields.variables(key, example));

/// Names of variables, where a `*` at the end stands for any rest.
pub(crate) const VARIABLE_PATTERNS: Kind<Vec<String>> =
    Kind::texts("list of texts", |fields, key, example| fields.variable_patterns(key, example).map(values));

/// Variables with their values.
pub(crate) const ENVIRONMENT: Kind<BTreeMap<String, String>> =
    Kind::text("table", |fields, key, example| fields.environment(key, example));

/// `true` or `false`.
pub(crate) const SWITCH: Kind<bool> = Kind::switch("`true` or `false`", |fields, key, _| fields.switch(key));

/// A number of things.
pub(crate) const COUNT: Kind<NonZeroUsize> = Kind::integer("whole number from 1 on", from_one::<usize, NonZeroUsize>);

/// A number of things that fits into 32 bits.
pub(crate) const COUNT_32: Kind<NonZeroU32> = Kind::integer("whole number from 1 on", from_one::<u32, NonZeroU32>);

/// A number of tokens.
pub(crate) const TOKENS: Kind<u64> = Kind::integer("whole number from 1 on", |fields, key, example| {
    from_one::<u64, NonZeroU64>(fields, key, example).map(NonZeroU64::get)
});

/// A number of things, or none.
pub(crate) const FROM_ZERO: Kind<u32> = Kind::integer("whole number from 0 on", |fields, key, example| {
    fields.integer(key, "a whole number from 0 on", example, |number| number.try_into().ok())
});

/// A whole number of any sign.
pub(crate) const INTEGER: Kind<i32> = Kind::integer("whole number", |fields, key, example| {
    fields.integer(key, "a whole number", example, |number| number.try_into().ok())
});

/// A number above zero.
pub(crate) const POSITIVE: Kind<f64> = Kind {
    name: "number above 0",
    read: |fields, key, example| fields.positive(key, example),
    of_variable: |text| text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Float),
};

/// A length of time.
pub(crate) const TIME: Kind<Duration> =
    Kind::text("time", |fields, key, example| fields.quantity(key, example, parse_duration));

/// A length of time, or none for no limit.
pub(crate) const TIME_LIMIT: Kind<TimeLimit> =
    Kind::text("time or `\"none\"`", |fields, key, example| fields.quantity(key, example, from_text));

/// An amount of memory in bytes.
pub(crate) const SIZE: Kind<u64> = Kind::text("size", |fields, key, example| fields.quantity(key, example, parse_size));
