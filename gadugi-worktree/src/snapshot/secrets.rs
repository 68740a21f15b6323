//! Files that look like secrets and are therefore left out of a snapshot.

use gix::bstr::{BStr, ByteSlice};

/// Whole names.
const NAMES: [&str; 5] = [".netrc", "_netrc", ".git-credentials", ".pgpass", ".htpasswd"];
/// Prefixes.
const STARTS: [&str; 5] = [".env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"];
/// Suffixes.
const ENDS: [&str; 8] = [".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".env"];
/// Suffixes of files that are public on purpose.
const HARMLESS: [&str; 5] = [".pub", ".example", ".sample", ".template", ".dist"];

/// Whether a file should not be committed unasked, by its name.
pub(crate) fn looks_like_a_secret(path: &BStr) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let name = name.to_str_lossy().to_ascii_lowercase();
    let is = |parts: &[&str], matches: fn(&str, &str) -> bool| parts.iter().any(|part| matches(&name, part));
    let ends = |name: &str, part: &str| name.ends_with(part);
    let starts = |name: &str, part: &str| name.starts_with(part);
    !is(&HARMLESS, ends) && (is(&NAMES, |name, part| name == part) || is(&STARTS, starts) || is(&ENDS, ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_keys_or_passwords_are_seen_by_their_name() {
        for path in [
            ".env",
            "app/.env.local",
            ".envrc",
            "prod.env",
            "certs/server.pem",
            "server.KEY",
            "id_rsa",
            ".ssh/id_ed25519_work",
            "store.p12",
            ".netrc",
        ] {
            assert!(looks_like_a_secret(path.into()), "{path}");
        }
    }

    #[test]
    fn ordinary_files_and_public_halves_are_not_taken_for_secrets() {
        for path in [
            "src/main.rs",
            ".env.example",
            "env.rs",
            "id_rsa.pub",
            "docs/server.pem.md",
            "keys.txt",
            "monkey",
            ".environment/config",
        ] {
            assert!(!looks_like_a_secret(path.into()), "{path}");
        }
    }
}
