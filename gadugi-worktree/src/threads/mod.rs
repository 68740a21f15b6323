//! Work on several threads, and with other processes: side by side, for as long as its result is awaited, and with patience
//! where the machine gives no more of them.

pub(crate) mod cancel;
pub(crate) mod guarded;
pub(crate) mod parallel;
pub(crate) mod scarce;
