//! What does a person ask for with `rehome switchover`?

use super::pair::{appoint_other, other_member};
use super::scene::Scene;
use super::step::{Cause, Hold, Plan, Step};
use crate::ids::InstanceId;
use crate::spec::Kind;

/// The other member of a pair, or that Auto Scaling replaces the one there is.
pub(super) fn ask(scene: &Scene<'_>, to: Option<&InstanceId>, plan: &mut Plan) {
    let Some(holder) = scene.holder else {
        return;
    };
    if to == Some(holder.id) {
        plan.hold(Hold::HoldsAlready {
            instance: holder.id.clone(),
        });
        return;
    }
    match scene.spec.kind {
        Kind::Pair { .. } => {
            let heir = other_member(scene.spec, holder.id);
            match to {
                Some(to) if heir != Some(to) => plan.hold(Hold::NoStandby {
                    instance: to.clone(),
                    why: "it is no member of the pair".to_owned(),
                }),
                _ => appoint_other(scene, Cause::Asked, None, plan),
            }
        }
        Kind::Asg => match to {
            // Which instance comes next is Auto Scaling's to say.
            Some(to) => plan.hold(Hold::NoStandby {
                instance: to.clone(),
                why: "Auto Scaling chooses the next member itself".to_owned(),
            }),
            None => plan.step(Step::ReportUnhealthy {
                instance: holder.id.clone(),
                moves: scene.group.moves.clone(),
            }),
        },
    }
}
