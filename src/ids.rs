//! Which thing is meant: one newtype per kind of identifier, so that a volume
//! can never be passed where a snapshot is wanted.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! identifier {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }
    )+};
}

identifier! {
    /// The name of a group: of its Auto Scaling group, or of a pair.
    GroupName,
    /// `i-…`
    InstanceId,
    /// `vol-…`
    VolumeId,
    /// `snap-…`
    SnapshotId,
    /// `eipalloc-…`
    AllocationId,
    /// An Availability Zone's name, `us-east-1a`.
    Zone,
    /// What the configuration calls a data volume (`data`); it outlives every
    /// volume that ever played that part.
    VolumeName,
    /// The identity of one move: group, predecessor, epochs and terms.
    Incident,
}

/// How many times the data of one volume name has been carried into a new
/// volume. Newest data = highest epoch that was ever active. A volume the
/// group had before rehome came is of epoch 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
