//! `holdfast cluster restore`: makes the data folder of a new cluster's first node from the copy of a lost cluster's log.
//!
//! No node runs, and none is asked. What is made and in which order is `log_copy`'s; here the folder is taken, and it is told
//! what was restored and what may be missing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use identity::RecoveryKey;
use log_copy::{RestoreWish, Restored, restore};
use metadata::ClusterId;
use ports::{IdSource, RandomIds};
use serde_json::json;

use crate::command_line::ConfigArguments;
use crate::config::{Settings, member_config, storage_settings};
use crate::failure::Failure;
use crate::serve::DataFolder;

/// What is restored.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The id of the cluster that was lost, as `status` showed it; its folder in the bucket is called so
    #[arg(long, value_name = "ID")]
    from_cluster: String,
    /// The file with the recovery key that `init` printed
    #[arg(long, value_name = "FILE")]
    recovery_key_file: PathBuf,
    #[command(flatten)]
    config: ConfigArguments,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Restores, and prints what.
///
/// # Errors
/// One line that says what is wrong. It may be run again.
pub fn run(arguments: &RestoreArguments) -> Result<(), Failure> {
    let from = cluster_id(&arguments.from_cluster)?;
    let key = recovery_key(&arguments.recovery_key_file)?;
    let settings = crate::load(&arguments.config)?.settings;
    let data = DataFolder::open(&settings.server.data, settings.server.free_space_min)?;
    for part in ["metadata", "node"] {
        if data.path().join(part).exists() {
            return Err(Failure::new(format!(
                "the data folder {} belongs to a node already: choose an empty one with --data DIR",
                data.path().display()
            )));
        }
    }
    crate::crypto::install();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the threads cannot be started: {error}")))?;
    let successor = ClusterId(RandomIds.fresh());
    let restored = runtime.block_on(restored(&settings, &data, from, &key, successor))?;
    if arguments.json {
        return crate::print(&format!("{}\n", in_json(&restored, from, successor)));
    }
    crate::print(&in_words(&restored, from, successor, data.path()))
}

async fn restored(
    settings: &Settings,
    data: &DataFolder,
    from: ClusterId,
    key: &RecoveryKey,
    successor: ClusterId,
) -> Result<Restored, Failure> {
    let failed = |failure: String| Failure::new(failure);
    let store = blobs::open(&storage_settings(settings, &data.blobs()))
        .await
        .map_err(|failure| failed(format!("{failure}; `holdfast storage check` tells more")))?;
    let marks = registry::marks(&*store, from)
        .await
        .map_err(|failure| Failure::new(failure.to_string()))?;
    if let Some((_, to)) = marks.left.filter(|(left, _)| Some(*left) > marks.here) {
        return Err(Failure::new(format!(
            "the blobs of cluster {from} went from {} to {to}, and its log's copy with them: restore it from there",
            store.describe()
        )));
    }
    let wish = RestoreWish {
        store: &*store,
        from,
        key,
        successor,
        member: member_config(settings, data.metadata()),
    };
    restore(wish)
        .await
        .map_err(|failure| failed(failure.to_string()))
}

fn cluster_id(text: &str) -> Result<ClusterId, Failure> {
    let id = u128::from_str_radix(text, 16).ok();
    let id = id.filter(|_| text.len() == 32);
    id.map(ClusterId).ok_or_else(|| {
        Failure::new(format!(
            "{text} is no cluster's id, which has 32 hexadecimal digits: the cluster's folder in the bucket is called so"
        ))
    })
}

fn recovery_key(file: &Path) -> Result<RecoveryKey, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(format!(
            "the recovery key file {shown} cannot be read: {error}"
        ))
    })?;
    text.parse()
        .map_err(|error| Failure::new(format!("the recovery key file {shown}: {error}")))
}

fn in_json(restored: &Restored, from: ClusterId, successor: ClusterId) -> serde_json::Value {
    let state = &restored.state;
    json!({
        "cluster": successor.to_string(),
        "from": from.to_string(),
        "index": state.last.index,
        "term": state.last.term,
        "time_ms": state.time.0,
        "segments": restored.segments,
        "repositories": state.repositories,
        "tags": state.tags,
        "manifests": state.manifests,
        "blobs": state.blobs,
        "passed_over": restored.passed_over,
        "earlier": restored.earlier.map(|cluster| cluster.to_string()),
    })
}

fn in_words(restored: &Restored, from: ClusterId, successor: ClusterId, data: &Path) -> String {
    let state = &restored.state;
    let at = UNIX_EPOCH + Duration::from_millis(state.time.0);
    // Whole seconds: a clock that is behind the log's time says nothing.
    let ago = SystemTime::now().duration_since(at).unwrap_or_default();
    let ago = Duration::from_secs(ago.as_secs());
    let mut text = format!(
        "Restored cluster {from} as the new cluster {successor}, which this node is alone in.\n\n\
         entry         {} of term {}\n\
         time          {} ({} ago)\n\
         repositories  {}\n\
         tags          {}\n\
         manifests     {}\n\
         blobs         {}\n\n\
         What cluster {from} acknowledged after that entry is not in the copy and is missing here: while its store answered,\n\
         that is at most the last 5 seconds, or 10,000 entries. Uploads that were not finished have to be pushed again.\n",
        state.last.index,
        state.last.term,
        humantime::format_rfc3339_seconds(at),
        humantime::format_duration(ago),
        state.repositories,
        state.tags,
        state.manifests,
        state.blobs,
    );
    if let Some(problem) = &restored.passed_over {
        text.push_str(&format!(
            "\nA newer snapshot was passed over, and what followed the one before it was used: {problem}\n"
        ));
    }
    if let Some(earlier) = restored.earlier {
        text.push_str(&format!(
            "\nCluster {from} was restored before, as {earlier}: do not go on with both.\n"
        ));
    }
    text.push_str(&format!(
        "\nIts nodes take no more writes, now or when they are started again. Start this one, with the same settings for\nstorage, and found its cluster:\n  holdfast serve --data {0}\n  holdfast cluster init --data {0}\n",
        data.display()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_and_no_key_is_told() {
        let failure = cluster_id("12").expect_err("too short");
        assert!(
            failure.lines[0].contains("32 hexadecimal digits"),
            "{failure:?}"
        );
        let id = cluster_id("000000000000000000000000000000ff").expect("an id");
        assert_eq!(id, ClusterId(255));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("key");
        let failure = recovery_key(&file).expect_err("it is not there");
        assert!(failure.lines[0].contains("cannot be read"), "{failure:?}");
        std::fs::write(&file, "ABCD").expect("write");
        let failure = recovery_key(&file).expect_err("it is short");
        assert!(failure.lines[0].contains("too short"), "{failure:?}");
        let key = RecoveryKey::generate();
        std::fs::write(&file, format!("{key}\n")).expect("write");
        assert_eq!(recovery_key(&file).expect("a key").id(), key.id());
    }
}
