//! Where is a runner struck down? Before or after one of its calls, counted
//! over all runners; a new process takes its place soon after.
//!
//! Calls of a runner that only idles are alike, and not counted: points are
//! where something is under way.

use std::str::FromStr;

/// Before the call went out, or after AWS has carried it out and before the
/// runner hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    Before,
    After,
}

/// One planned end of a runner: at its `call`th call, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blow {
    pub call: u64,
    pub when: When,
}

impl std::fmt::Display for Blow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let when = match self.when {
            When::Before => "before",
            When::After => "after",
        };
        write!(f, "{}:{when}", self.call)
    }
}

impl FromStr for Blow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not like 12:before or 12:after");
        let (call, when) = text.split_once(':').ok_or_else(wrong)?;
        let call = call.parse().ok().filter(|call| *call > 0);
        let when = match when {
            "before" => When::Before,
            "after" => When::After,
            _ => return Err(wrong()),
        };
        let call = call.ok_or_else(wrong)?;
        Ok(Self { call, when })
    }
}

/// One that came about.
#[derive(Clone, Debug)]
pub struct Fall {
    pub who: String,
    /// The call it was struck at.
    pub at: String,
    pub blow: Blow,
}

/// What is planned, and how far the story is.
#[derive(Clone, Debug, Default)]
pub struct Blows {
    planned: Vec<Blow>,
    counting: bool,
    calls: u64,
    /// Fallen, and not yet taken away.
    fallen: Vec<Fall>,
    /// All that ever fell.
    pub struck: Vec<Fall>,
}

impl Blows {
    pub fn new(planned: &[Blow]) -> Self {
        Self {
            planned: planned.to_vec(),
            ..Self::default()
        }
    }

    pub fn count(&mut self, counting: bool) {
        self.counting = counting;
    }

    /// How many points there were.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// A runner is about to make a call: what becomes of it, if anything?
    pub(super) fn at(&mut self, who: &str, action: &str) -> Option<When> {
        if !self.counting {
            return None;
        }
        self.calls += 1;
        let blow = *self.planned.iter().find(|blow| blow.call == self.calls)?;
        let fall = Fall {
            who: who.to_owned(),
            at: action.to_owned(),
            blow,
        };
        self.fallen.push(fall.clone());
        self.struck.push(fall);
        Some(blow.when)
    }

    pub(super) fn take_fallen(&mut self) -> Vec<Fall> {
        std::mem::take(&mut self.fallen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blow_reads_as_it_is_written() {
        for text in ["1:before", "12:after"] {
            let blow: Blow = text.parse().expect("it is one");
            assert_eq!(blow.to_string(), text);
        }
        for text in ["", "12", "0:before", "x:after", "3:later"] {
            assert!(text.parse::<Blow>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_calls_of_the_story_count() {
        let blow = Blow {
            call: 2,
            when: When::After,
        };
        let mut blows = Blows::new(&[blow]);
        assert_eq!(blows.at("i-1", "DescribeVolumes"), None);
        blows.count(true);
        assert_eq!(blows.at("i-1", "DescribeVolumes"), None);
        assert_eq!(blows.at("i-2", "AttachVolume"), Some(When::After));
        assert_eq!(blows.calls(), 2);
        assert_eq!(blows.take_fallen().len(), 1);
        assert!(blows.take_fallen().is_empty());
    }
}
