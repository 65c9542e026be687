//! What is left of a group's story: terms that ended, and what Auto Scaling did.

use std::collections::BTreeMap;

use aws_sdk_autoscaling::types::Activity as Scaling;
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::super::{Aws, AwsError, tagging};
use super::{read, why};
use crate::history::{Activity, Deed, Sources};
use crate::ids::{InstanceId, VolumeId};
use crate::spec::{GroupSpec, Kind};
use crate::tags;
use crate::world::{Seen, Term, World};

/// Six weeks of a group that is well are a few; of one that is not, the newest.
const PAGES: usize = 5;

impl Aws {
    /// Never fails: what could not be read is unknown.
    pub async fn chronicle(&self, spec: &GroupSpec, world: World) -> Sources {
        let (terms, activities) =
            tokio::join!(Box::pin(self.terms(spec)), Box::pin(self.activities(spec)));
        Sources {
            world,
            terms: terms.map_or_else(|error| Seen::Unknown(why(&error)), Seen::Known),
            activities: activities.map_or_else(|error| Seen::Unknown(why(&error)), Seen::Known),
        }
    }

    /// The last term of every volume, of those that are superseded as well.
    async fn terms(&self, spec: &GroupSpec) -> Result<BTreeMap<VolumeId, Term>, AwsError> {
        let filter = tagging::filter(&format!("tag:{}", tags::GROUP), spec.name.as_str());
        let doing = format!("look at the volumes of {}", spec.name);
        let volumes = self.volumes_where(vec![filter], doing).await?;
        let terms = volumes.iter().filter_map(|of| {
            let term = tagging::appointment(&tagging::read(of.tags())).ok()??;
            Some((VolumeId::new(of.volume_id()?), term))
        });
        Ok(terms.collect())
    }

    async fn activities(&self, spec: &GroupSpec) -> Result<Vec<Activity>, AwsError> {
        if spec.kind != Kind::Asg {
            return Ok(Vec::new());
        }
        let doing = format!("look at the scaling activities of {}", spec.name);
        let ask = read("autoscaling:DescribeScalingActivities", doing);
        let mut activities = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES {
            let page = self
                .call(&ask, async || {
                    self.autoscaling
                        .describe_scaling_activities()
                        .auto_scaling_group_name(spec.name.as_str())
                        .max_records(100)
                        .set_next_token(next.clone())
                        .send()
                        .await
                })
                .await?;
            activities.extend(page.activities().iter().filter_map(activity));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                break;
            }
        }
        activities.sort_by_key(|activity: &Activity| activity.began);
        Ok(activities)
    }
}

fn activity(of: &Scaling) -> Option<Activity> {
    let what = of.description().unwrap_or_default();
    let deed = match what {
        launch if launch.starts_with("Launching") => Deed::Launch,
        end if end.starts_with("Terminating") => Deed::Terminate,
        _ => Deed::Other,
    };
    Some(Activity {
        deed,
        instance: instance(what),
        what: what.to_owned(),
        cause: of.cause().unwrap_or_default().to_owned(),
        status: of
            .status_code()
            .map_or_else(String::new, |status| status.as_str().to_owned()),
        began: of.start_time().and_then(time)?,
        ended: of.end_time().and_then(time),
    })
}

/// `Launching a new EC2 instance: i-0abc`
fn instance(what: &str) -> Option<InstanceId> {
    let mut words = what.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .find(|word| word.starts_with("i-"))
        .map(InstanceId::new)
}

fn time(of: &DateTime) -> Option<Timestamp> {
    Timestamp::new(of.secs(), i32::try_from(of.subsec_nanos()).ok()?).ok()
}
