//! `rehome daemon`: watches over groups until it is told to stop, on their
//! instances or from elsewhere.

use std::pin::pin;
use std::rc::Rc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Interval;

use super::crew::Crew;
use super::notify::Manager;
use super::{Failure, clock, configuration, seat};
use crate::aws::Aws;
use crate::cli::Daemon;
use crate::spec::Config;

/// How it is said in the status that a reload failed.
const REFUSED: &str = "the new configuration was refused, the old one stays";

pub(super) async fn run(options: &Daemon) -> Result<(), Failure> {
    let mut config = Rc::new(configuration(options.configuration.config.as_deref())?);
    let mut orders = Orders::listen()?;
    let aws = Aws::from_env().await?;
    let manager = Rc::new(Manager::from_env());
    let mut heart = Heart::of(&manager);
    loop {
        let machine = seat::instance().await;
        let mut crew = Crew::engage(&aws, &config, clock(), &manager, machine);
        manager.ready().await;
        let next = serve(&mut crew, &mut orders, &mut heart, options).await?;
        if next.is_none() {
            manager.stopping();
        }
        heart.beat_while(crew.dismiss()).await;
        match next {
            Some(next) => {
                tracing::info!(groups = next.groups.len(), "serves the new configuration");
                config = next;
            }
            None => return Ok(()),
        }
    }
}

/// Until there is a new configuration, or an order to stop: then None.
async fn serve(
    crew: &mut Crew,
    orders: &mut Orders,
    heart: &mut Heart,
    options: &Daemon,
) -> Result<Option<Rc<Config>>, Failure> {
    let manager = Rc::clone(&heart.manager);
    loop {
        tokio::select! {
            order = orders.next() => match order {
                Order::Stop => return Ok(None),
                Order::Reload => {
                    manager.reloading().await;
                    match configuration(options.configuration.config.as_deref()) {
                        Ok(config) => {
                            manager.retract(REFUSED);
                            return Ok(Some(Rc::new(config)));
                        }
                        // A broken configuration is no reason to leave anyone alone.
                        Err(error) => {
                            tracing::error!(%error, "{REFUSED}");
                            manager.note(REFUSED);
                            manager.ready().await;
                        }
                    }
                }
            },
            attended = crew.attend() => attended?,
            () = heart.beat() => {}
        }
    }
}

/// Signs of life, as often as someone watches for them.
struct Heart {
    manager: Rc<Manager>,
    due: Option<Interval>,
}

impl Heart {
    #[allow(
        clippy::disallowed_methods,
        reason = "the service manager's watchdog wants a sign at a fixed interval"
    )]
    fn of(manager: &Rc<Manager>) -> Self {
        let due = manager.watches_every().map(tokio::time::interval);
        Self {
            manager: Rc::clone(manager),
            due,
        }
    }

    /// One sign of life, when it is due; however often it is asked for and
    /// given up before.
    async fn beat(&mut self) {
        match &mut self.due {
            Some(due) => {
                due.tick().await;
                self.manager.alive();
            }
            None => std::future::pending().await,
        }
    }

    /// Steps that are under way may take longer than the watchdog waits.
    async fn beat_while(&mut self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                () = &mut work => return,
                () = self.beat() => {}
            }
        }
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
