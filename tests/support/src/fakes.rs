//! Fakes for the other side of a trait.
