//! The transfer of objects from a task into the repository: [`fetch`] copies them into a quarantine and has git check them
//! there, in bare repositories of our own, and [`publish`] moves them to the user's.

mod bare;
pub(crate) mod fetch;
mod git;
mod publish;
mod quarantine;
