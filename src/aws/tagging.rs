//! What stands in the tags, and how is it written? One place for both ways.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use jiff::Timestamp;

use crate::ids::{Epoch, GroupName, Incident, InstanceId, VolumeName};
use crate::tags;
use crate::world::{Consistency, Shape, Standing, Term};

pub(super) type Tags = BTreeMap<String, String>;

/// No data was ever carried over so often. A tag is anybody's to write: what it
/// says beyond this is no epoch, and the next one always finds its number.
const LARGEST_EPOCH: u64 = 1 << 40;

/// AWS takes no more on one resource.
const MOST_TAGS: usize = 50;

// ------------------------------------------------------------------ reading

pub(super) fn read(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|tag| {
            Some((
                tag.key()?.to_owned(),
                tag.value().unwrap_or_default().to_owned(),
            ))
        })
        .collect()
}

/// The user's own tags: everything that is neither ours nor AWS's.
pub(super) fn of_user(tags: &Tags) -> Tags {
    tags.iter()
        .filter(|(key, _)| !tags::is_reserved(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

pub(super) fn volume_name(tags: &Tags) -> Option<VolumeName> {
    tags.get(tags::VOLUME).map(VolumeName::new)
}

/// Without the tag it was the group's own before rehome came: epoch 0.
pub(super) fn epoch(tags: &Tags) -> Result<Epoch, String> {
    tags.get(tags::EPOCH).map_or(Ok(Epoch::default()), |value| {
        parse_epoch(tags::EPOCH, value)
    })
}

fn parse_epoch(key: &str, value: &str) -> Result<Epoch, String> {
    value
        .parse()
        .ok()
        .filter(|epoch| *epoch <= LARGEST_EPOCH)
        .map(Epoch)
        .ok_or_else(|| format!("the tag {key} says {value:?}, which is no epoch"))
}

pub(super) fn standing(tags: &Tags) -> Result<Standing, String> {
    match tags.get(tags::STATE).map(String::as_str) {
        Some(tags::STATE_NEW) => Ok(Standing::New),
        Some(tags::STATE_SUPERSEDED) => Ok(Standing::Superseded),
        Some(tags::STATE_ACTIVE) => term(tags).map(Standing::Active),
        // The group's own from before, or a person took the tag away: what may
        // be in use is never taken for something that can be thrown away.
        None => Ok(Standing::Active(None)),
        Some(other) => Err(format!(
            "the tag {} says {other:?}, which is none of new, active, superseded",
            tags::STATE
        )),
    }
}

fn term(tags: &Tags) -> Result<Option<Term>, String> {
    let (Some(holder), Some(since)) = (tags.get(tags::HOLDER), tags.get(tags::SINCE)) else {
        return Ok(None);
    };
    let since: Timestamp = since
        .parse()
        .map_err(|_| format!("the tag {} says {since:?}, which is no time", tags::SINCE))?;
    let holder = InstanceId::new(holder);
    Ok(Some(Term { holder, since }))
}

/// The markers among the tags of a group, or of a member of a pair.
pub(super) fn markers<'a>(
    tags: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<BTreeMap<VolumeName, Epoch>, String> {
    let mut markers = BTreeMap::new();
    for (key, value) in tags {
        if let Some(name) = key.strip_prefix(tags::MARKER_PREFIX) {
            markers.insert(VolumeName::new(name), parse_epoch(key, value)?);
        }
    }
    Ok(markers)
}

/// Whom a member of a pair names as the holder.
pub(super) fn appointment(tags: &Tags) -> Result<Option<Term>, String> {
    term(tags)
}

/// When alarms moved the group. What cannot be read was not written by rehome
/// and is passed over: to lose count must not stop anything.
pub(super) fn moves(value: Option<&str>) -> Vec<Timestamp> {
    let mut moves: Vec<Timestamp> = value
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|ms| Timestamp::from_millisecond(ms.parse().ok()?).ok())
        .collect();
    moves.sort_unstable();
    moves.dedup();
    moves
}

pub(super) fn write_moves(moves: &[Timestamp]) -> String {
    let moves: Vec<String> = moves
        .iter()
        .map(|at| at.as_millisecond().to_string())
        .collect();
    moves.join(" ")
}

/// Only rehome says how consistent a snapshot is. Others that copy a volume's
/// tags to a snapshot copy the incident the *volume* was made in.
pub(super) fn taken_by_us(tags: &Tags) -> (Option<Incident>, Consistency) {
    match tags.get(tags::CONSISTENCY).map(String::as_str) {
        None => (None, Consistency::Crash),
        Some(said) => {
            let clean = said == tags::CLEAN;
            let consistency = if clean {
                Consistency::Clean
            } else {
                Consistency::Crash
            };
            (incident(tags), consistency)
        }
    }
}

pub(super) fn incident(tags: &Tags) -> Option<Incident> {
    tags.get(tags::INCIDENT).map(Incident::new)
}

/// `type=gp3 size=100 iops=3000 throughput=125 encrypted=true kms=arn:…`: what
/// is not known is left out, and every character is one that all of AWS allows.
pub(super) fn write_shape(shape: &Shape) -> String {
    let parts = [
        shape
            .volume_type
            .as_ref()
            .map(|value| format!("type={value}")),
        shape.size_gib.map(|value| format!("size={value}")),
        shape.iops.map(|value| format!("iops={value}")),
        shape.throughput.map(|value| format!("throughput={value}")),
        shape.encrypted.map(|value| format!("encrypted={value}")),
        shape
            .kms_key_id
            .as_ref()
            .map(|value| format!("kms={value}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub(super) fn read_shape(tags: &Tags) -> Option<Shape> {
    let mut shape = Shape::default();
    for part in tags.get(tags::SHAPE)?.split_whitespace() {
        let (key, value) = part.split_once('=')?;
        match key {
            "type" => shape.volume_type = Some(value.to_owned()),
            "size" => shape.size_gib = Some(value.parse().ok()?),
            "iops" => shape.iops = Some(value.parse().ok()?),
            "throughput" => shape.throughput = Some(value.parse().ok()?),
            "encrypted" => shape.encrypted = Some(value.parse().ok()?),
            "kms" => shape.kms_key_id = Some(value.to_owned()),
            _ => {} // of a later version
        }
    }
    Some(shape)
}

// ------------------------------------------------------------------ writing

pub(super) fn consistency(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Clean => tags::CLEAN,
        Consistency::Crash => tags::CRASH,
    }
}

/// Our tags first, then as many of the user's as AWS takes.
pub(super) fn with_user_tags(ours: &[(&str, &str)], user: &Tags) -> Vec<Tag> {
    let room = MOST_TAGS.saturating_sub(ours.len());
    let own = user.iter().filter(|(key, _)| !tags::is_reserved(key));
    if own.clone().count() > room {
        tracing::warn!(
            room,
            "more tags than AWS takes on one resource; the last are left out"
        );
    }
    let own = own.take(room).map(|(key, value)| tag(key, value));
    ours.iter()
        .map(|(key, value)| tag(key, value))
        .chain(own)
        .collect()
}

pub(super) fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

pub(super) fn specification(of: ResourceType, tags: Vec<Tag>) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(of)
        .set_tags(Some(tags))
        .build()
}

pub(super) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

pub(super) fn of_groups(groups: &[GroupName]) -> Filter {
    let values = groups
        .iter()
        .map(|group| group.as_str().to_owned())
        .collect();
    Filter::builder()
        .name(format!("tag:{}", tags::GROUP))
        .set_values(Some(values))
        .build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn any_shape() -> impl Strategy<Value = Shape> {
        (
            proptest::option::of("[a-z][a-z0-9]{2,7}"),
            proptest::option::of(any::<u32>()),
            proptest::option::of(any::<u32>()),
            proptest::option::of(any::<u32>()),
            proptest::option::of(any::<bool>()),
            proptest::option::of(
                "(arn:aws:kms:[a-z0-9-]{3,20}:[0-9]{12}:key/[a-f0-9-]{36}|alias/[a-z=/_-]{1,20})",
            ),
        )
            .prop_map(
                |(volume_type, size_gib, iops, throughput, encrypted, kms_key_id)| Shape {
                    volume_type,
                    size_gib,
                    iops,
                    throughput,
                    encrypted,
                    kms_key_id,
                },
            )
    }

    proptest! {
        #[test]
        fn a_shape_survives_its_tag(shape in any_shape()) {
            let written = write_shape(&shape);
            prop_assert!(written.len() <= 256);
            prop_assert_eq!(read_shape(&tags(&[(tags::SHAPE, &written)])), Some(shape));
        }

        #[test]
        fn no_tag_makes_reading_fall_over(value in ".*") {
            let tags = tags(&[(tags::SHAPE, &value), (tags::EPOCH, &value), (tags::STATE, &value)]);
            let _ = (read_shape(&tags), epoch(&tags), standing(&tags));
        }
    }

    #[test]
    fn what_was_there_before_rehome_is_active_at_epoch_nought() {
        let adopted = tags(&[(tags::GROUP, "orders"), (tags::VOLUME, "data")]);
        assert_eq!(epoch(&adopted), Ok(Epoch(0)));
        assert_eq!(standing(&adopted), Ok(Standing::Active(None)));
    }

    #[test]
    fn a_term_is_read_whole_or_not_at_all() {
        let active = tags(&[
            (tags::STATE, "active"),
            (tags::HOLDER, "i-1"),
            (tags::SINCE, "2026-01-02T03:04:05Z"),
        ]);
        let term = Term {
            holder: "i-1".into(),
            since: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        assert_eq!(standing(&active), Ok(Standing::Active(Some(term))));
        let mut broken = active;
        broken.insert(tags::SINCE.to_owned(), "yesterday".to_owned());
        assert!(standing(&broken).unwrap_err().contains("yesterday"));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(
            epoch(&tags(&[(tags::EPOCH, "seven")]))
                .unwrap_err()
                .contains("seven")
        );
        assert!(
            standing(&tags(&[(tags::STATE, "odd")]))
                .unwrap_err()
                .contains("odd")
        );
        assert!(markers([("rehome:epoch:data", "-1")]).is_err());
    }

    #[test]
    fn markers_are_found_among_other_tags() {
        let read = markers([
            ("Name", "x"),
            ("rehome:epoch:data", "3"),
            ("rehome:epoch:wal", "0"),
        ]);
        let expected = BTreeMap::from([("data".into(), Epoch(3)), ("wal".into(), Epoch(0))]);
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn an_incident_that_was_copied_from_a_volume_is_not_the_snapshots() {
        let copied = tags(&[(tags::INCIDENT, "orders/1")]);
        assert_eq!(taken_by_us(&copied), (None, Consistency::Crash));
        let ours = tags(&[
            (tags::INCIDENT, "orders/1"),
            (tags::CONSISTENCY, tags::CLEAN),
        ]);
        assert_eq!(
            taken_by_us(&ours),
            (Some("orders/1".into()), Consistency::Clean)
        );
    }

    #[test]
    fn only_the_users_tags_travel_and_never_too_many() {
        let mut user = tags(&[
            ("aws:cloudformation:stack-name", "s"),
            ("rehome:epoch", "1"),
        ]);
        user.extend((0..60).map(|at| (format!("k{at:02}"), String::new())));
        let written = with_user_tags(&[(tags::GROUP, "orders")], &user);
        assert_eq!(written.len(), MOST_TAGS);
        assert_eq!(
            written
                .iter()
                .filter(|tag| tags::is_reserved(tag.key().unwrap()))
                .count(),
            1
        );
        assert_eq!(of_user(&user).len(), 60);
    }
}
