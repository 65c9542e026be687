//! How does EC2 write an instance?

use super::subnets::VPC;
use super::{addresses, attachments, tags};
use crate::Region;
use crate::model::{Instance, InstanceState};
use crate::wire::xml::Xml;

/// The inside of a reservation, or of RunInstances' answer.
pub(crate) fn reservation(xml: &mut Xml, region: &Region, instances: &[&Instance]) {
    let name = instances
        .first()
        .map(|i| i.id.trim_start_matches("i-"))
        .unwrap_or_default();
    xml.leaf("reservationId", format!("r-{name}"));
    xml.leaf("ownerId", &region.settings.account);
    xml.list("groupSet", "item", std::iter::empty::<()>(), |_, ()| {});
    xml.list("instancesSet", "item", instances, |xml, instance| {
        write(xml, region, instance)
    });
}

pub(crate) fn state(xml: &mut Xml, state: InstanceState) {
    xml.leaf("code", state.code());
    xml.leaf("name", state.as_str());
}

fn write(xml: &mut Xml, region: &Region, instance: &Instance) {
    xml.leaf("instanceId", &instance.id);
    xml.leaf("imageId", &instance.image);
    xml.node("instanceState", |xml| state(xml, instance.state));
    xml.leaf("privateDnsName", "");
    xml.leaf("dnsName", "");
    let reason = instance.told_to_end.map_or_else(String::new, |at| {
        format!("User initiated ({})", at.strftime("%Y-%m-%d %H:%M:%S GMT"))
    });
    xml.leaf("reason", &reason);
    xml.leaf("amiLaunchIndex", 0);
    xml.leaf("instanceType", &instance.kind);
    xml.time("launchTime", instance.launched);
    xml.node("placement", |xml| {
        xml.leaf("availabilityZone", &instance.zone);
        xml.leaf("groupName", "");
        xml.leaf("tenancy", "default");
    });
    xml.node("monitoring", |xml| xml.leaf("state", "disabled"));
    if instance.state != InstanceState::Terminated {
        xml.leaf("subnetId", &instance.subnet);
        xml.leaf("vpcId", VPC);
        xml.maybe("privateIpAddress", instance.private_ips.first());
        xml.maybe("ipAddress", public_ip(region, instance));
    }
    xml.leaf("architecture", "x86_64");
    xml.leaf("rootDeviceType", "ebs");
    xml.leaf("rootDeviceName", &instance.root_device);
    block_devices(xml, region, instance);
    xml.leaf("virtualizationType", "hvm");
    xml.maybe("clientToken", instance.token.as_ref());
    tags::write(xml, &instance.tags);
    xml.leaf("hypervisor", "xen");
    let interfaces = (instance.state != InstanceState::Terminated).then_some(instance);
    xml.list(
        "networkInterfaceSet",
        "item",
        interfaces,
        |xml, instance| interface(xml, region, instance),
    );
    if let Some(profile) = &instance.profile {
        let name = profile.rsplit('/').next().unwrap_or(profile);
        let account = &region.settings.account;
        xml.node("iamInstanceProfile", |xml| {
            xml.leaf(
                "arn",
                format!("arn:aws:iam::{account}:instance-profile/{name}"),
            );
            xml.leaf("id", "AIPAEXAMPLEEXAMPLE000");
        });
    }
    xml.node("metadataOptions", |xml| {
        xml.leaf("state", "applied");
        // The region's metadata service answers to a token alone.
        xml.leaf("httpTokens", "required");
        xml.leaf("httpPutResponseHopLimit", 2);
        xml.leaf("httpEndpoint", "enabled");
        xml.leaf("instanceMetadataTags", "disabled");
    });
    xml.leaf("ebsOptimized", false);
    xml.leaf("enaSupport", true);
}

fn public_ip(region: &Region, instance: &Instance) -> Option<String> {
    let primary = instance.private_ips.first();
    elastic_ip(region, instance, primary.map(String::as_str)).or_else(|| instance.public_ip.clone())
}

fn elastic_ip(region: &Region, instance: &Instance, private_ip: Option<&str>) -> Option<String> {
    let at = addresses::of(region, &instance.id).find(|a| a.private_ip.as_deref() == private_ip);
    at.map(|address| address.public_ip.clone())
}

fn block_devices(xml: &mut Xml, region: &Region, instance: &Instance) {
    let attachments =
        attachments::on(region, &instance.id).filter_map(|v| Some((&v.id, v.attachment.as_ref()?)));
    xml.list(
        "blockDeviceMapping",
        "item",
        attachments,
        |xml, (volume, attachment)| {
            xml.leaf("deviceName", &attachment.device);
            xml.node("ebs", |xml| {
                xml.leaf("volumeId", volume);
                xml.leaf("status", attachment.state.as_str());
                xml.time("attachTime", attachment.since);
                xml.leaf("deleteOnTermination", attachment.delete_on_termination);
            });
        },
    );
}

fn interface(xml: &mut Xml, region: &Region, instance: &Instance) {
    xml.leaf("networkInterfaceId", &instance.interface);
    xml.leaf("subnetId", &instance.subnet);
    xml.leaf("vpcId", VPC);
    xml.leaf("ownerId", &region.settings.account);
    xml.leaf("status", "in-use");
    xml.maybe("privateIpAddress", instance.private_ips.first());
    xml.node("attachment", |xml| {
        xml.leaf("deviceIndex", 0);
        xml.leaf("status", "attached");
        xml.leaf("deleteOnTermination", true);
    });
    xml.list(
        "privateIpAddressesSet",
        "item",
        instance.private_ips.iter().enumerate(),
        |xml, (n, ip)| {
            xml.leaf("privateIpAddress", ip);
            xml.leaf("primary", n == 0);
            if let Some(public) = elastic_ip(region, instance, Some(ip)) {
                xml.node("association", |xml| {
                    xml.leaf("publicIp", public);
                    xml.leaf("ipOwnerId", &region.settings.account);
                });
            }
        },
    );
}

pub(crate) fn status(xml: &mut Xml, instance: &Instance) {
    let status = match instance.state {
        InstanceState::Running if instance.impaired => "impaired",
        InstanceState::Running => "ok",
        _ => "not-applicable",
    };
    // A guest that died does not make the host under it fail.
    let system = if status == "impaired" { "ok" } else { status };
    xml.leaf("instanceId", &instance.id);
    xml.leaf("availabilityZone", &instance.zone);
    xml.node("instanceState", |xml| state(xml, instance.state));
    for (name, status) in [("systemStatus", system), ("instanceStatus", status)] {
        xml.node(name, |xml| {
            xml.leaf("status", status);
            let reachable = if status == "ok" { "passed" } else { "failed" };
            let details = (status != "not-applicable").then_some(reachable);
            xml.list("details", "item", details, |xml, reachable| {
                xml.leaf("name", "reachability");
                xml.leaf("status", reachable);
            });
        });
    }
}
