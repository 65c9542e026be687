//! The statements, each with its reason.
//!
//! What the service authorization reference leaves open (is the instance asked
//! about when a volume is detached? is its network interface when an address
//! moves?) is allowed: a permission too few is found out in a failover.

use super::document::Statement;
use super::needs::{Needs, Queue};
use super::scope::{ANY, Scope, exactly, literally};
use crate::tags;

/// The tag that Auto Scaling gives its members, and nobody else can.
const MEMBER_OF: &str = "aws:ResourceTag/aws:autoscaling:groupName";
const TAG_KEYS: &str = "aws:TagKeys";

const EQUALS: &str = "StringEquals";
const EQUALS_IF_THERE: &str = "StringEqualsIfExists";
const LIKE: &str = "StringLike";
const ALL_LIKE: &str = "ForAllValues:StringLike";

pub(super) fn all(needs: &Needs<'_>, scope: &Scope) -> Vec<Statement> {
    let mut statements = vec![look(needs, scope)];
    volumes(needs, scope, &mut statements);
    members(needs, scope, &mut statements);
    addresses(needs, scope, &mut statements);
    auto_scaling(needs, scope, &mut statements);
    keys(needs, scope, &mut statements);
    queue(needs, scope, &mut statements);
    statements
}

fn look(needs: &Needs<'_>, scope: &Scope) -> Statement {
    let is_told = needs.queue != Queue::None;
    let (groups, by_hand) = (needs.has_groups(), needs.by_hand);
    let actions = [
        ("autoscaling:DescribeAutoScalingGroups", groups),
        (
            "autoscaling:DescribeAutoScalingInstances",
            groups && is_told,
        ),
        ("autoscaling:DescribeLifecycleHooks", groups),
        ("autoscaling:DescribeScalingActivities", groups && by_hand),
        ("cloudwatch:DescribeAlarms", needs.alarms),
        ("ec2:DescribeAddresses", needs.addresses),
        ("ec2:DescribeInstances", true),
        ("ec2:DescribeLaunchTemplateVersions", groups && by_hand),
        ("ec2:DescribeSnapshots", needs.has_volumes()),
        ("ec2:DescribeSubnets", groups && by_hand),
        ("ec2:DescribeVolumes", needs.has_volumes()),
    ];
    let statement = Statement::allow(
        "LookAround",
        "To see how things are. AWS lets nobody narrow these to single resources (nor \
         DescribeAlarms, where composite alarms are asked for).",
    )
    .to(chosen(&actions))
    .on([ANY.to_owned()]);
    if scope.knows_region() {
        statement.when(EQUALS, "aws:RequestedRegion", [scope.region.clone()])
    } else {
        statement
    }
}

fn volumes(needs: &Needs<'_>, scope: &Scope, to: &mut Vec<Statement>) {
    if needs.has_volumes() {
        to.extend(made(needs, scope));
        to.push(used(needs, scope));
        to.extend(noted(needs, scope));
    }
}

/// What is made, and the tags in the call that makes it.
fn made(needs: &Needs<'_>, scope: &Scope) -> [Statement; 3] {
    let for_group = format!("aws:RequestTag/{}", tags::GROUP);
    let set = needs.sets.then_some("ec2:CreateSnapshots");
    [
        Statement::allow(
            "MakeOwnVolumes",
            "A volume from a snapshot in the heir's zone, or the first blank one: only with \
             the group's tag on it.",
        )
        .to(["ec2:CreateVolume"])
        .on([scope.volumes()])
        .when(EQUALS, &for_group, needs.owners()),
        Statement::allow(
            "TakeOwnSnapshots",
            "Captures and periodic sets: only with the group's tag on them.",
        )
        .to(["ec2:CreateSnapshot"].into_iter().chain(set))
        .on([scope.snapshots()])
        .when(EQUALS, &for_group, needs.owners()),
        Statement::allow(
            "TagWhatIsMade",
            "The tags in the very calls that make something, and only there.",
        )
        .to(["ec2:CreateTags"])
        .on([scope.volumes(), scope.snapshots()])
        .when(EQUALS, "ec2:CreateAction", made_by(needs)),
    ]
}

fn used(needs: &Needs<'_>, scope: &Scope) -> Statement {
    let set = needs.sets.then_some("ec2:CreateSnapshots");
    let work = [
        "ec2:AttachVolume",
        "ec2:CreateSnapshot",
        "ec2:CreateVolume",
        "ec2:DeleteSnapshot",
        "ec2:DeleteVolume",
        "ec2:DetachVolume",
    ];
    Statement::allow(
        "UseOwnVolumesAndSnapshots",
        "To attach, detach, capture, restore from and retire what carries the group's tag, \
         and nothing else.",
    )
    .to(work.into_iter().chain(set))
    .on([scope.volumes(), scope.snapshots()])
    .when(EQUALS, of_group(), needs.owners())
}

