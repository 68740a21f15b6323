//! Random numbers that make names unique: of starts, of containers, of temporary files.

/// Returns a random number from the operating system's source.
pub(crate) fn number() -> u64 {
    getrandom::u64().expect("cannot fail because Linux and macOS always have a source of random numbers")
}

/// Returns sixteen random hexadecimal digits.
pub(crate) fn text() -> String {
    format!("{:016x}", number())
}
