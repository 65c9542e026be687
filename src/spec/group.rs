//! What one `[[group]]` says.

use super::error::ConfigError;
use super::reader::{Item, Once, Table};
use super::volume;
use super::{AddressSpec, GroupSpec, Kind, Policy, WorkloadSpec};
use crate::ids::{AllocationId, GroupName, InstanceId};

pub(super) const KEYS: &[&str] = &[
    "name", "kind", "members", "agent", "address", "volume", "workload", "alarm", "policy",
];

/// What may be said once in the whole file, whatever the group.
pub(super) struct OnceAmongGroups {
    names: Once<'static>,
    members: Once<'static>,
    addresses: Once<'static>,
}

impl OnceAmongGroups {
    pub(super) fn new() -> Self {
        Self {
            names: Once::of("every group has its own name"),
            members: Once::of("an instance is a member of one group, once"),
            addresses: Once::of("an address follows one group"),
        }
    }
}

pub(super) fn read(
    table: &Table<'_>,
    once: &mut OnceAmongGroups,
) -> Result<GroupSpec, ConfigError> {
    let name = table.need("name", "\"orders-db\"")?;
    let text = name.text("orders-db")?;
    if text.len() > 255 {
        return Err(name.refuse("must be at most 255 characters long, as Auto Scaling has it"));
    }
    once.names.check(text, &name)?;
    let spec = GroupSpec {
        name: GroupName::new(text),
        kind: kind(table, once)?,
        agent: table.get("agent").map_or(Ok(true), |item| item.flag())?,
        addresses: addresses(table, once)?,
        volumes: volume::read_all(table)?,
        workload: workload(table)?,
        alarms: alarms(table)?,
        policy: policy(table)?,
    };
    if spec.addresses.is_empty() && spec.volumes.is_empty() {
        return Err(table.refuse(format!(
            "\"{text}\" has nothing that could follow its holder; write a [[group.volume]] or a [[group.address]]"
        )));
    }
    Ok(spec)
}

fn kind(table: &Table<'_>, once: &mut OnceAmongGroups) -> Result<Kind, ConfigError> {
    let members = table.get("members");
    let pair = match table.get("kind") {
        None => false,
        Some(item) => match item.text("asg")? {
            "asg" => false,
            "pair" => true,
            other => return Err(item.refuse(format!("\"{other}\" must be \"asg\" or \"pair\""))),
        },
    };
    match (pair, members) {
        (false, None) => Ok(Kind::Asg),
        (false, Some(item)) => Err(item.refuse(
            "an Auto Scaling group knows its members itself; only kind = \"pair\" lists them",
        )),
        (true, members) => {
            let example = "[\"i-0primary\", \"i-0standby\"]";
            let item = match members {
                Some(item) => item,
                None => table.need("members", example)?,
            };
            Ok(Kind::Pair {
                members: two_members(&item, example, once)?,
            })
        }
    }
}

fn two_members(
    item: &Item<'_>,
    example: &str,
    once: &mut OnceAmongGroups,
) -> Result<Vec<InstanceId>, ConfigError> {
    let list = item.list(example)?;
    if list.len() != 2 {
        return Err(item.refuse(format!(
            "a pair has exactly two members, preferred first, such as {example}, but this list has {}",
            list.len()
        )));
    }
    let read = |item: &Item<'_>| {
        let id = item.text("i-0primary")?;
        if !has_id_shape(id, "i-") {
            return Err(item.refuse(format!("\"{id}\" is no instance id; it begins with i-")));
        }
        once.members.check(id, item)?;
        Ok(InstanceId::new(id))
    };
    list.iter().map(read).collect()
}

