//! How does it really stand? A copy of the plain state for checkers.

use std::collections::BTreeMap;

use crate::model::{Address, Group, Instance, Snapshot, Volume};
use crate::{Region, content};

/// The state at the region's present instant; the contents are up to date.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub instances: BTreeMap<String, Instance>,
    pub volumes: BTreeMap<String, Volume>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub addresses: BTreeMap<String, Address>,
    pub groups: BTreeMap<String, Group>,
}

impl Region {
    pub fn truth(&self) -> Truth {
        let mut model = self.model.clone();
        content::settle_all(&mut model, self.now);
        Truth {
            instances: model.instances,
            volumes: model.volumes,
            snapshots: model.snapshots,
            addresses: model.addresses,
            groups: model.groups,
        }
    }
}
