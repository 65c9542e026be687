//! Which groups are meant, as far as the configuration tells?

use std::collections::BTreeSet;

use super::super::{Subject, named};
use super::{alarm, group};
use crate::ids::GroupName;
use crate::spec::{Config, parse};

fn config() -> Config {
    parse(
        "rehome.toml",
        r#"
        [[group]]
        name = "orders-db"
        [[group.volume]]
        name = "data"
        device = "/dev/sdf"
        [[group.alarm]]
        name = "shared"
        [[group]]
        name = "gateway"
        kind = "pair"
        members = ["i-0a", "i-0b"]
        [[group.address]]
        allocation_id = "eipalloc-0a"
        [[group.alarm]]
        name = "shared"
        "#,
    )
    .unwrap()
}

fn meant(config: &Config, subjects: &[Subject]) -> (Vec<String>, BTreeSet<Subject>) {
    let (groups, unclear) = named(config, &subjects.iter().cloned().collect());
    (groups.iter().map(GroupName::to_string).collect(), unclear)
}

#[test]
fn the_configuration_tells_most() {
    let config = config();
    let both = vec!["gateway".to_owned(), "orders-db".to_owned()];
    assert_eq!(meant(&config, &[Subject::Everyone]).0, both);
    assert_eq!(meant(&config, &[alarm("shared")]).0, both);
    assert_eq!(meant(&config, &[group("orders-db")]).0, ["orders-db"]);
    let member = Subject::Instance("i-0b".into());
    assert_eq!(
        meant(&config, &[member]),
        (vec!["gateway".to_owned()], BTreeSet::new())
    );
}

#[test]
fn only_what_could_be_ours_is_asked_about() {
    let config = config();
    let strangers = [group("other"), alarm("other")];
    assert_eq!(meant(&config, &strangers), (vec![], BTreeSet::new()));
    let unclear = [
        Subject::Instance("i-0c".into()),
        Subject::Volume("vol-1".into()),
        Subject::Snapshot("snap-1".into()),
    ];
    assert_eq!(meant(&config, &unclear), (vec![], unclear.clone().into()));
    let mut pairs = config;
    pairs.groups.retain(|spec| spec.volumes.is_empty());
    assert_eq!(meant(&pairs, &unclear), (vec![], BTreeSet::new()));
}