/// `prefix` and then letters and digits.
fn has_id_shape(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

fn addresses(
    table: &Table<'_>,
    once: &mut OnceAmongGroups,
) -> Result<Vec<AddressSpec>, ConfigError> {
    let Some(list) = table.get("address") else {
        return Ok(Vec::new());
    };
    let tables = list.tables(&["allocation_id", "tag"])?;
    tables.iter().map(|table| address(table, once)).collect()
}

fn address(table: &Table<'_>, once: &mut OnceAmongGroups) -> Result<AddressSpec, ConfigError> {
    let ways =
        "allocation_id = \"eipalloc-0abc\" or tag = { key = \"service\", value = \"orders\" }";
    match (table.get("allocation_id"), table.get("tag")) {
        (Some(item), None) => {
            let id = item.text("eipalloc-0abc")?;
            if !has_id_shape(id, "eipalloc-") {
                return Err(item.refuse(format!(
                    "\"{id}\" is no allocation id of an Elastic IP; it begins with eipalloc-"
                )));
            }
            once.addresses.check(id, &item)?;
            Ok(AddressSpec::Allocation(AllocationId::new(id)))
        }
        (None, Some(item)) => {
            let tag = item.table(&["key", "value"])?;
            let key = tag.need("key", "\"service\"")?.text("service")?;
            let value = tag.need("value", "\"orders\"")?.text("orders")?;
            once.addresses.check(&format!("{key}={value}"), &item)?;
            Ok(AddressSpec::Tag {
                key: key.to_owned(),
                value: value.to_owned(),
            })
        }
        (Some(_), Some(item)) => Err(item.refuse(format!(
            "an address is found one way, not two; write {ways}"
        ))),
        (None, None) => Err(table.refuse(format!("says nothing; write {ways}"))),
    }
}

fn workload(table: &Table<'_>) -> Result<WorkloadSpec, ConfigError> {
    let Some(item) = table.get("workload") else {
        return Ok(WorkloadSpec::default());
    };
    let table = item.table(&["units", "health"])?;
    let mut workload = WorkloadSpec::default();
    if let Some(list) = table.get("units") {
        let mut once = Once::of("a unit is started once");
        for item in list.list("[\"postgresql.service\"]")? {
            let unit = item.text("postgresql.service")?;
            if unit.starts_with('-') || !unit.chars().all(is_unit_character) {
                return Err(item.refuse(format!(
                    "\"{unit}\" is no systemd unit name; it is like \"postgresql.service\""
                )));
            }
            once.check(unit, &item)?;
            workload.units.push(unit.to_owned());
        }
    }
    if let Some(list) = table.get("health") {
        let items = list.list("[\"pg_isready\", \"-q\"]")?;
        let mut words = items.iter();
        if let Some(program) = words.next() {
            workload.health.push(program.text("pg_isready")?.to_owned());
        }
        for word in words {
            // An argument may be empty, a program not.
            workload.health.push(word.any_text("-q")?.to_owned());
        }
    }
    Ok(workload)
}

fn is_unit_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '\\' | '@' | '-')
}

fn alarms(table: &Table<'_>) -> Result<Vec<String>, ConfigError> {
    let Some(list) = table.get("alarm") else {
        return Ok(Vec::new());
    };
    let mut once = Once::of("an alarm is named once in a group");
    let read = |table: &Table<'_>| {
        let item = table.need("name", "\"orders-db-status\"")?;
        let name = item.text("orders-db-status")?;
        once.check(name, &item)?;
        Ok(name.to_owned())
    };
    list.tables(&["name"])?.iter().map(read).collect()
}

fn policy(table: &Table<'_>) -> Result<Policy, ConfigError> {
    let mut policy = Policy::default();
    let Some(item) = table.get("policy") else {
        return Ok(policy);
    };
    let durations = [
        ("snapshot_every", "15m", &mut policy.snapshot_every),
        ("keep_old_volume", "24h", &mut policy.keep_old_volume),
        ("max_data_loss", "1h", &mut policy.max_data_loss),
        ("quiesce_timeout", "60s", &mut policy.quiesce_timeout),
        ("capture_timeout", "30m", &mut policy.capture_timeout),
        ("confirm_for", "60s", &mut policy.confirm_for),
        ("cooldown", "10m", &mut policy.cooldown),
    ];
    let mut known: Vec<&str> = durations.iter().map(|(key, ..)| *key).collect();
    known.extend(["keep_snapshots", "moves_per_hour", "freeze"]);
    let table = item.table(&known)?;
    for (key, example, place) in durations {
        if let Some(item) = table.get(key) {
            *place = item.duration(example)?;
        }
    }
    if let Some(item) = table.get("keep_snapshots") {
        // EBS keeps far more; a typing slip is likelier than such a wish.
        policy.keep_snapshots = item.number(1..10_001)? as usize;
    }
    if let Some(item) = table.get("moves_per_hour") {
        // They are remembered in one tag, which has room for a few more.
        policy.moves_per_hour = item.number(1..13)? as usize;
    }
    if let Some(item) = table.get("freeze") {
        policy.freeze = item.flag()?;
    }
    Ok(policy)
}
