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
use crate::host::linux::LinuxHost;
use crate::spec::Config;

/// How it is said in the status that a reload failed.
const REFUSED: &str = "the new configuration was refused, the old one stays";

pub(super) async fn run(options: &Daemon) -> Result<(), Failure> {
    let mut config = Rc::new(configuration(options.configuration.config.as_deref())?);
    let mut orders = Orders::listen()?;
    let aws = Aws::from_env().await?;
    let manager = Rc::new(Manager::from_env());
    let mut heart = Heart::of(&manager);
    let mut machine = seat::instance().await.map(Rc::new);
    loop {
        let mut crew = Crew::engage(&aws, &config, clock(), &manager, machine.clone());
        manager.ready().await;
        let stranger = machine.is_none();
        let next = serve(&mut crew, &mut orders, &mut heart, options, stranger).await?;
        if matches!(next, Next::Stop) {
            manager.stopping();
        }
        heart.beat_while(crew.dismiss()).await;
        match next {
            Next::Configuration(next) => {
                tracing::info!(groups = next.groups.len(), "serves the new configuration");
                config = next;
            }
            Next::Machine(found) => {
                tracing::info!("the metadata service answers now: this is an EC2 instance");
                machine = Some(found);
            }
            Next::Stop => return Ok(()),
        }
    }
}

/// Why a crew is dismissed.
enum Next {
    Configuration(Rc<Config>),
    Machine(Rc<LinuxHost>),
    Stop,
}

/// Until there is a reason for another crew, or for none. A `stranger` does not
/// know yet whether its machine is an instance.
async fn serve(
    crew: &mut Crew,
    orders: &mut Orders,
    heart: &mut Heart,
    options: &Daemon,
    stranger: bool,
) -> Result<Next, Failure> {
    let manager = Rc::clone(&heart.manager);
    let mut machine = pin!(seat::instance_at_last());
    loop {
        tokio::select! {
            order = orders.next() => match order {
                Order::Stop => return Ok(Next::Stop),
                Order::Reload => {
                    manager.reloading().await;
                    match configuration(options.configuration.config.as_deref()) {
                        Ok(config) => {
                            manager.retract(REFUSED);
                            return Ok(Next::Configuration(Rc::new(config)));
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
            found = &mut machine, if stranger => return Ok(Next::Machine(Rc::new(found))),
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
