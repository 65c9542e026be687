//! Which address goes where, each situation as a row.

use super::worlds::{Story, at, expect, long_ago, open, words};
use crate::plan::Step;
use crate::spec::AddressSpec;
use crate::world::*;

const DONE: &str = "complete the launch action of i-1 (hook launch)";
const OPEN: &str = "the launch action of i-1 (hook launch)";

/// The holder at its hook, with nothing to bring but two addresses, and two
/// private ones to bind them to.
fn two(private_ips: &[&str]) -> Story {
    let mut story = Story::new()
        .only_addresses()
        .member("i-1", Lifecycle::PendingWait, "a")
        .instance("i-1", InstanceState::Running, at(0))
        .here("i-1", None, Workload::None);
    let ids = ["eipalloc-1", "eipalloc-2"];
    story.spec.addresses = ids.map(|id| AddressSpec::Allocation(id.into())).into();
    story.world.addresses = Seen::Known(ids.map(|id| found(id, None, None)).into());
    story.instances().get_mut(&"i-1".into()).unwrap().interface = Some(Interface {
        id: "eni-1".to_owned(),
        private_ips: private_ips.iter().map(ToString::to_string).collect(),
    });
    story
}

fn found(id: &str, instance: Option<&str>, private_ip: Option<&str>) -> AddressFound {
    AddressFound::One(Address {
        allocation: id.into(),
        public_ip: "203.0.113.1".to_owned(),
        instance: instance.map(Into::into),
        private_ip: private_ip.map(ToOwned::to_owned),
    })
}

fn with(mut story: Story, addresses: &[AddressFound]) -> Story {
    story.world.addresses = Seen::Known(addresses.to_vec());
    story
}

#[test]
fn several_addresses_take_the_private_addresses_in_their_order() {
    let story = two(&["10.0.0.1", "10.0.0.2"]);
    expect(
        &story,
        &["move eipalloc-1 to i-1", "move eipalloc-2 to i-1"],
    );
    let to = |step: Step| match step {
        Step::Associate { to, .. } => to,
        other => panic!("{other}"),
    };
    let bound: Vec<_> = story.plan().steps.into_iter().map(to).collect();
    let on = |ip: &str| Some(("eni-1".to_owned(), ip.to_owned()));
    assert_eq!(bound, [on("10.0.0.1"), on("10.0.0.2")]);
}

#[test]
fn an_address_is_in_place_on_its_own_private_address_alone() {
    let story = two(&["10.0.0.1", "10.0.0.2"]);
    let one = found("eipalloc-1", Some("i-1"), Some("10.0.0.1"));
    let right = [
        one.clone(),
        found("eipalloc-2", Some("i-1"), Some("10.0.0.2")),
    ];
    expect(&with(story.clone(), &right), &[DONE]);
    for wrong in [
        found("eipalloc-2", Some("i-1"), Some("10.0.0.1")),
        found("eipalloc-2", Some("i-1"), None),
        found("eipalloc-2", Some("i-0"), Some("10.0.0.2")),
    ] {
        let story = with(story.clone(), &[one.clone(), wrong]);
        expect(&story, &["move eipalloc-2 to i-1"]);
        assert_eq!(open(&story), [OPEN]);
    }
}

#[test]
fn a_single_address_names_no_private_one_and_says_where_it_was() {
    let mut story = two(&["10.0.0.1"]);
    story.spec.addresses.truncate(1);
    let story = with(story, &[found("eipalloc-1", Some("i-0"), Some("10.0.0.9"))]);
    let step = Step::Associate {
        allocation: "eipalloc-1".into(),
        instance: "i-1".into(),
        from: Some("i-0".into()),
        to: None,
    };
    assert_eq!(story.plan().steps, [step]);
}

#[test]
fn an_address_without_a_private_one_to_bind_it_to_is_for_a_person() {
    let needs = |has: usize| {
        format!(
            "… i-1 has {has} private address(es) for 2 Elastic IPs: assign secondary private \
             addresses"
        )
    };
    expect(&two(&["10.0.0.1"]), &["move eipalloc-1 to i-1", &needs(1)]);
    let mut bare = two(&[]);
    bare.instances().get_mut(&"i-1".into()).unwrap().interface = None;
    expect(&bare, &[&needs(0)]);
    assert_eq!(open(&bare), [OPEN]);
}

#[test]
fn an_address_that_is_not_there_or_not_told_apart_keeps_the_launch_open() {
    let one = found("eipalloc-1", Some("i-1"), Some("10.0.0.1"));
    let said = |second: AddressFound| {
        let story = with(two(&["10.0.0.1", "10.0.0.2"]), &[one.clone(), second]);
        assert_eq!(open(&story), [OPEN]);
        words(&story)
    };
    assert_eq!(
        said(AddressFound::Missing),
        [
            "… there is no Elastic IP with allocation id eipalloc-2 in this region: correct it, \
             or tag one"
        ]
    );
    assert_eq!(
        said(AddressFound::Ambiguous(vec!["a".into(), "b".into()])),
        ["… 2 Elastic IPs have allocation id eipalloc-2: leave the tag on one"]
    );
}

#[test]
fn addresses_that_cannot_be_read_are_not_in_place() {
    let mut story = two(&[]);
    story.world.addresses = Seen::Unknown("no answer".to_owned());
    expect(&story, &["… the addresses could not be read: no answer"]);
    assert_eq!(open(&story), [OPEN]);
    // Where there are none, it does not matter.
    story.spec.addresses.clear();
    expect(&story, &[DONE]);
}

#[test]
fn an_address_waits_for_a_holder_that_boots_or_is_not_described() {
    let booting = two(&["10.0.0.1", "10.0.0.2"]).instance("i-1", InstanceState::Pending, at(0));
    let one = |mut story: Story| {
        story.spec.addresses.truncate(1);
        with(story, &[found("eipalloc-1", None, None)])
    };
    expect(&one(booting), &["… i-1 is still booting"]);
    let mut unseen = two(&["10.0.0.1", "10.0.0.2"]);
    unseen.instances().clear();
    expect(&one(unseen.clone()), &["… i-1 is still booting"]);
    expect(&unseen, &["… i-1 is still booting"]);
    let early = two(&[]).member("i-1", Lifecycle::Pending, "a");
    let moving = "… Auto Scaling has not moved i-1 on yet";
    expect(&one(early), &["… i-1 is still booting", moving]);
}

/// One describe of a look was slow: the group is as it was, the address as it is.
#[test]
fn an_address_that_went_ahead_to_the_newer_member_is_not_fetched_back() {
    let story = |on| {
        let mut story = Story::new()
            .member("i-old", Lifecycle::InService, "a")
            .instance("i-old", InstanceState::Running, long_ago())
            .member("i-new", Lifecycle::Pending, "b")
            .instance("i-new", InstanceState::Pending, at(0))
            .address_on(on);
        story.spec.volumes.clear();
        story
    };
    expect(&story("i-new"), &["… i-new is still booting"]);
    let fetched = ["move eipalloc-1 to i-old", "… i-new is still booting"];
    expect(&story("i-stranger"), &fetched);
    // Nor is it left with one that goes, or that is not newer.
    let fetches = |story: Story| words(&story).contains(&fetched[0].to_owned());
    assert!(fetches(story("i-new").member(
        "i-new",
        Lifecycle::Terminating,
        "b"
    )));
    let launched = |at| story("i-new").instance("i-new", InstanceState::Pending, at);
    assert!(fetches(launched(long_ago())));
    assert!(!fetches(launched(at(-1))));
}
