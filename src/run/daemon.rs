//! `rehome daemon`: watches over groups until it is told to stop, on their
//! instances or from elsewhere.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::notify::Manager;
use super::{Failure, clock, configuration, seat, tell};
use crate::aws::Aws;
use crate::cli::Daemon;
use crate::clock::Clock;
use crate::reconcile::{Runner, Told};
use crate::spec::{Config, GroupSpec};

/// A step that was begun may end within this time when the daemon stops.
const LAST_STEP: Duration = Duration::from_secs(20);

pub(super) async fn run(options: &Daemon) -> Result<(), Failure> {
    let mut config = configuration(options.configuration.config.as_deref())?;
    let mut orders = Orders::listen()?;
    let aws = Aws::from_env().await?;
    let manager = Rc::new(Manager::from_env());
    manager.ready().await;
    loop {
        let mut crew = Crew::engage(&aws, &config, &manager);
        let next = loop {
            tokio::select! {
                order = orders.next() => match order {
                    Order::Stop => break None,
                    // A broken configuration is no reason to leave anyone alone.
                    Order::Reload => match configuration(options.configuration.config.as_deref()) {
                        Ok(config) => break Some(config),
                        Err(error) => tracing::error!(%error, "the new configuration is refused, the old one stays"),
                    },
                },
                () = crew.lost() => {
                    return Err(Failure::Failed("a group's runner ended by itself".to_owned()));
                }
                () = beat(&manager) => {}
            }
        };
        if next.is_none() {
            manager.stopping();
        }
        crew.dismiss().await;
        match next {
            Some(next) => {
                tracing::info!(groups = next.groups.len(), "serves the new configuration");
                config = next;
            }
            None => return Ok(()),
        }
    }
}

/// One sign of life, when it is due.
async fn beat(manager: &Manager) {
    match manager.watches_every() {
        Some(pause) => {
            tokio::time::sleep(pause).await;
            manager.alive();
        }
        None => std::future::pending().await,
    }
}

enum Order {
    Stop,
    Reload,
}

/// The signals that a daemon heeds.
struct Orders {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Orders {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.hang_up.recv() => Order::Reload,
        }
    }
}

/// The runners of all groups.
struct Crew {
    runners: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Crew {
    fn engage(aws: &Aws, config: &Config, manager: &Rc<Manager>) -> Self {
        if config.wake.sqs_queue_url.is_some() {
            tracing::warn!(
                poll_every = %config.wake.poll_every,
                "this version does not listen to wake.sqs_queue_url; it polls"
            );
        }
        manager.serves(config.groups.iter().map(|group| group.name.clone()));
        let (stop, _) = watch::channel(false);
        let mut runners = JoinSet::new();
        for spec in &config.groups {
            let post = Post {
                aws: aws.clone(),
                spec: spec.clone(),
                poll_every: config.wake.poll_every,
                clock: clock(),
                manager: Rc::clone(manager),
                stop: stop.subscribe(),
            };
            runners.spawn_local(post.serve());
        }
        Self { runners, stop }
    }

    /// Returns when a runner ended that nobody asked to.
    async fn lost(&mut self) {
        self.runners.join_next().await;
    }

    /// Lets everyone finish the step at hand.
    async fn dismiss(mut self) {
        let _ = self.stop.send(true);
        while self.runners.join_next().await.is_some() {}
    }
}

/// One group to serve.
struct Post {
    aws: Aws,
    spec: GroupSpec,
    poll_every: SignedDuration,
    clock: Clock,
    manager: Rc<Manager>,
    stop: watch::Receiver<bool>,
}

impl Post {
    async fn serve(mut self) {
        let host = tokio::select! {
            host = seat::find(&self.aws, &self.spec, self.poll_every) => host,
            () = stopped(&mut self.stop) => return,
        };
        let group = &self.spec.name;
        match &host {
            Some(_) => tracing::info!(%group, "serves the group from its instance"),
            None => tracing::info!(%group, "serves the group from elsewhere"),
        }
        let steps = Rc::new(Steps::default());
        let (counted, manager, name) = (Rc::clone(&steps), Rc::clone(&self.manager), group.clone());
        let teller = tell::log(&self.spec, move |told| {
            counted.count(told);
            manager.hears(&name, told);
        });
        let mut runner = Runner {
            aws: self.aws,
            host,
            clock: self.clock,
            teller,
        };
        // Nothing rings it yet: this version polls.
        let wake = Notify::new();
        let mut keep = pin!(runner.keep(&self.spec, self.poll_every, &wake));
        tokio::select! {
            never = &mut keep => match never {},
            () = stopped(&mut self.stop) => {}
        }
        tokio::select! {
            never = &mut keep => match never {},
            () = steps.ended() => {}
            () = tokio::time::sleep(LAST_STEP) => {
                tracing::warn!(%group, "stops in the middle of a step; the next start goes on");
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone cannot want anything to go on either.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How many steps are under way.
#[derive(Debug, Default)]
struct Steps {
    under_way: Cell<usize>,
    ended: Notify,
}

impl Steps {
    fn count(&self, told: &Told<'_>) {
        let under_way = self.under_way.get();
        match told {
            Told::Doing(_) => self.under_way.set(under_way.saturating_add(1)),
            Told::Did(_) | Told::Overtaken(..) | Told::Failed(..) => {
                self.under_way.set(under_way.saturating_sub(1));
                self.ended.notify_one();
            }
            Told::Waiting(_) | Told::Settled => {}
        }
    }

    async fn ended(&self) {
        while self.under_way.get() > 0 {
            self.ended.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_steps_under_way() {
        let steps = Steps::default();
        steps.ended().await;
        steps.count(&Told::Doing(&Step::Quiesce));
        steps.count(&Told::Doing(&Step::StartWorkload));
        steps.count(&Told::Did(&Step::Quiesce));
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, steps.ended()).await.is_err());
        steps.count(&Told::Failed(&Step::StartWorkload, "no such unit"));
        assert!(tokio::time::timeout(soon, steps.ended()).await.is_ok());
    }
}
