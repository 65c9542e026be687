//! Under which client token is a volume made? The same wish gives the same
//! token in every process and version, so that it is made once.

use crate::ids::{Epoch, GroupName, SnapshotId, VolumeName, Zone};

/// One volume to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) group: &'a GroupName,
    pub(super) name: &'a VolumeName,
    pub(super) source: Option<&'a SnapshotId>,
    pub(super) zone: &'a Zone,
    pub(super) epoch: Epoch,
}

/// At most 64 ASCII characters are allowed. The zone is part of it because AWS
/// treats some tokens as zonal; `attempt` leaves a burned token behind.
pub(super) fn client_token(wish: &Wish<'_>, attempt: u32) -> String {
    let parts = [
        wish.group.as_str(),
        wish.name.as_str(),
        wish.source.map_or("", SnapshotId::as_str),
        wish.zone.as_str(),
        &wish.epoch.to_string(),
        &attempt.to_string(),
    ];
    // No part of an AWS name holds a newline.
    format!("rehome-{:032x}", fnv1a(parts.join("\n").as_bytes()))
}

/// FNV-1a, 128 bit: stable across versions, unlike the standard hasher.
fn fnv1a(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(fnv1a(b"a"), 0xd228cb696f1a8caf78912b704e4a8964);
    }

    #[test]
    fn each_part_counts_and_the_token_is_short() {
        let (orders, data, zone) = ("orders".into(), "data".into(), "us-east-1a".into());
        let snapshot = "snap-1".into();
        let wish = Wish {
            group: &orders,
            name: &data,
            source: Some(&snapshot),
            zone: &zone,
            epoch: Epoch(3),
        };
        let (other_zone, other_group) = ("us-east-1b".into(), "orders2".into());
        let wishes = [
            wish,
            Wish {
                source: None,
                ..wish
            },
            Wish {
                zone: &other_zone,
                ..wish
            },
            Wish {
                group: &other_group,
                ..wish
            },
            Wish {
                epoch: Epoch(4),
                ..wish
            },
        ];
        let tokens: BTreeSet<String> = wishes
            .iter()
            .flat_map(|wish| [client_token(wish, 0), client_token(wish, 1)])
            .collect();
        assert_eq!(tokens.len(), 10);
        assert!(
            tokens
                .iter()
                .all(|token| token.len() <= 64 && token.is_ascii())
        );
    }

    #[test]
    fn a_token_never_changes() {
        let (group, name, zone) = ("g".into(), "v".into(), "z".into());
        let wish = Wish {
            group: &group,
            name: &name,
            source: None,
            zone: &zone,
            epoch: Epoch(1),
        };
        assert_eq!(client_token(&wish, 0), client_token(&wish, 0));
        assert_eq!(client_token(&wish, 0).len(), 39);
    }
}
