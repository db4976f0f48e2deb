//! How many followers there are, in all and of each client.
//!
//! The address of a client is kept only here and only while the client follows something. No error,
//! metric or line of log contains it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::Client;
use crate::config::LiveLimits;

/// Why somebody may not follow. The text is what the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyFollowers {
    /// In this replica.
    #[error("Too many people follow this already. Reload the page to see the right number.")]
    InAll,
    /// From one client.
    #[error(
        "Too many live streams are open from your network. Close some of them, or follow several \
         pages with one stream."
    )]
    OfClient,
}

/// Who follows, and how many may.
pub struct Followers {
    limits: LiveLimits,
    present: Arc<Mutex<Present>>,
}

#[derive(Default)]
struct Present {
    all: u16,
    /// Only clients that are present. Not all followers have a known client.
    of_client: HashMap<Client, u16>,
}

/// One follower, for as long as this value lives.
pub struct Follower {
    client: Option<Client>,
    present: Arc<Mutex<Present>>,
}

impl Followers {
    pub fn new(limits: LiveLimits) -> Self {
        let present = Arc::default();
        Self { limits, present }
    }

    /// How many there are, and how many there may be.
    pub fn count(&self) -> (usize, usize) {
        let all = lock(&self.present).all;
        (all.into(), self.limits.streams.get().into())
    }

    /// One more follower, from `address` if that is known.
    ///
    /// # Errors
    /// There are too many already, in all or of the same client.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<Follower, TooManyFollowers> {
        let client = address.map(Client::from);
        let mut present = lock(&self.present);
        if present.all >= self.limits.streams.get() {
            return Err(TooManyFollowers::InAll);
        }
        if let Some(client) = client {
            let open = present.of_client.get(&client).copied().unwrap_or_default();
            if open >= self.limits.streams_per_client.get() {
                return Err(TooManyFollowers::OfClient);
            }
            present.of_client.insert(client, open + 1);
        }
        present.all += 1;
        Ok(Follower {
            client,
            present: self.present.clone(),
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut present = lock(&self.present);
        present.all -= 1;
        let Some(client) = self.client else { return };
        if let Some(open) = present.of_client.get_mut(&client) {
            *open -= 1;
            if *open == 0 {
                present.of_client.remove(&client);
            }
        }
    }
}

fn lock(present: &Mutex<Present>) -> MutexGuard<'_, Present> {
    // No code panics between the changes of the two numbers.
    present.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn followers(streams: u16, streams_per_client: u16) -> Followers {
        let [streams, streams_per_client] =
            [streams, streams_per_client].map(|limit| NonZeroU16::new(limit).unwrap());
        Followers::new(LiveLimits {
            streams,
            streams_per_client,
        })
    }

    #[test]
    fn without_an_address_only_the_total_is_bounded() {
        let followers = followers(3, 1);
        let mut open: Vec<_> = (0..3).map(|_| followers.admit(None).unwrap()).collect();
        assert_eq!(followers.admit(None).err(), Some(TooManyFollowers::InAll));
        open.pop();
        assert!(followers.admit(None).is_ok());
    }

    #[test]
    fn an_address_is_forgotten_with_its_last_stream() {
        let followers = followers(10, 2);
        let address = Some("203.0.113.7".parse().unwrap());
        let known = || lock(&followers.present).of_client.len();
        let first = followers.admit(address).unwrap();
        let second = followers.admit(address).unwrap();
        assert_eq!(
            followers.admit(address).err(),
            Some(TooManyFollowers::OfClient)
        );
        assert_eq!((followers.count(), known()), ((2, 10), 1));
        drop(first);
        assert_eq!(known(), 1);
        drop(second);
        assert_eq!((followers.count(), known()), ((0, 10), 0));
    }
}
