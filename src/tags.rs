//! The tags in which everything that must be remembered stands.

/// What every tag of rehome begins with.
pub const PREFIX: &str = "rehome:";

/// On every belonging: whose it is.
pub const GROUP: &str = "rehome:group";
/// Which configured volume this is, or is a snapshot of.
pub const VOLUME: &str = "rehome:volume";
/// How often its data has been carried into a new volume.
pub const EPOCH: &str = "rehome:epoch";
/// `new`, `active` or `superseded`.
pub const STATE: &str = "rehome:state";
/// The move or periodic set it was made for.
pub const INCIDENT: &str = "rehome:incident";
/// On snapshots: `clean` or `crash`.
pub const CONSISTENCY: &str = "rehome:consistency";
/// On active volumes: the instance whose term it is. On both members of a
/// pair: the one that was made its holder.
pub const HOLDER: &str = "rehome:holder";
/// On active volumes: when the term began. On the members of a pair: when the
/// holder was made it.
pub const SINCE: &str = "rehome:since";
/// On snapshots: the source volume's shape, for the day the volume is gone.
pub const SHAPE: &str = "rehome:shape";

/// On the Auto Scaling group, or on both members of a pair: when alarms moved
/// it, in milliseconds since 1970, oldest first.
pub const MOVES: &str = "rehome:moves";

pub const STATE_NEW: &str = "new";
pub const STATE_ACTIVE: &str = "active";
pub const STATE_SUPERSEDED: &str = "superseded";
pub const CLEAN: &str = "clean";
pub const CRASH: &str = "crash";

/// On the Auto Scaling group: the highest epoch ever active of one volume name
/// stands under this prefix plus the name.
pub const MARKER_PREFIX: &str = "rehome:epoch:";

/// Tags that are ours or AWS's own, and so not the user's to carry along.
pub fn is_reserved(key: &str) -> bool {
    key.starts_with(PREFIX) || key.starts_with("aws:")
}
