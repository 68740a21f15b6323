//! Amounts of bytes as people read them.

use gadugi_core::worktrees::Seeded;

/// Formats an amount of bytes: `1 byte`, `512 bytes`, `1.5 KiB`, `85.1 MiB`, `2.0 GiB`.
pub(crate) fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    }
    let mut number = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // What would be rounded to 1024.0 has the next unit too.
    while number >= 1023.95 {
        let Some(next) = units.next() else { break };
        number /= 1024.0;
        unit = Some(next);
    }
    format!("{number:.1} {}", unit.unwrap_or(&UNITS[3]))
}

/// Formats what was copied into a worktree: `12 files (3.4 MiB)`.
pub(crate) fn seed_text(seeded: Seeded) -> String {
    let plural = if seeded.files == 1 { "" } else { "s" };
    format!("{} file{plural} ({})", seeded.files, size_text(seeded.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_unit_that_makes_them_short() {
        let sizes = [0, 1, 1023, 1024, 1536, 1_048_570, 1 << 20, 5 << 30, 3 << 40, u64::MAX];
        let texts: Vec<String> = sizes.into_iter().map(size_text).collect();
        let all = [
            "0 bytes",
            "1 byte",
            "1023 bytes",
            "1.0 KiB",
            "1.5 KiB",
            "1.0 MiB",
            "1.0 MiB",
            "5.0 GiB",
            "3.0 TiB",
            "16777216.0 TiB",
        ];
        assert_eq!(texts, all);
    }
}