/// What is written later on what is there already.
fn noted(needs: &Needs<'_>, scope: &Scope) -> [Statement; 2] {
    let for_group = format!("aws:RequestTag/{}", tags::GROUP);
    let volumes = Statement::allow(
        "NoteOnOwnVolumes",
        "Epoch, state and holder, in rehome's own tags on the group's own volumes.",
    )
    .to(["ec2:CreateTags"])
    .on([scope.volumes()])
    .when(EQUALS, of_group(), needs.owners())
    .when(EQUALS_IF_THERE, &for_group, needs.owners())
    .when(ALL_LIKE, TAG_KEYS, [our_tags()]);
    let snapshots = Statement::allow(
        "LabelOwnSnapshots",
        "A set taken in one call gets the tags that differ, the user's among them, in a \
         second one; and a capture whose call was carried out late is called what it is.",
    )
    .to(["ec2:CreateTags"])
    .on([scope.snapshots()])
    .when(EQUALS, of_group(), needs.owners())
    .when(EQUALS, for_group, needs.owners());
    [volumes, snapshots]
}

fn of_group() -> String {
    format!("aws:ResourceTag/{}", tags::GROUP)
}

fn made_by(needs: &Needs<'_>) -> impl Iterator<Item = String> {
    let set = needs.sets.then_some("CreateSnapshots");
    let calls = ["CreateVolume", "CreateSnapshot"].into_iter().chain(set);
    calls.map(str::to_owned)
}

fn members(needs: &Needs<'_>, scope: &Scope, to: &mut Vec<Statement>) {
    let (scaled, pairs) = (&needs.auto_scaling, &needs.pairs);
    if needs.has_groups() {
        let groups = scaled.all.iter().map(|name| exactly(name));
        let actions = [
            ("ec2:AssociateAddress", scaled.addresses),
            ("ec2:AttachVolume", scaled.volumes),
            ("ec2:CreateSnapshots", scaled.sets),
            ("ec2:DetachVolume", scaled.volumes),
            ("ec2:StopInstances", scaled.volumes),
        ];
        to.push(
            Statement::allow(
                "WorkOnMembers",
                "To bring belongings to the group's members, take them away, and stop a \
                 member that does not let go. Auto Scaling itself tags its members.",
            )
            .to(chosen(&actions))
            .on([scope.instance(ANY)])
            .when(EQUALS, MEMBER_OF, groups),
        );
    }
    if pairs.members.is_empty() {
        return;
    }
    let both = || pairs.members.iter().map(|id| scope.instance(id));
    let actions = [
        ("ec2:AssociateAddress", pairs.addresses),
        ("ec2:AttachVolume", pairs.volumes),
        ("ec2:CreateSnapshots", pairs.sets),
        ("ec2:DetachVolume", pairs.volumes),
        ("ec2:StartInstances", true),
        ("ec2:StopInstances", true),
    ];
    to.push(
        Statement::allow(
            "WorkOnPair",
            "The same on the two members, which are named; and to start the one that takes over.",
        )
        .to(chosen(&actions))
        .on(both()),
    );
    if needs.by_hand {
        to.push(
            Statement::allow(
                "LookIntoPair",
                "Is a member protected against termination, and does it stop when it shuts down?",
            )
            .to(["ec2:DescribeInstanceAttribute"])
            .on(both()),
        );
    }
    to.push(
        Statement::allow(
            "NoteOnPair",
            "Who holds since when, and how new its data is, in rehome's own tags on both members.",
        )
        .to(["ec2:CreateTags"])
        .on(both())
        .when(ALL_LIKE, TAG_KEYS, [our_tags()]),
    );
}

fn addresses(needs: &Needs<'_>, scope: &Scope, to: &mut Vec<Statement>) {
    if !needs.addresses {
        return;
    }
    let own = needs.allocations.iter().map(|id| scope.address(id));
    to.push(
        Statement::allow(
            "MoveOwnAddresses",
            "To move the named Elastic IPs. An interface carries no tag of its group, so any \
             is allowed as their target.",
        )
        .to(["ec2:AssociateAddress"])
        .on(own.chain([scope.interfaces()])),
    );
    for (nth, (key, values)) in needs.address_tags.iter().enumerate() {
        let sid = match nth {
            0 => "MoveTaggedAddresses".to_owned(),
            more => format!("MoveTaggedAddresses{}", more + 1),
        };
        to.push(
            Statement::allow(sid, "To move the Elastic IPs that are found by this tag.")
                .to(["ec2:AssociateAddress"])
                .on([scope.address(ANY)])
                .when(
                    EQUALS,
                    format!("aws:ResourceTag/{key}"),
                    values.iter().map(|value| exactly(value)),
                ),
        );
    }
}

