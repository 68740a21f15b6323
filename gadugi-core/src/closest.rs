//! The known name that is most like an unknown one, for "did you mean".

/// Returns the candidate that is most like `name`, if they differ in at most `slips` letters: one that is missing, too much, another
/// one, or swapped with the next. Of several the first by the alphabet.
#[must_use]
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, slips: usize) -> Option<&'a str> {
    let measured = candidates.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, known) = measured.min()?;
    (distance <= slips).then_some(known)
}
