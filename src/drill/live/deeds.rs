//! What is done to the instance in each round?

use std::fmt;

use fastrand::Rng;

/// One way for a serving instance to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Auto Scaling replaces it; the heir comes up in another zone.
    OtherZone,
    /// Auto Scaling replaces it; the heir comes up in the same zone.
    SameZone,
    /// Auto Scaling replaces it, and its agent is killed in the middle.
    AgentKilled(Moment),
    /// Its power is cut, behind the back of its group.
    PowerCut,
    /// Its whole zone goes dark, and comes back when the heir serves.
    ZoneOutage,
}

/// When an agent is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// While PostgreSQL shuts down.
    Stopping,
    /// Before all that, while it holds the file system still for a periodic
    /// snapshot.
    Frozen,
    /// AWS has carried this call out, and the answer is under way.
    After(&'static str),
    /// The same, and the call is the heir's, from its first boot.
    HeirAfter(&'static str),
}

/// Where the heir comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heir {
    OtherZone,
    SameZone,
}

const MOMENTS: [Moment; 6] = [
    Moment::After("DetachVolume"),
    Moment::Frozen,
    Moment::HeirAfter("AttachVolume"),
    Moment::Stopping,
    Moment::After("CreateSnapshot"),
    Moment::HeirAfter("AssociateAddress"),
];

/// So many rounds: the harshest of each kind first, then in any order.
pub(super) fn rounds(count: usize, rng: &mut Rng) -> Vec<(Deed, Heir)> {
    let mut rounds = Vec::new();
    for turn in 0_usize.. {
        let moment = MOMENTS
            .into_iter()
            .cycle()
            .nth(turn)
            .unwrap_or(Moment::Stopping);
        let mut deeds = [
            Deed::AgentKilled(moment),
            Deed::PowerCut,
            Deed::ZoneOutage,
            Deed::SameZone,
            Deed::OtherZone,
        ];
        if turn > 0 {
            rng.shuffle(&mut deeds);
        }
        for deed in deeds {
            if rounds.len() == count {
                return rounds;
            }
            rounds.push((deed, deed.heir(turn > 0 && rng.bool())));
        }
    }
    rounds
}

impl Deed {
    /// Where no zone belongs to the deed, `same` says whether it stays.
    fn heir(self, same: bool) -> Heir {
        match self {
            Self::SameZone => Heir::SameZone,
            Self::AgentKilled(_) | Self::PowerCut if same => Heir::SameZone,
            _ => Heir::OtherZone,
        }
    }

    /// May it lose what was acknowledged?
    pub(super) fn may_lose(self) -> bool {
        self == Self::ZoneOutage
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OtherZone | Self::SameZone => "replaced",
            Self::AgentKilled(_) => "agent killed",
            Self::PowerCut => "power cut",
            Self::ZoneOutage => "zone outage",
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherZone => f.write_str("Auto Scaling replaces it, in another zone"),
            Self::SameZone => f.write_str("Auto Scaling replaces it, in the same zone"),
            Self::AgentKilled(Moment::Stopping) => {
                f.write_str("Auto Scaling replaces it, and its agent is killed (-9) while PostgreSQL shuts down")
            }
            Self::AgentKilled(Moment::Frozen) => f.write_str("its agent is killed (-9) while it holds the file system frozen; later Auto Scaling replaces it"),
            Self::AgentKilled(Moment::After(call)) => write!(
                f,
                "Auto Scaling replaces it, and its agent is killed (-9) before the answer to {call} arrives"
            ),
            Self::AgentKilled(Moment::HeirAfter(call)) => write!(
                f,
                "Auto Scaling replaces it, and the agent of its heir is killed (-9) before the answer to {call} arrives"
            ),
            Self::PowerCut => f.write_str("its power is cut, and its group does not know"),
            Self::ZoneOutage => f.write_str("its zone goes dark, volume and all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_rounds_have_the_three_harshest_ends() {
        let deeds: Vec<&str> = rounds(3, &mut Rng::with_seed(0))
            .iter()
            .map(|(deed, _)| deed.name())
            .collect();
        assert_eq!(deeds, ["agent killed", "power cut", "zone outage"]);
    }

    #[test]
    fn every_five_rounds_have_everything_and_the_agent_dies_at_every_moment() {
        let all = rounds(30, &mut Rng::with_seed(7));
        assert_eq!(all.len(), 30);
        for five in all.chunks(5) {
            for wanted in [
                Deed::PowerCut,
                Deed::ZoneOutage,
                Deed::SameZone,
                Deed::OtherZone,
            ] {
                assert!(five.iter().any(|(deed, _)| *deed == wanted), "{wanted}");
            }
        }
        for moment in MOMENTS {
            assert!(
                all.iter()
                    .any(|(deed, _)| *deed == Deed::AgentKilled(moment))
            );
        }
        assert_eq!(
            all,
            rounds(30, &mut Rng::with_seed(7)),
            "the same seed, the same rounds"
        );
    }
}
