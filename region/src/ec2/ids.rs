//! Which resource is meant? Ids that are wrong, unknown or not visible yet.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::resource::Resource;
use crate::wire::error::ApiError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Instance,
    Volume,
    Snapshot,
    Allocation,
}

impl Kind {
    /// The kind an id claims to be.
    pub(crate) fn of(id: &str) -> Option<Kind> {
        let kinds = [
            Kind::Instance,
            Kind::Volume,
            Kind::Snapshot,
            Kind::Allocation,
        ];
        kinds.into_iter().find(|kind| kind.claims(id))
    }

    /// As tag specifications and DescribeTags name it.
    pub(crate) fn resource_type(self) -> &'static str {
        match self {
            Kind::Instance => "instance",
            Kind::Volume => "volume",
            Kind::Snapshot => "snapshot",
            Kind::Allocation => "elastic-ip",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Kind::Instance => "i-",
            Kind::Volume => "vol-",
            Kind::Snapshot => "snap-",
            Kind::Allocation => "eipalloc-",
        }
    }

    fn claims(self, id: &str) -> bool {
        let digits = id.strip_prefix(self.prefix());
        digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_alphanumeric()))
    }

    pub(crate) fn missing(self, id: &str) -> ApiError {
        match self {
            _ if !self.claims(id) => self.malformed(id),
            Kind::Instance => ApiError::new(
                "InvalidInstanceID.NotFound",
                format!("The instance ID '{id}' does not exist"),
            ),
            Kind::Volume => ApiError::new(
                "InvalidVolume.NotFound",
                format!("The volume '{id}' does not exist."),
            ),
            Kind::Snapshot => ApiError::new(
                "InvalidSnapshot.NotFound",
                format!("The snapshot '{id}' does not exist."),
            ),
            Kind::Allocation => ApiError::new(
                "InvalidAllocationID.NotFound",
                format!("The allocation ID '{id}' does not exist"),
            ),
        }
    }

    fn malformed(self, id: &str) -> ApiError {
        let expecting = self.prefix();
        match self {
            Kind::Instance => ApiError::new(
                "InvalidInstanceID.Malformed",
                format!("Invalid id: \"{id}\" (expecting \"{expecting}...\")"),
            ),
            Kind::Volume => ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value ({id}) for parameter volumeId is invalid. Expected: '{expecting}...'."
                ),
            ),
            Kind::Snapshot => ApiError::new(
                "InvalidSnapshotID.Malformed",
                format!("Invalid id: \"{id}\" (expecting \"{expecting}...\")"),
            ),
            Kind::Allocation => ApiError::new(
                "InvalidAllocationID.NotFound",
                format!("The allocation ID '{id}' does not exist"),
            ),
        }
    }
}

/// The resource with this id, once it is visible.
pub(crate) fn find<'a, T: Resource>(
    all: &'a BTreeMap<String, T>,
    id: &str,
    now: Timestamp,
) -> Result<&'a T, ApiError> {
    let found = all.get(id).filter(|resource| resource.visible() <= now);
    found.ok_or_else(|| T::KIND.missing(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_way_to_say_not_found() {
        let table = [
            (Kind::Instance, "i-0a", "InvalidInstanceID.NotFound"),
            (Kind::Instance, "vol-0a", "InvalidInstanceID.Malformed"),
            (Kind::Volume, "vol-0a", "InvalidVolume.NotFound"),
            (Kind::Volume, "0a", "InvalidParameterValue"),
            (Kind::Snapshot, "snap-0a", "InvalidSnapshot.NotFound"),
            (Kind::Snapshot, "snap-", "InvalidSnapshotID.Malformed"),
            (
                Kind::Allocation,
                "eipalloc-0a",
                "InvalidAllocationID.NotFound",
            ),
        ];
        for (kind, id, code) in table {
            assert_eq!(kind.missing(id).code, code, "{id}");
        }
    }
}
