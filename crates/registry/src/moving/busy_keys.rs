//! Keeps the copy of an object and its deletion apart.
//!
//! A copy that ended after the deletion would leave an object that nothing names. So a deletion waits until copies of its keys
//! have ended, which it asks them to, and nothing is copied whose deletion is under way. It must never be held by anything
//! that waits for a deletion.

use std::collections::HashMap;

use metadata::ObjectKey;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Which keys are being copied or deleted.
#[derive(Default)]
pub(super) struct BusyKeys {
    keys: Mutex<HashMap<ObjectKey, Use>>,
    copy_ended: Notify,
}

enum Use {
    Copied(CancellationToken),
    /// By so many calls.
    Deleted(usize),
}

/// While it lives, the object is not deleted.
pub(super) struct Copying<'a> {
    busy: &'a BusyKeys,
    key: ObjectKey,
    unwanted: CancellationToken,
}

/// While it lives, none of the objects is copied.
pub(super) struct Deleting<'a> {
    busy: &'a BusyKeys,
    keys: &'a [ObjectKey],
}

impl BusyKeys {
    /// Begins a copy; `None` when the object is being deleted, or copied already.
    pub(super) fn copying(&self, key: &ObjectKey) -> Option<Copying<'_>> {
        let mut keys = self.keys.lock();
        if keys.contains_key(key) {
            return None;
        }
        let unwanted = CancellationToken::new();
        keys.insert(key.clone(), Use::Copied(unwanted.clone()));
        Some(Copying {
            busy: self,
            key: key.clone(),
            unwanted,
        })
    }

    /// Begins a deletion, once no copy of the objects is under way.
    pub(super) async fn deleting<'a>(&'a self, keys: &'a [ObjectKey]) -> Deleting<'a> {
        loop {
            let mut copy_ended = std::pin::pin!(self.copy_ended.notified());
            // From here on no end is missed.
            copy_ended.as_mut().enable();
            if self.try_deleting(keys) {
                return Deleting { busy: self, keys };
            }
            copy_ended.await;
        }
    }

    fn try_deleting(&self, wanted: &[ObjectKey]) -> bool {
        let mut keys = self.keys.lock();
        let mut is_free = true;
        for key in wanted {
            if let Some(Use::Copied(unwanted)) = keys.get(key) {
                unwanted.cancel();
                is_free = false;
            }
        }
        if is_free {
            for key in wanted {
                match keys.get_mut(key) {
                    Some(Use::Deleted(calls)) => *calls += 1,
                    _ => drop(keys.insert(key.clone(), Use::Deleted(1))),
                }
            }
        }
        is_free
    }
}

impl Copying<'_> {
    /// Whether a deletion waits for the end of this copy.
    pub(super) fn is_unwanted(&self) -> bool {
        self.unwanted.is_cancelled()
    }
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        self.busy.keys.lock().remove(&self.key);
        self.busy.copy_ended.notify_waiters();
    }
}

impl Drop for Deleting<'_> {
    fn drop(&mut self) {
        let mut keys = self.busy.keys.lock();
        for key in self.keys {
            match keys.get_mut(key) {
                Some(Use::Deleted(calls)) if *calls > 1 => *calls -= 1,
                _ => drop(keys.remove(key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use metadata::ClusterId;

    use super::*;

    fn key(id: u128) -> ObjectKey {
        ObjectKey::manifest(ClusterId(1), id)
    }

    #[tokio::test]
    async fn deletion_waits_for_the_copy_and_the_copy_is_told() {
        let busy = BusyKeys::default();
        let keys = [key(1), key(2)];
        let copying = busy.copying(&keys[1]).expect("nobody uses it");
        assert!(busy.copying(&keys[1]).is_none(), "one copy at a time");
        assert!(!copying.is_unwanted());
        let mut deleting = std::pin::pin!(busy.deleting(&keys));
        assert!(deleting.as_mut().now_or_never().is_none());
        assert!(copying.is_unwanted());
        let other = busy
            .copying(&keys[0])
            .expect("nothing is claimed by waiting");
        drop(copying);
        assert!(deleting.as_mut().now_or_never().is_none());
        drop(other);
        let deleting = deleting.await;
        assert!(busy.copying(&keys[0]).is_none() && busy.copying(&keys[1]).is_none());
        let again = busy.deleting(&keys[..1]).await;
        drop(deleting);
        assert!(
            busy.copying(&keys[0]).is_none(),
            "a second deletion goes on"
        );
        drop(again);
        assert!(busy.copying(&keys[0]).is_some());
        assert!(busy.keys.lock().is_empty(), "nothing is left behind");
    }
}
