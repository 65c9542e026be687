//! Who is on stage? The region, which moves by itself; a runner on each
//! instance that booted; a controller where the scenario wants one.
//!
//! One thread, one paused clock, no randomness of its own: the same scenario
//! with the same seed gives the same bytes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rehome_region::model::Volume;
use rehome_region::{Notice, What};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::connector::Shared;
use super::frozen::Freezable;
use super::guest::Guest;
use super::narrate::{Remark, remark};
use super::promises::Conditions;
use super::scenario::Weather;
use crate::reconcile::{Left, Runner, Stay, Teller, Visit};
use crate::report::Kind;
use crate::spec::GroupSpec;

/// As `rehome bootstrap` does by default.
const BOOTSTRAP_TIMEOUT: SignedDuration = SignedDuration::from_mins(15);
/// From something happening until its event has woken a controller.
const EVENT_DELAY: Duration = Duration::from_millis(500);

/// How long a function may work, how often a schedule sends one, and when its
/// queue delivers what failed again.
const VISIT: SignedDuration = SignedDuration::from_mins(4);
const SCHEDULE: SignedDuration = SignedDuration::from_mins(5);
const RETRY: SignedDuration = SignedDuration::from_secs(30);
/// When it looks again at what is settled although something happened; and when
/// once more.
const LAG: SignedDuration = SignedDuration::from_secs(30);
const LONG_LAG: SignedDuration = SignedDuration::from_mins(2);

/// How soon a runner that was killed runs again.
const RESTART_AFTER: Duration = Duration::from_secs(2);

/// Everyone who takes part, and what they said.
pub struct Stage {
    pub shared: Shared,
    pub spec: GroupSpec,
    /// Do instances run rehome from their boot on? Not before it came.
    agents: Cell<bool>,
    poll_every: SignedDuration,
    /// Is the controller a function?
    function: bool,
    weather: Weather,
    /// The runners outside of the instances.
    controllers: Cell<&'static [&'static str]>,
    runners: RefCell<BTreeMap<String, JoinHandle<()>>>,
    /// The instances whose system is up.
    up: RefCell<BTreeSet<String>>,
    /// Rung whenever the region has moved: for the one who tells the story.
    pub moved: Notify,
    /// Rung a little after something happened: for the controller.
    events: Rc<Notify>,
    pub remarks: RefCell<Vec<Remark>>,
    /// Whatever there ever was, as it was last seen: AWS forgets.
    pub zones: RefCell<BTreeMap<String, String>>,
    pub volumes: RefCell<BTreeMap<String, Volume>>,
    /// How far the record has been read.
    read: Cell<usize>,
}

impl Stage {
    pub fn new(shared: Shared, spec: GroupSpec, poll_every: SignedDuration) -> Rc<Self> {
        Self::under(shared, spec, poll_every, false, Weather::default())
    }

    /// The same in some weather, with a function for a controller or not.
    pub fn under(
        shared: Shared,
        spec: GroupSpec,
        poll_every: SignedDuration,
        function: bool,
        weather: Weather,
    ) -> Rc<Self> {
        let agents = Cell::new(spec.agent);
        Rc::new(Self {
            shared,
            spec,
            agents,
            poll_every,
            function,
            weather,
            controllers: Cell::new(&[]),
            runners: RefCell::default(),
            up: RefCell::default(),
            moved: Notify::new(),
            events: Rc::new(Notify::new()),
            remarks: RefCell::default(),
            zones: RefCell::default(),
            volumes: RefCell::default(),
            read: Cell::new(0),
        })
    }

    pub fn now(&self) -> Timestamp {
        self.shared.time.now()
    }

    /// What every runner has to live with.
    pub fn conditions(&self) -> Conditions {
        let weather = &self.weather;
        let clocks = [weather.controller_clock.abs(), weather.agent_clock.abs()];
        Conditions {
            looks_every: if self.function {
                SCHEDULE
            } else {
                self.poll_every
            },
            hears_after: self.hears_after(),
            sees_after: self.sees_after(),
            clocks_off: clocks.into_iter().max().unwrap_or_default(),
            controllers: Some(self.controllers.get()),
        }
    }

    /// How much later than it happens a runner hears of something: the controller
    /// at its next look, if no event tells it; where there is none, an agent at its.
    fn hears_after(&self) -> SignedDuration {
        let is_told = !self.weather.deaf && !self.controllers.get().is_empty();
        match (is_told, self.function) {
            (true, _) => SignedDuration::ZERO,
            (false, true) => SCHEDULE,
            (false, false) => self.poll_every,
        }
    }

