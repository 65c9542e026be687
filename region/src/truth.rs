//! How does it really stand? A copy of the plain state for checkers.

pub use crate::model::Model as Truth;
use crate::{Region, content};

impl Region {
    /// The state at the region's present instant; the contents are up to date.
    pub fn truth(&self) -> Truth {
        let mut truth = self.model.clone();
        content::settle_all(&mut truth, self.now);
        truth
    }

    /// The same without a copy, for whoever does not ask what is on a volume:
    /// writes are counted only when somebody looks.
    pub fn model(&self) -> &Truth {
        &self.model
    }
}
