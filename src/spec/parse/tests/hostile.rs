//! Every key there is, with values nobody should write: read or refused, with
//! one sentence that says where.
//!
//! `PROPTEST_CASES` sets how many files are tried.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::parse;

/// A table's header, and what it needs to be taken.
const TABLES: &[(&str, &[(&str, &str)])] = &[
    ("[[group]]", &[("name", "\"db\"")]),
    ("[[group.address]]", &[("allocation_id", "\"eipalloc-1\"")]),
    (
        "[[group.volume]]",
        &[("name", "\"data\""), ("device", "\"/dev/sdf\"")],
    ),
    ("[group.workload]", &[]),
    ("[[group.alarm]]", &[("name", "\"status\"")]),
    ("[group.policy]", &[]),
    ("[wake]", &[]),
];

const KEYS: &[&str] = &[
    "name",
    "kind",
    "members",
    "agent",
    "address",
    "volume",
    "workload",
    "alarm",
    "policy",
    "allocation_id",
    "tag",
    "device",
    "mount",
    "filesystem",
    "size_gib",
    "type",
    "iops",
    "throughput",
    "kms_key_id",
    "units",
    "health",
    "snapshot_every",
    "keep_snapshots",
    "keep_old_volume",
    "max_data_loss",
    "quiesce_timeout",
    "capture_timeout",
    "confirm_for",
    "cooldown",
    "moves_per_hour",
    "freeze",
    "sqs_queue_url",
    "poll_every",
    "\"\"",
    "\"\\n\"",
    "a.b",
];

const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "7",
    "16384",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1e308",
    "nan",
    "-inf",
    "true",
    "false",
    "1979-05-27T07:32:00Z",
    "[]",
    "[\"\"]",
    "[\"a.service\"]",
    "[\"i-1\", \"i-2\"]",
    "[\"i-1\", \"i-1\"]",
    "[1, [2, [3]]]",
    "{}",
    "{ key = \"a\", value = \"b\" }",
    "{ key = \"\", value = 1 }",
    "\"\"",
    "\" \"",
    "\"db\"",
    "\"pair\"",
    "\"asg\"",
    "\"ext4\"",
    "\"xfs\"",
    "\"gp3\"",
    "\"io2\"",
    "\"/dev/sdf\"",
    "\"/dev/sdzz\"",
    "\"/\"",
    "\"/srv\"",
    "\"/srv/../etc\"",
    "\"15m\"",
    "\"0s\"",
    "\"-1s\"",
    "\"1h1h\"",
    "\"99999999999999999999h\"",
    "\"9223372036854775807s\"",
    "\"P1D\"",
    "\"https://sqs.us-east-1.amazonaws.com/1/q\"",
    "\"http://[::1\"",
    "\"\\u0000\"",
    "\"\\u001b[31m\\u202e\"",
    "'''\nmany\nlines'''",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(VALUES).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => "[ -~]{0,300}".prop_map(|text| format!("{text:?}")),
        1 => ".{0,30}",
    ]
}

/// Several tables, in any order and any number, most of them nearly right.
fn file() -> impl Strategy<Value = String> {
    let odd = prop::collection::vec((select(KEYS), value()), 0..3);
    let table = (select(TABLES), odd).prop_map(|((header, needed), odd)| {
        let mut lines: BTreeMap<&str, String> = needed
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        lines.extend(odd);
        let lines = lines
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"));
        format!("{header}\n{}", lines.collect::<String>())
    });
    prop::collection::vec(table, 0..6)
        .prop_map(|tables| format!("[[group]]\nname = \"first\"\n{}", tables.concat()))
}

proptest! {
    #[test]
    fn known_keys_with_odd_values_are_read_or_refused(text in file()) {
        if let Err(error) = parse("rehome.toml", &text) {
            let says = error.to_string();
            prop_assert!(says.starts_with("rehome.toml:"), "{says}");
            prop_assert!(!says.chars().any(char::is_control), "{says:?}");
            prop_assert!(says.len() < 1_000, "{says}");
        }
    }
}
