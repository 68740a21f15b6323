//! The `touches` of a task: patterns of the paths that it is going to change, and whether two of them overlap.

use std::fmt;
use std::str::FromStr;

use crate::id::IdError;

/// A pattern of paths in the repository, such as `src/auth/**`. `*` and `?` stay within a folder, `**`
/// crosses them, and a pattern without wildcards also covers what is below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TouchPattern(String);

impl TouchPattern {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path can match both. It never misses one; where a pattern has `[…]` or `{…}` it may report one that
    /// does not exist, since these count as `*`.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        // Most patterns of a large plan differ in a folder at their beginning, and that is found at little cost.
        let literal = |part: &&str| !part.contains(['*', '?', '[', ']', '{', '}']);
        let (mut a, mut b) = (self.parts().take_while(literal), other.parts().take_while(literal));
        while let (Some(a), Some(b)) = (a.next(), b.next()) {
            if a != b {
                return false;
            }
        }
        let (a, b) = (self.segments(), other.segments());
        folders_meet(&a, &b)
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        let path = self.0.trim_start_matches("./").trim_matches('/');
        path.split('/').filter(|part| !part.is_empty() && *part != ".")
    }

    fn segments(&self) -> Vec<String> {
        let mut segments: Vec<String> = self.parts().map(widen).collect();
        // A folder stands for all that is in it.
        if segments.last().is_none_or(|last| last != "**") {
            segments.push("**".into());
        }
        segments
    }
}

impl FromStr for TouchPattern {
    type Err = IdError;

    fn from_str(value: &str) -> Result<Self, IdError> {
        let refuse = |rule| Err(IdError::new("pattern of `touches`", value, rule));
        if value.trim().is_empty() || value.len() > 4096 {
            return refuse("it has 1 to 4096 bytes");
        }
        if value.starts_with('/') || value.split('/').any(|part| part == "..") {
            return refuse("it is relative to the repository and stays in it");
        }
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Display for TouchPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Replaces character classes and alternatives by `*`, which covers them. Alternatives may hold a `/`, so a segment
/// with a brace becomes `**`.
fn widen(segment: &str) -> String {
    if segment.contains(['{', '}']) || (segment.contains("**") && segment != "**") {
        return "**".into();
    }
    match (segment.find('['), segment.rfind(']')) {
        (Some(open), Some(close)) if open < close => format!("{}*{}", &segment[..open], &segment[close + 1..]),
        _ => segment.to_owned(),
    }
}

/// Whether two lists of segments, where `**` stands for any number of them, can match one path.
fn folders_meet(a: &[String], b: &[String]) -> bool {
    meet(a, b, &|s| s == "**", &|x, y| {
        let (x, y): (Vec<char>, Vec<char>) = (x.chars().collect(), y.chars().collect());
        meet(&x, &y, &|c| *c == '*', &|x, y| x == y || *x == '?' || *y == '?')
    })
}

/// Whether two patterns can match the same sequence: `any` tells elements that stand for any number of others, `same`
/// tells whether two single ones can be equal. Filled row by row, so it takes `a * b` steps.
fn meet<T>(a: &[T], b: &[T], any: &dyn Fn(&T) -> bool, same: &dyn Fn(&T, &T) -> bool) -> bool {
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(x), _) if any(x) => below[j] || (j < b.len() && row[j + 1]),
                (_, Some(y)) if any(y) => row[j + 1] || (i < a.len() && below[j]),
                (Some(x), Some(y)) => same(x, y) && below[j + 1],
                _ => false,
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(a: &str, b: &str) -> bool {
        let (a, b): (TouchPattern, TouchPattern) = (a.parse().expect(a), b.parse().expect(b));
        assert_eq!(a.overlaps(&b), b.overlaps(&a), "{a} and {b} must not depend on their order");
        a.overlaps(&b)
    }

    #[test]
    fn patterns_that_share_a_path_overlap() {
        for (a, b) in [
            ("src/auth/**", "src/auth/login.rs"),
            ("src/**/mod.rs", "src/auth/**"),
            ("src/*.rs", "src/l?b.rs"),
            ("src", "src/deep/down/file"),
            ("**", "anything"),
            ("src/[ab].rs", "src/a.rs"),
            ("src/{a,b/c}.rs", "src/b/c.rs"),
            ("./docs/", "docs/a.md"),
            ("a*c", "abc"),
        ] {
            assert!(overlap(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn patterns_that_share_no_path_do_not_overlap() {
        for (a, b) in [
            ("src/auth/**", "src/billing/**"),
            ("src/*.rs", "src/*.toml"),
            ("docs", "docs2"),
            ("src/a?.rs", "src/b?.rs"),
        ] {
            assert!(!overlap(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn a_pattern_cannot_leave_the_repository() {
        for bad in ["", " ", "/etc/passwd", "../x", "a/../../b"] {
            assert!(bad.parse::<TouchPattern>().is_err(), "{bad}");
        }
    }
}
