//! What must be allowed for a call? An action on a resource, and what is known
//! of both.

use std::collections::BTreeMap;

use crate::Region;
use crate::model::Tags;

/// Key (in lower case, as IAM compares them) → values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    pub(crate) fn values(&self, key: &str) -> Option<&Vec<String>> {
        self.0.get(key)
    }

    pub(crate) fn set(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        self.0
            .insert(key.to_lowercase(), values.into_iter().collect());
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// With its service: `ec2:CreateVolume`.
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: Context,
    /// It is asked while a volume is made.
    pub(crate) makes_volume: bool,
}

impl Question {
    pub(crate) fn new(region: &Region, action: &str, resource: String) -> Question {
        let mut context = Context::default();
        context.set("aws:RequestedRegion", [region.settings.name.clone()]);
        Question {
            action: action.to_owned(),
            resource,
            context,
            makes_volume: false,
        }
    }

    pub(crate) fn with(mut self, key: &str, values: impl IntoIterator<Item = String>) -> Question {
        self.context.set(key, values);
        self
    }

    /// The tags that stand on the resource.
    pub(crate) fn tagged(mut self, service: &str, tags: &Tags) -> Question {
        for (key, value) in tags {
            for owner in ["aws", service] {
                let key = format!("{owner}:ResourceTag/{key}");
                self.context.set(&key, [value.clone()]);
            }
        }
        self
    }

    /// The tags that the call brings.
    pub(crate) fn bringing(mut self, tags: &Tags) -> Question {
        if !tags.is_empty() {
            self.context.set("aws:TagKeys", tags.keys().cloned());
        }
        for (key, value) in tags {
            let key = format!("aws:RequestTag/{key}");
            self.context.set(&key, [value.clone()]);
        }
        self
    }
}

pub(crate) fn arn(region: &Region, service: &str, resource: &str) -> String {
    let (name, account) = (&region.settings.name, &region.settings.account);
    format!("arn:aws:{service}:{name}:{account}:{resource}")
}
