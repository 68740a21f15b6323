//! Merging the branches of a run into a target branch.

mod integration;

pub use self::integration::{
    AmendContent, AmendRequest, Amended, Chain, ChainRequest, ConflictRequest, Integration, LandRequest, Landing, Link,
    LinkResult, MarkedConflict, MergeError, RecoveredLanding, Strategy, Target,
};
