//! The loop: observe, plan, act, until settled or out of time.
//!
//! **Architecture invariant:** nothing that matters is remembered here. What
//! one turn keeps for the next (the world it saw, when it last heartbeated,
//! how long it has waited) only saves calls; lose it and the loop goes on.

mod acting;
mod beats;
mod fresh;
mod here;
mod visiting;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use self::beats::{Beaten, Beats};
pub use self::visiting::{Left, Stay, Visit};
use crate::aws::{Aws, Focus, Meaning, Outcome};
use crate::clock::Clock;
use crate::host::Host;
use crate::patience::Patience;
use crate::plan::{self, Action, Plan, Seat, Step, Wait};
use crate::spec::GroupSpec;
use crate::world::World;

/// A plan older than this is not carried out: the process was suspended, or
/// the machine crawls, and the world has moved on.
const STALE: SignedDuration = SignedDuration::from_secs(20);
/// How often a runner that is at work notices that it is.
const BREATH: SignedDuration = SignedDuration::from_secs(1);
/// While it waits, a runner looks at everything again at least this often.
const LOOK_AROUND: SignedDuration = SignedDuration::from_mins(10);
/// And at who is a member at least this often: nobody tells an agent that its
/// predecessor has come to its hook, or a controller that the heir is gone.
const LOOK_AT_MEMBERS: SignedDuration = SignedDuration::from_secs(30);
/// Every this many idle looks at the group, everything is looked at.
const FULL_EVERY: u32 = 20;
/// A runner that cannot go on tries again this soon, however seldom it polls.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);
/// How long "access denied" may last before it is believed: a new role takes
/// a while to be known everywhere.
const DENIED_FOR: SignedDuration = SignedDuration::from_secs(90);

/// One runner, serving one group at a time.
pub struct Runner<H> {
    pub aws: Aws,
    /// This machine, where the runner sits on an instance.
    pub host: Option<H>,
    pub clock: Clock,
    pub teller: Teller,
}

/// Is told of every step and every new wait: for logs, console lines, timelines.
#[derive(Clone)]
pub struct Teller(Rc<Tell>);

