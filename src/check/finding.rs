//! What is one line of a check?

use serde::Serialize;

use super::mend::Command;
use crate::world::Seen;

/// One thing that was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub part: Part,
    /// The question, by the name under which `docs/checking.md` explains it.
    pub check: &'static str,
    pub verdict: Verdict,
    /// What was found.
    pub says: String,
    /// What would go wrong in a failover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// The command that mends it, or, where no single one does, a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// How a line begins that can be copied into a shell.
const PROGRAMS: &[&str] = &[
    "aws ",
    "rehome ",
    "systemctl ",
    "cp ",
    "mv ",
    "umount ",
    "lsblk ",
    "dnf ",
];

impl Finding {
    /// Is what mends it a command, and not a sentence?
    pub fn is_command(&self) -> bool {
        let mend = self.mend.as_deref().unwrap_or_default();
        PROGRAMS.iter().any(|program| mend.starts_with(program))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Hooks,
    Group,
    Template,
    Pair,
    Volumes,
    Snapshots,
    Addresses,
    Alarms,
    Permissions,
    Machine,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hooks => "hooks",
            Self::Group => "group",
            Self::Template => "template",
            Self::Pair => "pair",
            Self::Volumes => "volumes",
            Self::Snapshots => "snapshots",
            Self::Addresses => "addresses",
            Self::Alarms => "alarms",
            Self::Permissions => "permissions",
            Self::Machine => "machine",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Right,
    /// A failover works, but not as well as it could, or not always.
    Warning,
    /// A failover would not work.
    Wrong,
    /// It could not be read. That is not the same as wrong.
    Unknown,
}

/// The findings of one part, as they are written down.
#[derive(Debug)]
pub(super) struct Sheet {
    part: Part,
    findings: Vec<Finding>,
}

impl Sheet {
    pub(super) fn new(part: Part) -> Self {
        Self {
            part,
            findings: Vec::new(),
        }
    }

    pub(super) fn right(&mut self, check: &'static str, says: impl Into<String>) {
        self.put(check, Verdict::Right, says.into(), None, None);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        says: impl Into<String>,
        risk: impl Into<String>,
        mend: impl Into<Command>,
    ) {
        let mend = Some(mend.into().into_text());
        self.put(
            check,
            Verdict::Warning,
            says.into(),
            Some(risk.into()),
            mend,
        );
    }

    pub(super) fn wrong(
        &mut self,
        check: &'static str,
        says: impl Into<String>,
        risk: impl Into<String>,
        mend: impl Into<Command>,
    ) {
        let mend = Some(mend.into().into_text());
        self.put(check, Verdict::Wrong, says.into(), Some(risk.into()), mend);
    }

    pub(super) fn unknown(&mut self, check: &'static str, why: &str) {
        // An error of AWS says by itself what could not be done.
        let says = match why.starts_with("could not ") {
            true => why.to_owned(),
            false => format!("could not be read: {why}"),
        };
        self.untold(check, says);
    }

    /// What nobody can be asked about.
    pub(super) fn untold(&mut self, check: &'static str, says: impl Into<String>) {
        self.put(check, Verdict::Unknown, says.into(), None, None);
    }

    /// The part, or a line that says why it is not known.
    pub(super) fn known<'a, T>(&mut self, check: &'static str, seen: &'a Seen<T>) -> Option<&'a T> {
        match seen {
            Seen::Known(value) => Some(value),
            Seen::Unknown(why) => {
                self.unknown(check, why);
                None
            }
        }
    }

    fn put(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        says: String,
        risk: Option<String>,
        mend: Option<String>,
    ) {
        self.findings.push(Finding {
            part: self.part,
            check,
            verdict,
            says,
            risk,
            mend,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.findings.len()
    }

    pub(super) fn done(self) -> Vec<Finding> {
        self.findings
    }
}
