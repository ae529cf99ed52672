//! A member runs the suite of its port.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use metadata_raft::{Member, MemberConfig};
use ports::MetadataStore;
use ports::metadata_store::suite::Subject;

fn config(folder: PathBuf) -> MemberConfig {
    MemberConfig {
        segment_bytes: 256 * 1024,
        free_bytes_min: 0,
        ..MemberConfig::new(folder, 1)
    }
}

async fn member() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path().join("metadata"));
    let member = Member::open(config.clone()).await.unwrap();
    let current = Arc::new(Mutex::new(Arc::clone(&member)));
    let restart = move || {
        let (config, current) = (config.clone(), Arc::clone(&current));
        async move {
            let before = Arc::clone(&*current.lock().unwrap());
            before.shutdown().await;
            let member = Member::open(config).await.unwrap();
            *current.lock().unwrap() = Arc::clone(&member);
            let member: Arc<dyn MetadataStore> = member;
            member
        }
    };
    Subject::new(member, restart).keeping(folder)
}

ports::metadata_store_suite!(member);