fn auto_scaling(needs: &Needs<'_>, scope: &Scope, to: &mut Vec<Statement>) {
    let scaled = &needs.auto_scaling;
    if !needs.has_groups() {
        return;
    }
    to.push(
        Statement::allow(
            "AnswerHooks",
            "To keep the groups' lifecycle actions open and to complete them.",
        )
        .to([
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:RecordLifecycleActionHeartbeat",
        ])
        .on(scaled.all.iter().map(|name| scope.group(name))),
    );
    if !scaled.noted.is_empty() {
        to.push(
            Statement::allow(
                "NoteOnGroups",
                "The marker (how new the data is) and when alarms moved the group, in rehome's \
                 own tags.",
            )
            .to(["autoscaling:CreateOrUpdateTags"])
            .on(scaled.noted.iter().map(|name| scope.group(name)))
            .when(ALL_LIKE, TAG_KEYS, [our_tags()]),
        );
    }
    if !scaled.replaced.is_empty() {
        let (sid, why) = match needs.by_hand {
            true => (
                "ReplaceMembers",
                "Whoever asks for another member makes Auto Scaling replace the present one.",
            ),
            false => (
                "ReplaceSickMembers",
                "An alarm that goes on ringing makes Auto Scaling replace the member.",
            ),
        };
        to.push(
            Statement::allow(sid, why)
                .to(["autoscaling:SetInstanceHealth"])
                .on(scaled.replaced.iter().map(|name| scope.group(name))),
        );
    }
}

/// EC2 asks KMS in the caller's name, and the caller never does itself.
fn keys(needs: &Needs<'_>, scope: &Scope, to: &mut Vec<Statement>) {
    let (aliases, ids): (Vec<&str>, Vec<&str>) =
        needs.keys.iter().partition(|key| alias(key).is_some());
    let named = ids.iter().map(|id| match id.starts_with("arn:") {
        true => literally(id),
        false => scope.key(id),
    });
    let named: Vec<String> = named.collect();
    let aliases: Vec<String> = aliases.iter().filter_map(|key| alias(key)).collect();
    if !named.is_empty() {
        to.extend(key_statements("", scope).map(|of| of.on(named.clone())));
    }
    if !aliases.is_empty() {
        let any = format!(
            "arn:{}:kms:{}:{}:key/*",
            scope.partition, scope.region, scope.account
        );
        to.extend(key_statements("ByAlias", scope).map(|of| {
            of.on([any.clone()]).when(
                "ForAnyValue:StringEquals",
                "kms:ResourceAliases",
                aliases.clone(),
            )
        }));
    }
}

fn key_statements(named: &str, scope: &Scope) -> impl Iterator<Item = Statement> {
    let equals = if scope.knows_region() { EQUALS } else { LIKE };
    let use_key = Statement::allow(
        format!("UseKey{named}"),
        "The key of encrypted volumes: EC2 makes and unlocks data keys with it, in nobody's \
         hands but its own.",
    )
    .to([
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:GenerateDataKeyWithoutPlaintext",
    ]);
    let grant = Statement::allow(
        format!("LendKey{named}"),
        "EC2 keeps the key for as long as the volume is attached, by a grant.",
    )
    .to(["kms:CreateGrant"])
    .when("Bool", "kms:GrantIsForAWSResource", ["true".to_owned()]);
    [use_key, grant]
        .map(|of| of.when(equals, "kms:ViaService", [scope.ec2()]))
        .into_iter()
}

/// `alias/…`, be it alone or at the end of an ARN.
fn alias(key: &str) -> Option<String> {
    let name = match key.strip_prefix("arn:") {
        Some(arn) => arn.splitn(5, ':').nth(4)?,
        None => key,
    };
    name.starts_with("alias/").then(|| exactly(name))
}

fn queue(needs: &Needs<'_>, scope: &Scope, to: &mut Vec<Statement>) {
    match &needs.queue {
        Queue::None => {}
        Queue::Read { url } => to.push(
            Statement::allow("ReadQueue", "The queue that events come by.")
                .to(["sqs:DeleteMessage", "sqs:ReceiveMessage"])
                .on([scope.queue(url)]),
        ),
        Queue::Served { url } => {
            let queue = url.map_or_else(|| scope.queues(), |url| scope.queue(url));
            to.push(
                Statement::allow(
                    "LambdaReadsQueue",
                    "The mapping from the queue to the function works under the function's role.",
                )
                .to([
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                    "sqs:ReceiveMessage",
                ])
                .on([queue.clone()]),
            );
            to.push(
                Statement::allow(
                    "GoOnLater",
                    "The function does not sit out long waits: it leaves itself a message.",
                )
                .to(["sqs:GetQueueUrl", "sqs:SendMessage"])
                .on([queue]),
            );
        }
    }
}

fn our_tags() -> String {
    format!("{}*", tags::PREFIX)
}

fn chosen<'a>(actions: &'a [(&'a str, bool)]) -> impl Iterator<Item = &'a str> {
    let needed = actions.iter().filter(|(_, needed)| *needed);
    needed.map(|(action, _)| *action)
}

impl Needs<'_> {
    /// The groups that have volumes, as the tag says.
    fn owners(&self) -> impl Iterator<Item = String> {
        self.with_volumes.iter().map(|name| exactly(name))
    }

    fn has_volumes(&self) -> bool {
        !self.with_volumes.is_empty()
    }

    fn has_groups(&self) -> bool {
        !self.auto_scaling.all.is_empty()
    }
}