    /// By how much what a describe shows may be old, and nobody looks again.
    fn sees_after(&self) -> SignedDuration {
        // Few answers are as old as twice what nearly all of them keep to.
        let lag = self.weather.lag.unwrap_or_default() * 2;
        if self.function && lag.is_positive() {
            lag.saturating_add(LONG_LAG)
        } else {
            lag
        }
    }

    /// From now on instances boot with, or without, rehome.
    pub fn set_agents(&self, present: bool) {
        self.agents.set(present && self.spec.agent);
    }

    /// AWS's part: what is due comes to pass, and guests begin and end.
    pub async fn play_region(self: Rc<Self>) {
        loop {
            let (notices, next) = {
                let mut region = self.shared.lock();
                region.advance(self.now());
                (region.take_notices(), region.next_due())
            };
            self.read_record();
            for notice in notices {
                self.heed(&notice);
            }
            self.moved.notify_waiters();
            match next.map(|at| self.shared.time.instant_of(at)) {
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = self.shared.changed() => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => self.shared.changed().await,
            }
        }
    }

    /// A runner that sits on no instance.
    pub fn engage_controller(self: &Rc<Self>, who: &str) {
        if who == super::SECOND_CONTROLLER {
            self.controllers
                .set(&[super::CONTROLLER, super::SECOND_CONTROLLER]);
        } else if self.controllers.get().is_empty() {
            self.controllers.set(&[super::CONTROLLER]);
        }
        let runner = self.runner(who, None);
        let wake = Rc::clone(&self.events);
        let (spec, every) = (self.spec.clone(), self.poll_every);
        if self.function {
            self.begin(who, visits(runner, spec, wake));
        } else {
            self.begin(who, async move {
                let mut runner = runner;
                runner.keep(&spec, every, &wake).await;
            });
        }
    }

    /// Rehome comes to an instance that has lived without it.
    pub fn install_agent(self: &Rc<Self>, instance: &str) {
        let guest = Guest::new(self.shared.clone(), instance);
        let mut runner = self.runner(instance, Some(guest));
        let (spec, every) = (self.spec.clone(), self.poll_every);
        self.begin(instance, async move {
            runner.keep(&spec, every, &Notify::new()).await;
        });
    }

    /// Takes away the runners that were struck down, and starts others in their
    /// place, as systemd or Lambda does.
    pub async fn replace_fallen(self: Rc<Self>) {
        loop {
            for fall in self.shared.fallen().await {
                let is_fatal = fall.blow.when.is_fatal();
                let befalls = if is_fatal { "is killed" } else { "is held up" };
                self.remarks.borrow_mut().push(Remark {
                    at: self.now(),
                    who: fall.who.clone(),
                    what: format!("{befalls} {}:{}", fall.at, fall.blow.when),
                    kind: Kind::Fails,
                });
                if is_fatal {
                    self.replace(fall.who);
                }
            }
        }
    }

