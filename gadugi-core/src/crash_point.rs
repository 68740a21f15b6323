//! Steps at which a test can kill the process, so that a crash at each of them can be tested.

#[cfg(any(debug_assertions, feature = "crash-points"))]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Armed {
        point: String,
        /// Number of passes until the process dies.
        left: AtomicU32,
        die: fn() -> !,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// Arms a point: the process calls `die` when it passes the point for the n-th time. `wish` is the name of the
    /// point, or name and n as in `worktree-ready:3`. Only the first call counts; a wish that names no point does
    /// nothing. Only debug builds and builds with the feature `crash-points` have it.
    pub fn arm_crash_point(wish: &str, die: fn() -> !) {
        let counted = wish.rsplit_once(':').and_then(|(point, n)| Some((point, n.parse().ok()?)));
        let (point, n) = counted.unwrap_or((wish, 1));
        ARMED.get_or_init(|| Armed { point: point.to_owned(), left: AtomicU32::new(n), die });
    }

    pub(super) fn pass(point: &str) {
        if let Some(armed) = ARMED.get().filter(|armed| armed.point == point)
            && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            (armed.die)()
        }
    }
}

#[cfg(any(debug_assertions, feature = "crash-points"))]
pub use armed::arm_crash_point;

/// A step at which a test can kill the process. Does nothing unless it is armed, and is empty in a release build.
/// `docs/testing.md` lists all points.
#[inline]
pub fn crash_point(point: &str) {
    #[cfg(any(debug_assertions, feature = "crash-points"))]
    armed::pass(point);
    #[cfg(not(any(debug_assertions, feature = "crash-points")))]
    let _ = point;
}
