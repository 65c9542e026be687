//! When the Elastic IPs follow the holder.

use super::demand;
use super::scene::{Heir, Scene};
use super::step::{Hold, Plan, Reason, Step};
use super::volumes::Placed;
use crate::spec::Kind;
use crate::world::{Address, AddressFound, World};

/// One call moves an address. It goes when nobody serves under it any more,
/// and only to a holder that runs and is at its hook or past it.
pub(super) fn follow(scene: &Scene<'_>, world: &World, placed: &Placed<'_>, plan: &mut Plan) {
    if scene.spec.addresses.is_empty() {
        return;
    }
    let (Some(heir), Some(found)) = (scene.holder, demand(&world.addresses, "addresses", plan))
    else {
        return;
    };
    for (index, (sought, found)) in scene.spec.addresses.iter().zip(found).enumerate() {
        match found {
            AddressFound::Missing => plan.hold(Hold::AddressMissing {
                address: sought.clone(),
            }),
            AddressFound::Ambiguous(all) => plan.hold(Hold::AddressAmbiguous {
                address: sought.clone(),
                count: all.len(),
            }),
            AddressFound::One(address) => one(scene, heir, placed, index, address, plan),
        }
    }
}

fn one(
    scene: &Scene<'_>,
    heir: Heir<'_>,
    placed: &Placed<'_>,
    index: usize,
    address: &Address,
    plan: &mut Plan,
) {
    let needs = scene.spec.addresses.len();
    let target = match private_address(heir, index, needs) {
        Ok(target) => target,
        Err(hold) => {
            plan.hold(hold);
            return;
        }
    };
    if is_on(heir, address, target.as_ref()) {
        return;
    }
    if !heir.is_ready() {
        plan.wait(Reason::HolderBoots {
            instance: heir.id.clone(),
        });
        return;
    }
    if is_on_newer(scene, heir, address) {
        // Somebody saw that member take over before this look did.
        return;
    }
    if !placed.let_go && !moves_early() {
        // Its predecessor still serves; `release` says what is waited for.
        return;
    }
    plan.step(Step::Associate {
        allocation: address.allocation.clone(),
        instance: heir.id.clone(),
        from: address.instance.clone(),
        to: target,
    });
}

/// Several Elastic IPs on one instance need a private address each, in the
/// order of the configuration; a single one needs none named.
fn private_address(
    heir: Heir<'_>,
    index: usize,
    needs: usize,
) -> Result<Option<(String, String)>, Hold> {
    if needs < 2 {
        return Ok(None);
    }
    // Not described yet: nothing can be said, and `is_ready` is false as well.
    let Some(instance) = heir.instance else {
        return Ok(None);
    };
    let interface = instance.interface.as_ref();
    interface
        .and_then(|i| Some((i.id.clone(), i.private_ips.get(index)?.clone())))
        .map(Some)
        .ok_or_else(|| Hold::PrivateAddresses {
            instance: heir.id.clone(),
            needs,
            has: interface.map_or(0, |i| i.private_ips.len()),
        })
}

fn is_on(heir: Heir<'_>, address: &Address, target: Option<&(String, String)>) -> bool {
    address.instance.as_ref() == Some(heir.id)
        && target.is_none_or(|(_, ip)| address.private_ip.as_deref() == Some(ip))
}

/// Is it with a member that takes over once it is ready? The parts of one look
/// are not of one instant: that member may be ready by now.
fn is_on_newer(scene: &Scene<'_>, heir: Heir<'_>, address: &Address) -> bool {
    let Some(on) = address.instance.as_ref().filter(|on| *on != heir.id) else {
        return false;
    };
    if scene.spec.kind != Kind::Asg {
        return false;
    }
    let is_candidate = scene
        .group
        .members
        .get(on)
        .is_some_and(|member| member.lifecycle.is_candidate());
    let launched = |id| scene.instances.get(id).map(|instance| instance.launched);
    is_candidate && launched(on) > launched(heir.id)
}

/// Are all addresses on the holder?
pub(super) fn in_place(scene: &Scene<'_>, world: &World) -> bool {
    scene.spec.addresses.is_empty()
        || match (scene.holder, world.addresses.known()) {
            (Some(heir), Some(found)) => found.iter().enumerate().all(|(index, found)| {
                let AddressFound::One(address) = found else {
                    return false;
                };
                private_address(heir, index, scene.spec.addresses.len())
                    .is_ok_and(|target| is_on(heir, address, target.as_ref()))
            }),
            _ => false,
        }
}

#[cfg(feature = "mutants")]
fn moves_early() -> bool {
    super::mutant::is(super::mutant::Mutant::AddressToAnyone)
}

#[cfg(not(feature = "mutants"))]
const fn moves_early() -> bool {
    false
}
