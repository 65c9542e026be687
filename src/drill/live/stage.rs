//! The stage of a live drill: the region served on its port, the world that
//! carries it out, and how the drill waits for something to come to pass.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rehome_region::{Region, Truth, Witness, serve_witnessed};
use tokio::net::TcpListener;

use super::carry::World;
use super::machine::Image;
use super::nest::Nest;
use super::tool::failed;
use super::{LiveError, setting};
use crate::clock::Clock;
use crate::drill::{judge as court, roles};
use crate::spec::{self, GroupSpec};

const PORT: u16 = 80;
/// How often it is looked whether something has come to pass.
const TICK: Duration = Duration::from_millis(20);
/// What each machine said last, when something does not come to pass.
const LAST_WORDS: usize = 15;

pub(super) struct Stage {
    region: Arc<Mutex<Region>>,
    pub(super) world: Arc<World>,
    pub(super) spec: GroupSpec,
    pub(super) allocation: String,
    /// The Elastic IP.
    pub(super) ip: IpAddr,
    pub(super) clock: Clock,
}

/// What can be seen at one instant.
pub(super) struct View<'a> {
    pub(super) truth: Truth,
    pub(super) at: Timestamp,
    stage: &'a Stage,
    dark: BTreeSet<String>,
}

impl Stage {
    /// Raises the curtain: the region is on the air, and its group launches.
    pub(super) async fn raise(nest: Nest, seed: u64, clock: Clock) -> Result<Self, LiveError> {
        let now = clock.now();
        let mut region = setting::region(seed, now);
        let allocation = setting::furnish(&mut region, now);
        let configuration = setting::configuration(&allocation);
        let refused = |why: String| LiveError::Stage {
            what: "the drill's own configuration".to_owned(),
            why,
        };
        let config = spec::parse("drill", &configuration);
        let config = config.map_err(|error| refused(error.to_string()))?;
        let spec = config.groups.into_iter().next();
        let spec = spec.ok_or_else(|| refused("has no group".to_owned()))?;
        roles::give(&mut region, &spec, None);
        let address = region.truth().addresses.get(&allocation).cloned();
        let ip = address.and_then(|address| address.public_ip.parse().ok());
        let image = Image {
            configuration,
            region: region.settings().name.clone(),
            data_mount: setting::MOUNT.to_owned(),
        };
        let units = spec.workload.units.clone();
        let world = World::new(nest, image, setting::FILESYSTEM, &units);
        let stage = Self {
            region: Arc::new(Mutex::new(region)),
            world: Arc::new(world),
            spec,
            allocation,
            ip: ip.ok_or_else(|| refused("has no address".to_owned()))?,
            clock,
        };
        stage.go_on_air().await?;
        Ok(stage)
    }

    async fn go_on_air(&self) -> Result<(), LiveError> {
        let what = "cannot serve the region to its instances";
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await;
        let listener = listener.map_err(failed(what))?;
        let clock = self.clock.clone();
        let world: Arc<dyn Witness> = Arc::clone(&self.world) as Arc<dyn Witness>;
        let region = Arc::clone(&self.region);
        tokio::task::spawn_local(async move {
            let served = serve_witnessed(region, listener, move || clock.now(), world).await;
            if let Err(error) = served {
                tracing::error!(%error, "the region is off the air");
            }
        });
        Ok(())
    }

    /// The region, for as long as no one else needs it: never across an await.
    pub(super) fn region(&self) -> MutexGuard<'_, Region> {
        self.region.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets happen what is due, and looks.
    pub(super) fn look(&self) -> Result<View<'_>, LiveError> {
        let now = self.now();
        let (truth, dark) = {
            let mut region = self.region();
            region.advance(now);
            self.world.before(&mut region, now);
            self.world.after(&mut region, None, now);
            let dark = court::dark_zones(region.record().entries());
            (region.truth(), dark)
        };
        match self.world.take_broken() {
            Some(error) => Err(error),
            None => Ok(View {
                truth,
                at: now,
                stage: self,
                dark,
            }),
        }
    }

    /// Waits until it has come to pass.
    pub(super) async fn until(
        &self,
        what: &str,
        within: SignedDuration,
        mut has: impl FnMut(&View<'_>) -> bool,
    ) -> Result<(), LiveError> {
        let since = self.now();
        loop {
            let view = self.look()?;
            if has(&view) {
                return Ok(());
            }
            if self.now().duration_since(since) > within {
                return Err(LiveError::Late {
                    what: what.to_owned(),
                    seconds: within.as_secs(),
                    open: self.why_not(&view),
                });
            }
            tokio::time::sleep(TICK).await;
        }
    }

    fn why_not(&self, view: &View<'_>) -> String {
        let mut text = view.unsettled().join("; ");
        for id in view.truth.instances.keys() {
            let words = self
                .world
                .look(id, |machine| machine.last_words(LAST_WORDS));
            for line in words.into_iter().flatten() {
                text.push_str(&format!("\n    {id}: {line}"));
            }
        }
        text
    }
}

impl View<'_> {
    /// What is not in its place; nothing if all is settled.
    pub(super) fn unsettled(&self) -> Vec<String> {
        let addresses = std::slice::from_ref(&self.stage.allocation);
        court::unsettled(&self.truth, &self.stage.spec, &self.dark, addresses)
    }

    pub(super) fn holder(&self) -> Option<String> {
        court::holder(&self.truth, &self.stage.spec, &self.dark)
    }

    pub(super) fn zone_of(&self, instance: &str) -> String {
        let found = self.truth.instances.get(instance);
        found
            .map(|instance| instance.zone.clone())
            .unwrap_or_default()
    }

    /// The data volume of this instance.
    pub(super) fn volume_of(&self, instance: &str) -> Option<&str> {
        let mut volumes = self.truth.volumes.values();
        let found = volumes.find(|volume| {
            let attachment = volume.attachment.as_ref();
            attachment.is_some_and(|a| a.instance == instance)
                && volume.tags.contains_key(crate::tags::GROUP)
        });
        found.map(|volume| volume.id.as_str())
    }
}
