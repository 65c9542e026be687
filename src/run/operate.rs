//! `rehome status` and `rehome plan`: how is each group, and what would be
//! done now? Both only look.

use serde::Serialize;

use super::{Failure, clock, configuration, groups, print, print_json, seat, table};
use crate::aws::Aws;
use crate::cli::Look;
use crate::host::Host as _;
use crate::host::linux::LinuxHost;
use crate::plan::{self, Plan, Seat};
use crate::spec::GroupSpec;
use crate::world::World;

/// One group as it was seen, and what follows.
#[derive(Debug, Serialize)]
pub(super) struct View {
    #[serde(skip)]
    pub(super) spec: GroupSpec,
    pub(super) group: String,
    pub(super) settled: bool,
    pub(super) waits: Vec<String>,
    pub(super) steps: Vec<String>,
    pub(super) world: World,
    pub(super) plan: Plan,
}

#[derive(Debug, Serialize)]
struct Views<'a> {
    groups: &'a [View],
}

pub(super) async fn status(options: &Look) -> Result<(), Failure> {
    show(options, table::status).await
}

pub(super) async fn plan(options: &Look) -> Result<(), Failure> {
    show(options, table::plan).await
}

async fn show(options: &Look, face: fn(&View) -> String) -> Result<(), Failure> {
    let config = configuration(options.configuration.config.as_deref())?;
    let specs = groups(config, options.group.as_deref())?;
    let aws = Aws::from_env().await?;
    let views = look(&aws, specs).await;
    if options.json {
        print_json(&Views { groups: &views })?;
    } else {
        let faces: Vec<String> = views.iter().map(face).collect();
        print(&faces.join("\n"))?;
    }
    // An API that is down must not look like a quiet night.
    match views
        .iter()
        .all(|view| table::unseen(&view.world).is_empty())
    {
        true => Ok(()),
        false => Err(Failure::Failed("not everything could be seen".to_owned())),
    }
}

/// Each group as whoever asks here and now would see it.
pub(super) async fn look(aws: &Aws, specs: Vec<GroupSpec>) -> Vec<View> {
    let (mut worlds, host) = tokio::join!(aws.observe_all(&specs), seat::instance());
    let now = clock().now();
    let mut views = Vec::new();
    for spec in specs {
        let mut world = worlds.remove(&spec.name).unwrap_or_else(World::unseen);
        let seat = sit(host.as_ref(), &spec, &mut world).await;
        let plan = plan::plan(&world, &spec, &seat, now);
        views.push(View {
            group: spec.name.to_string(),
            settled: plan.is_settled(),
            waits: plan.waits.iter().map(ToString::to_string).collect(),
            steps: plan.steps.iter().map(ToString::to_string).collect(),
            spec,
            world,
            plan,
        });
    }
    views
}

/// On one of the group's instances, its own machine is part of the picture.
async fn sit(host: Option<&LinuxHost>, spec: &GroupSpec, world: &mut World) -> Seat {
    let Some(host) = host else {
        return Seat::default();
    };
    if !seat::is_taken(host, spec, world).await {
        return Seat::default();
    }
    match host.look(spec).await {
        Ok(here) => {
            let at = Some(here.instance.clone());
            world.here = Some(here);
            Seat { at }
        }
        Err(error) => {
            tracing::warn!(%error, "this machine could not be looked at");
            Seat::default()
        }
    }
}
