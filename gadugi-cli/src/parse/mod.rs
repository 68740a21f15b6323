//! Texts that people write by hand: TOML and YAML with the line of every value, lengths of time, amounts of memory, and what can be
//! wrong with them.

pub(crate) mod document;
pub(crate) mod fields;
mod key_issue;
pub(crate) mod kind;
mod quantity;
mod text_file;
mod yaml;

pub(crate) use document::parse_toml;
pub use key_issue::{KeyIssue, ValueIssue};
pub(crate) use key_issue::{closest, did_you_mean, shown, similar_key, write_lines};
pub use quantity::{QuantityError, TimeLimit, parse_duration, parse_size};
pub use text_file::{FileIssue, MAX_FILE_BYTES};
pub(crate) use text_file::{read_text, read_text_file};
pub(crate) use yaml::parse_yaml;
