//! Reads the front matter of a task file.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use gadugi_core::plan::SourceLocation;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::localizer::Localizer;
use serde_saphyr::{Location, MergeKeyPolicy, Options, Spanned, UserMessageFormatter};

use crate::parse::document::{Entry, Node, Value};
use crate::parse::key_issue::KeyIssue;

/// Far more than the keys of a task need, and far less than what costs time or stack.
fn limits() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 8,
            flow_nesting_limit: 8,
            max_nodes: 20_000,
            max_events: 50_000,
            max_documents: 1,
            max_aliases: 16,
            max_anchors: 16,
            max_total_scalar_bytes: 4 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 500,
            max_replay_stack_depth: 2,
        },
        merge_keys: MergeKeyPolicy::Error,
        emit_comments: false,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// Reads a YAML text that begins after `lines_before` other lines of `file`.
///
/// # Errors
/// [`KeyIssue::Syntax`].
pub(crate) fn parse_yaml(text: &str, file: &Path, lines_before: usize) -> Result<Node, KeyIssue> {
    serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, limits())
        .map(|raw| node(raw, text, lines_before))
        .map_err(|error| {
            let line = error.location().map_or(0, |location| lines_before + line_of(location));
            let formatter = UserMessageFormatter.with_localizer(&OneLine);
            let message = error.render_with_formatter(&formatter);
            KeyIssue::Syntax { at: SourceLocation { file: file.to_owned(), line }, format: "YAML", message }
        })
}

fn line_of(location: Location) -> usize {
    usize::try_from(location.line()).unwrap_or(usize::MAX)
}

/// Leaves the line out of the parser's messages: it would be that of the front matter, not of the file.
struct OneLine;

impl Localizer for OneLine {
    fn attach_location<'a>(&self, base: Cow<'a, str>, location: Location) -> Cow<'a, str> {
        if location == Location::UNKNOWN { base } else { format!("{base} (column {})", location.column()).into() }
    }

    fn alias_used_at(&self, _: Location) -> String {
        String::new()
    }

    fn alias_defined_at(&self, _: Location) -> String {
        String::new()
    }
}

/// A value as the parser gives it.
enum Raw {
    Nothing,
    Switch(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Table(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false, a list or keys with values")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Switch(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Integer(value.try_into().unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Raw::Table(table))
    }
}

fn node(raw: Spanned<Raw>, text: &str, lines_before: usize) -> Node {
    let line = lines_before + line_of(raw.referenced);
    let bare = matches!(raw.value, Raw::Switch(_) | Raw::Integer(_) | Raw::Float(_))
        .then(|| bare_word(raw.defined, text))
        .flatten();
    let value = match raw.value {
        Raw::Nothing => Value::Nothing,
        Raw::Switch(value) => Value::Switch(value),
        Raw::Integer(value) => Value::Integer(value),
        Raw::Float(value) => Value::Float(value),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, text, lines_before)).collect()),
        Raw::Table(entries) => {
            let entry = |(key, value): (Spanned<String>, _)| Entry {
                line: lines_before + line_of(key.referenced),
                key: key.value,
                node: node(value, text, lines_before),
            };
            Value::Table(entries.into_iter().map(entry).collect())
        }
    };
    Node { line, value, bare }
}

/// The text at a location, if it is a word without quotes.
fn bare_word(location: Location, text: &str) -> Option<String> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    let word = text.get(start..start.checked_add(length)?)?;
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
    (!word.is_empty() && word.chars().all(bare)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node, KeyIssue> {
        parse_yaml(text, Path::new("task.md"), 1)
    }

    #[test]
    fn everything_has_its_line() {
        let node = parse("a: 1\nb:\n  - x\n  - y\n\n\nc: {d: e}\n").unwrap();
        let Value::Table(entries) = node.value else { panic!("a table") };
        let lines: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.line, entry.node.line)).collect();
        assert_eq!(lines, [("a", 2, 2), ("b", 3, 4), ("c", 8, 8)]);
        let Value::List(items) = &entries[1].node.value else { panic!("a list") };
        assert_eq!(items.iter().map(|item| item.line).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn bare_words_keep_their_text() {
        let node = parse("[1.10, 0755, true, yes, '1', 0x1F, 1_000, -2, é, 1e3]").unwrap();
        let Value::List(items) = node.value else { panic!("a list") };
        let texts: Vec<_> = items.iter().map(|item| item.bare.as_deref().unwrap_or("(text)")).collect();
        assert_eq!(texts, ["1.10", "0755", "true", "(text)", "(text)", "0x1F", "1_000", "-2", "(text)", "1e3"]);
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_line() {
        let wrong = [
            "a: [1, 2\nb: 3\n",
            "a: b: c\n",
            "a: 'open\n",
            "a: 1\na: 2\n",
            "a: *nowhere\n",
            "a: !custom x\n",
            "a: &x 1\n<<: *x\n",
            "? [1, 2]\n: 3\n",
            "a: 1\n---\nb: 2\n",
            "a: @x\n",
            "a: .inf\n",
            "a: [\n",
            "- x\n  y: z\n",
        ];
        let messages: Vec<_> = wrong.iter().map(|text| parse(text).unwrap_err().to_string()).collect();
        insta::assert_snapshot!(messages.join("\n"), @"
        task.md:3: this is not valid YAML: illegal placement of ':' indicator (column 2)
        task.md:2: this is not valid YAML: mapping values are not allowed in this context (column 5)
        task.md:2: this is not valid YAML: unclosed quote (column 4)
        task.md:3: this is not valid YAML: duplicate mapping key `a` is not allowed here (column 1)
        task.md:2: this is not valid YAML: reference to unknown value (column 4)
        task.md:2: this is not valid YAML: unsupported tag `!custom` (column 12)
        task.md:3: this is not valid YAML: merge key not allowed here (column 1)
        task.md:2: this is not valid YAML: expected string scalar (column 3)
        task.md:3: this is not valid YAML: YAML document too large or too complex: limits breached: Documents { documents: 2 } (column 1)
        task.md:2: this is not valid YAML: unexpected character: `@' (column 4)
        task.md:2: this is not valid YAML: value `.inf` is not a finite number (column 4)
        task.md:2: this is not valid YAML: unclosed bracket '[' (column 4)
        task.md:3: this is not valid YAML: mapping values are not allowed in this context (column 4)
        ");
    }

    #[test]
    fn aliases_and_depth_are_limited() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c]\n";
        let deep = format!("a: {}{}", "[".repeat(9), "]".repeat(9));
        let steps = (0..20).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>();
        let wide = format!("a: [{}]", "x,".repeat(30_000));
        let messages = [bomb, &deep, &steps, &wide].map(|text| match parse(text) {
            Ok(_) => format!("accepted {} bytes", text.len()),
            Err(issue) => issue.to_string(),
        });
        insta::assert_snapshot!(messages.join("\n"), @"
        task.md:5: this is not valid YAML: YAML document too large or too complex: total_replayed_events=501 > 500 (column 10)
        task.md:2: this is not valid YAML: recursion limit exceeded (column 12)
        task.md:10: this is not valid YAML: YAML document too large or too complex: limits breached: Depth { depth: 9 } (column 9)
        task.md:2: this is not valid YAML: YAML document too large or too complex: limits breached: Nodes { nodes: 20001 } (column 39999)
        ");
    }
}