    fn replace(self: &Rc<Self>, who: String) {
        if let Some(task) = self.runners.borrow_mut().remove(&who) {
            task.abort();
        }
        let stage = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(RESTART_AFTER).await;
            if who.starts_with(super::CONTROLLER) {
                stage.engage_controller(&who);
            } else if stage.up.borrow().contains(&who) {
                stage.install_agent(&who);
            }
        });
    }

    fn heed(self: &Rc<Self>, notice: &Notice) {
        match notice {
            Notice::Booted { instance } => self.up.borrow_mut().insert(instance.clone()),
            Notice::Halted { instance } => self.up.borrow_mut().remove(instance),
        };
        match notice {
            Notice::Booted { instance } if self.agents.get() => self.boot_with_agent(instance),
            Notice::Booted { instance } => self.boot_without_agent(instance),
            Notice::Halted { instance } => {
                if let Some(task) = self.runners.borrow_mut().remove(instance) {
                    task.abort();
                }
            }
        }
    }

    /// User data runs `rehome bootstrap`; then the service runs `rehome daemon`.
    fn boot_with_agent(self: &Rc<Self>, instance: &str) {
        let guest = Guest::new(self.shared.clone(), instance);
        let mut runner = self.runner(instance, Some(guest));
        let (spec, every) = (self.spec.clone(), self.poll_every);
        let deadline = self
            .now()
            .saturating_add(BOOTSTRAP_TIMEOUT)
            .unwrap_or(Timestamp::MAX);
        self.begin(instance, async move {
            runner.until_settled(&spec, deadline).await;
            runner.keep(&spec, every, &Notify::new()).await;
        });
    }

    fn boot_without_agent(self: &Rc<Self>, instance: &str) {
        let guest = Guest::new(self.shared.clone(), instance);
        let spec = self.spec.clone();
        let task = tokio::task::spawn_local(async move { guest.boot_without_agent(&spec).await });
        self.engage(instance, task);
    }

    /// Starts a runner's process.
    fn begin(&self, who: &str, process: impl Future<Output = ()> + 'static) {
        let process = Freezable::new(self.shared.clone(), who, process);
        self.engage(who, tokio::task::spawn_local(process));
    }

    fn engage(&self, who: &str, task: JoinHandle<()>) {
        if let Some(before) = self.runners.borrow_mut().insert(who.to_owned(), task) {
            before.abort();
        }
    }

    fn runner(self: &Rc<Self>, who: &str, host: Option<Guest>) -> Runner<Guest> {
        let stage = Rc::downgrade(self);
        let name = who.to_owned();
        let ahead = if who.starts_with(super::CONTROLLER) {
            self.weather.controller_clock
        } else {
            self.weather.agent_clock
        };
        let teller = Teller::new(move |at, told| {
            if let (Some(stage), Some(said)) = (stage.upgrade(), remark(at, &name, told)) {
                stage.remarks.borrow_mut().push(said);
            }
        });
        Runner {
            aws: self.shared.aws(who),
            host,
            clock: self.shared.time.clock_ahead(ahead),
            teller,
        }
    }

    /// Keeps what AWS will forget, and wakes the controller.
    fn read_record(&self) {
        let region = self.shared.lock();
        let fresh = region
            .record()
            .entries()
            .get(self.read.get()..)
            .unwrap_or_default();
        let changes = fresh
            .iter()
            .filter(|entry| !matches!(entry.what, What::Call { .. }));
        let (mut keep, mut wake) = (false, false);
        for entry in changes {
            keep |= is_new_fact(&entry.what);
            wake |= is_event(&entry.what);
        }
        self.read.set(region.record().entries().len());
        if keep {
            let seen = region.model();
            let instances = seen.instances.values();
            let zones = instances.map(|i| (i.id.clone(), i.zone.clone()));
            self.zones.borrow_mut().extend(zones);
            self.volumes.borrow_mut().extend(seen.volumes.clone());
        }
        if wake && !self.weather.deaf && self.runners.borrow().contains_key(super::CONTROLLER) {
            let events = Rc::clone(&self.events);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(EVENT_DELAY).await;
                events.notify_one();
            });
        }
    }
}

/// A function: it comes when something happens or when it said it would, does
/// what can be done, and leaves. A schedule sends it besides.
async fn visits(mut runner: Runner<Guest>, spec: GroupSpec, wake: Rc<Notify>) {
    let mut looks: Vec<SignedDuration> = Vec::new();
    loop {
        let now = runner.clock.now();
        let visit = Visit {
            until: now.saturating_add(VISIT).unwrap_or(Timestamp::MAX),
            stay: Stay::Briefly,
        };
        let left = runner.visit(&spec, visit).await;
        if !matches!(left, Left::Settled) {
            looks.clear();
        }
        let back_in = match left {
            Left::Settled => looks.pop().unwrap_or(SCHEDULE),
            Left::Unsettled { back_in, .. } => back_in.min(SCHEDULE),
            Left::Failed(_) => RETRY,
        };
        let back_in = Duration::try_from(back_in).unwrap_or_default();
        tokio::select! {
            biased;
            () = wake.notified() => looks = vec![LONG_LAG.saturating_sub(LAG), LAG],
            () = tokio::time::sleep(back_in) => {}
        }
    }
}

fn is_new_fact(what: &What) -> bool {
    matches!(
        what,
        What::InstanceState { .. }
            | What::VolumeCreated { .. }
            | What::Tagged { .. }
            | What::Attached { .. }
    )
}

/// Does EventBridge tell of this?
fn is_event(what: &What) -> bool {
    matches!(
        what,
        What::InstanceState { .. }
            | What::AlarmState { .. }
            | What::HookOpened { .. }
            | What::SnapshotCompleted { .. }
            | What::SnapshotFailed { .. }
    )
}