type Tell = dyn Fn(Timestamp, &Told<'_>);

impl Teller {
    pub fn new(tell: impl Fn(Timestamp, &Told<'_>) + 'static) -> Self {
        Self(Rc::new(tell))
    }

    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }

    pub fn tell(&self, at: Timestamp, told: &Told<'_>) {
        (self.0)(at, told);
    }
}

/// What a teller is told.
#[derive(Debug)]
pub enum Told<'a> {
    Doing(&'a Step),
    Did(&'a Step),
    /// Its precondition no longer holds; why.
    Overtaken(&'a Step, &'a str),
    Failed(&'a Step, &'a str),
    /// Told once when the wait begins.
    Waiting(&'a Wait),
    Settled,
}

/// How `until_settled` ended.
#[derive(Debug)]
pub enum Ended {
    Settled(Box<World>),
    /// Running it again goes on.
    OutOfTime {
        waits: Vec<Wait>,
        last_error: Option<String>,
    },
    /// It would not get better by waiting.
    Failed(String),
}

/// What one runner carries from turn to turn, to save calls.
struct Memory {
    seat: Seat,
    world: Option<World>,
    focus: Focus,
    looked_around: Option<Timestamp>,
    /// The last look was the short one of a settled runner.
    glanced: bool,
    /// The last look was at everything, and older data was to be used.
    forsook: bool,
    /// When the members were last looked at.
    saw_members: Option<Timestamp>,
    /// When which parts were looked at of late.
    looks: Vec<(Timestamp, Focus)>,
    patience: Patience,
    /// When which capture was first refused, and last, and nothing else between.
    refused: BTreeMap<String, (Timestamp, Timestamp)>,
    /// Since when somebody is being fenced, if the last plan was about nothing else.
    fences_since: Option<Timestamp>,
    beats: Beats,
    told: BTreeSet<String>,
    announced: BTreeSet<String>,
    last_error: Option<String>,
    denied_since: Option<Timestamp>,
}

impl Memory {
    fn new() -> Self {
        Self {
            seat: Seat::default(),
            world: None,
            focus: Focus::ALL,
            looked_around: None,
            glanced: false,
            forsook: false,
            saw_members: None,
            looks: Vec::new(),
            patience: Patience::default(),
            refused: BTreeMap::new(),
            fences_since: None,
            beats: Beats::new(),
            told: BTreeSet::new(),
            announced: BTreeSet::new(),
            last_error: None,
            denied_since: None,
        }
    }
}

/// What became of one turn.
enum Turned {
    /// Something was done: look again at what it touched.
    Acted,
    Waits(Plan),
    Settled(Plan),
    Failed(String),
}

impl<H: Host> Runner<H> {
    /// Turns until settled or until the deadline; open lifecycle actions are
    /// kept open meanwhile.
    pub async fn until_settled(&mut self, spec: &GroupSpec, deadline: Timestamp) -> Ended {
        self.recover(spec).await;
        let mut memory = Memory::new();
        let mut waits = Vec::new();
        loop {
            let turned = self.turn(spec, &mut memory).await;
            memory.has_seen_actions();
            match turned {
                Turned::Settled(_) => {
                    self.tell(&Told::Settled);
                    return match memory.world {
                        Some(world) => Ended::Settled(Box::new(world)),
                        None => Ended::Failed("settled without having looked".to_owned()),
                    };
                }
                Turned::Failed(why) => return Ended::Failed(why),
                Turned::Acted => {}
                Turned::Waits(plan) => {
                    self.pause(spec, &mut memory, &plan, Some(deadline)).await;
                    waits = plan.waits;
                }
            }
            if self.clock.now() >= deadline {
                return Ended::OutOfTime {
                    waits,
                    last_error: memory.last_error,
                };
            }
        }
    }

    /// Forever: settled means to watch at leisure and keep house. `wake` cuts
    /// an idle pause short.
    pub async fn keep(
        &mut self,
        spec: &GroupSpec,
        poll_every: SignedDuration,
        wake: &Notify,
    ) -> std::convert::Infallible {
        self.recover(spec).await;
        let mut memory = Memory::new();
        let mut idle_looks = 0_u32;
        let mut woken = false;
        loop {
            let turned = self.turn(spec, &mut memory).await;
            memory.has_seen_actions();
            match turned {
                Turned::Acted => {
                    idle_looks = 0;
                    woken = false;
                }
                Turned::Failed(why) => {
                    tracing::error!(group = %spec.name, %why, "cannot go on; trying again later");
                    memory.focus = Focus::ALL;
                    tokio::select! {
                        biased;
                        () = self.sleep(poll_every.min(AGAIN)) => {}
                        () = wake.notified() => {}
                    }
                }
                Turned::Waits(plan) => {
                    idle_looks = 0;
                    woken = tokio::select! {
                        biased; // else which comes first is drawn, and no drill repeats
                        () = self.pause(spec, &mut memory, &plan, None) => false,
                        () = wake.notified() => true,
                    };
                    if woken {
                        memory.focus = Focus::ALL;
                    }
                }
                Turned::Settled(plan) => {
                    if idle_looks == 0 {
                        self.tell(&Told::Settled);
                        memory.told.clear();
                    }
                    // Whoever keeps an action open will have to close it in time; and
                    // what woke this runner may not be shown yet.
                    let shows_nothing = woken && plan.upkeep.is_empty();
                    let closes = !plan.keep_open.is_empty();
                    let pause = if closes || shows_nothing {
                        poll_every.min(LOOK_AT_MEMBERS)
                    } else {
                        poll_every
                    };
                    if !self.upkeep(spec, &mut memory, plan).await {
                        continue;
                    }
                    let changed = self.idle(spec, &mut memory, pause, wake).await;
                    woken = changed.is_some();
                    idle_looks = idle_looks.wrapping_add(1);
                    memory.glanced = changed.is_none();
                    memory.focus = match changed {
                        Some(focus) => focus,
                        // What allows it to be closed is not among the members.
                        None if closes || idle_looks.is_multiple_of(FULL_EVERY) => Focus::ALL,
                        None => Focus::idle(spec),
                    };
                }
            }
        }
    }

    /// One look at the world and the plan for it, without acting.
    pub async fn look(&self, spec: &GroupSpec) -> (World, Plan) {
        let mut memory = Memory::new();
        self.observe(spec, &mut memory).await;
        let world = memory.world.take().unwrap_or_else(World::unseen);
        let plan = plan::plan(&world, spec, &memory.seat, self.clock.now());
        (world, plan)
    }

    async fn turn(&mut self, spec: &GroupSpec, memory: &mut Memory) -> Turned {
        self.observe(spec, memory).await;
        let seen_at = self.clock.now();
        let Some(world) = &memory.world else {
            return Turned::Failed("nothing could be observed".to_owned());
        };
        let plan = plan::plan(world, spec, &memory.seat, seen_at);
        for wait in &plan.waits {
            self.tell_once(memory, wait);
        }
        memory.fences_since = visiting::fences_alone_since(&plan);
        let beats = memory.beats_due(&plan, self.clock.now());
        // What is kept open keeps nothing waiting.
        let (turned, beaten) = tokio::join!(
            self.go_on(spec, memory, plan, seen_at),
            self.beat(spec, beats)
        );
        let is_news = memory.beats.note(&beaten, self.clock.now());
        match turned {
            // Something happened that the next look at leisure would show much later.
            Turned::Settled(_) | Turned::Waits(_) if is_news => {
                memory.focus = Focus::ALL;
                Turned::Acted
            }
            turned => turned,
        }
    }

    async fn go_on(
        &self,
        spec: &GroupSpec,
        memory: &mut Memory,
        mut plan: Plan,
        seen_at: Timestamp,
    ) -> Turned {
        let is_sure = memory.is_sure_to_forsake(&plan);
        if plan.is_settled() {
            return Turned::Settled(plan);
        }
        // Since it saw everything else, others may have moved everything.
        if std::mem::take(&mut memory.glanced) && !memory.is_fresh(seen_at) {
            memory.focus = Focus::ALL;
            return Turned::Acted;
        }
        if plan.steps.is_empty() {
            return Turned::Waits(plan);
        }
        let due = plan
            .steps
            .iter()
            .filter(|s| memory.patience.is_due(s, seen_at));
        let rests_on = memory.rest_on(due, plan.forsakes);
        if !memory.is_fresh_of(rests_on, seen_at) {
            memory.focus = rests_on;
            return Turned::Acted;
        }
        if !is_sure {
            memory.focus = Focus::ALL;
            return Turned::Acted;
        }
        if self.clock.now().duration_since(seen_at) > STALE {
            memory.focus = Focus::ALL;
            return Turned::Acted;
        }
        if plan.forsakes && memory.may_still_capture(&plan, seen_at) {
            plan.steps.retain(|step| !fresh::uses_older_data(step));
        }
        match memory.patience.due(&plan.steps, seen_at) {
            Ok(due) => {
                memory.focus = self.carry_out(spec, memory, &due).await;
                self.let_it_happen(&due, seen_at).await;
            }
            Err(not_yet) => self.between_tries(spec, memory, &plan, not_yet).await,
        }
        match self.denied_for_good(memory) {
            Some(why) => Turned::Failed(why),
            None => Turned::Acted,
        }
    }

    /// Ends when this process has stood still for a while: its clock went on, and
    /// it did not. What it had in hand then is of a time that is over.
    async fn stood_still(&self) {
        loop {
            let due = later(self.clock.now(), BREATH);
            self.sleep(BREATH).await;
            if self.clock.now().duration_since(due) > STALE {
                return;
            }
        }
    }

    async fn observe(&self, spec: &GroupSpec, memory: &mut Memory) {
        loop {
            tokio::select! {
                biased; // what answered meanwhile is not to be heard
                () = self.stood_still() => memory.focus = Focus::ALL,
                () = self.look_at(spec, memory) => return,
            }
        }
    }

    async fn look_at(&self, spec: &GroupSpec, memory: &mut Memory) {
        let here = self.look_here(spec, memory).await;
        let now = self.clock.now();
        if memory.world.is_none() {
            memory.focus = Focus::ALL;
        }
        // Whatever is looked at, who is a member must not be old news.
        if memory.members_due(now).is_some_and(|due| due <= now) {
            memory.focus = memory.focus.union(Focus::GROUP);
        }
        if memory.focus.is_all() {
            memory.looked_around = Some(now);
        }
        if memory.focus.group {
            memory.saw_members = Some(now);
        }
        memory.note_look(now);
        let mut world = self
            .aws
            .observe(spec, memory.focus, memory.world.as_ref())
            .await;
        world.here = self.look_again(spec, memory, &world, here).await;
        memory.world = Some(world);
    }

    /// What is done at leisure. A failure here moves nothing and is tried
    /// again at the next idle look. False: the look that it took shows that there is
    /// no leisure.
    async fn upkeep(&self, spec: &GroupSpec, memory: &mut Memory, mut plan: Plan) -> bool {
        if plan.upkeep.is_empty() {
            return true;
        }
        if !memory.is_fresh(self.clock.now()) {
            memory.focus = Focus::ALL;
            self.observe(spec, memory).await;
            let Some(world) = &memory.world else {
                return true;
            };
            plan = plan::plan(world, spec, &memory.seat, self.clock.now());
            if !plan.is_settled() {
                return false;
            }
        }
        self.carry_out(spec, memory, &plan.upkeep).await;
        true
    }

    async fn beat(&self, spec: &GroupSpec, actions: Vec<Action>) -> Vec<(Action, Beaten)> {
        let mut beaten = Vec::new();
        for action in actions {
            let how = match self.aws.heartbeat(&spec.name, &action).await {
                Ok(Outcome::Done) => Beaten::Arrived,
                Ok(Outcome::Overtaken(_)) => Beaten::NotOpen,
                Err(error) => {
                    tracing::warn!(%error, instance = %action.instance, "the heartbeat did not arrive");
                    match error.meaning {
                        Meaning::Validation => Beaten::NotOpen, // no such group, or hook
                        _ => Beaten::Failed,
                    }
                }
            };
            beaten.push((action, how));
        }
        beaten
    }

    fn denied_for_good(&self, memory: &Memory) -> Option<String> {
        let since = memory.denied_since?;
        (self.clock.now().duration_since(since) > DENIED_FOR)
            .then(|| memory.last_error.clone())
            .flatten()
    }

    fn tell(&self, told: &Told<'_>) {
        self.teller.tell(self.clock.now(), told);
    }

    /// A wait is told when it begins; its moving parts (progress, deadlines)
    /// do not make it a new one.
    fn tell_once(&self, memory: &mut Memory, wait: &Wait) {
        if memory.told.insert(wait.reason.key()) {
            self.tell(&Told::Waiting(wait));
        }
    }

    async fn sleep(&self, pause: SignedDuration) {
        tokio::time::sleep(pause.unsigned_abs()).await;
    }
}

impl Memory {
    fn beats_due(&mut self, plan: &Plan, now: Timestamp) -> Vec<Action> {
        let group = self.world.as_ref().and_then(|world| world.group.known());
        self.beats.due(plan, group, now)
    }

    fn has_seen_actions(&mut self) {
        let group = self.world.as_ref().and_then(|world| world.group.known());
        self.beats.has_seen(group);
    }

    /// When the members are to be looked at again: one may be on its way out, or
    /// in.
    fn members_due(&self, now: Timestamp) -> Option<Timestamp> {
        let due = later(self.saw_members?, LOOK_AT_MEMBERS);
        Some(due.max(now))
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
