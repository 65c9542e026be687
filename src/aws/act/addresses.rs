//! How does an Elastic IP move? In one call, checked before; the answer may be
//! lost with the very address it moves. That it arrived is seen by the look
//! that follows every move.

use super::super::call::Ask;
use super::super::client::impatient;
use super::super::convert;
use super::super::retry::{Policy, Schedule};
use super::super::{Aws, AwsError, Meaning};
use super::Outcome;
use crate::ids::{AllocationId, InstanceId};
use crate::world::Address;

/// From whom, to whom, and where on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move<'a> {
    pub(super) allocation: &'a AllocationId,
    pub(super) instance: &'a InstanceId,
    pub(super) from: Option<&'a InstanceId>,
    /// Interface and private address.
    pub(super) to: Option<&'a (String, String)>,
}

impl Move<'_> {
    fn is_done(&self, now: &Address) -> bool {
        let at_its_place = match self.to {
            None => true,
            Some((_, private_ip)) => now.private_ip.as_ref() == Some(private_ip),
        };
        now.instance.as_ref() == Some(self.instance) && at_its_place
    }

    /// It may also be on the target already, at another private address.
    fn may_go(&self, now: &Address) -> bool {
        now.instance.as_ref() == self.from || now.instance.as_ref() == Some(self.instance)
    }
}

impl Aws {
    pub(super) async fn associate(&self, wanted: &Move<'_>) -> Result<Outcome, AwsError> {
        let ask = Ask::new(
            "ec2:AssociateAddress",
            format!(
                "move the address {} to {}",
                wanted.allocation, wanted.instance
            ),
        )
        .with(Policy::Once);
        let mut schedule = Schedule::new(Policy::Repeat);
        loop {
            self.pace.turn(ask.action, ask.extent).await;
            let Some(now) = self.address_now(wanted.allocation).await? else {
                return Outcome::overtaken(format!("there is no address {}", wanted.allocation));
            };
            if wanted.is_done(&now) {
                return Ok(Outcome::Done);
            }
            if !wanted.may_go(&now) {
                let holder = now
                    .instance
                    .map_or("nobody".to_owned(), |id| id.to_string());
                return Outcome::overtaken(format!("the address is with {holder} by now"));
            }
            let error = match self.send_associate(&ask, wanted).await {
                Ok(()) => return Ok(Outcome::Done),
                Err(error) => error,
            };
            if error.meaning == Meaning::IncorrectState {
                return Outcome::overtaken(format!(
                    "{} cannot take an address yet",
                    wanted.instance
                ));
            }
            match schedule.pause_after(&error) {
                None => return Err(error),
                Some(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn send_associate(&self, ask: &Ask, wanted: &Move<'_>) -> Result<(), AwsError> {
        self.send(ask, async || {
            let request = self
                .ec2
                .associate_address()
                .allocation_id(wanted.allocation.as_str())
                .allow_reassociation(true);
            let request = match wanted.to {
                None => request.instance_id(wanted.instance.as_str()),
                Some((interface, private_ip)) => request
                    .network_interface_id(interface)
                    .private_ip_address(private_ip),
            };
            request
                .customize()
                .config_override(impatient())
                .send()
                .await
        })
        .await
        .map(|_| ())
    }

    async fn address_now(&self, id: &AllocationId) -> Result<Option<Address>, AwsError> {
        let read = self.addresses_by_id(vec![id.to_string()]).await?;
        let of = read
            .iter()
            .find(|of| of.allocation_id() == Some(id.as_str()));
        of.map(convert::address)
            .transpose()
            .map(|found| found.map(|(address, _)| address))
            .map_err(|problem| {
                AwsError::odd("look at the address", "ec2:DescribeAddresses", problem)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_goes_only_from_where_it_was_planned_to_go_from() {
        let (allocation, heir, old) = ("eipalloc-1".into(), "i-2".into(), InstanceId::from("i-1"));
        let place = ("eni-2".to_owned(), "10.0.0.4".to_owned());
        let wanted = Move {
            allocation: &allocation,
            instance: &heir,
            from: Some(&old),
            to: Some(&place),
        };
        let at = |instance: Option<&str>, private_ip: Option<&str>| Address {
            allocation: allocation.clone(),
            public_ip: "198.51.100.7".to_owned(),
            instance: instance.map(Into::into),
            private_ip: private_ip.map(ToOwned::to_owned),
        };
        assert!(wanted.may_go(&at(Some("i-1"), None)));
        assert!(!wanted.may_go(&at(None, None)) && !wanted.may_go(&at(Some("i-3"), None)));
        assert!(wanted.is_done(&at(Some("i-2"), Some("10.0.0.4"))));
        let elsewhere = at(Some("i-2"), Some("10.0.0.9"));
        assert!(!wanted.is_done(&elsewhere) && wanted.may_go(&elsewhere));
    }
}
