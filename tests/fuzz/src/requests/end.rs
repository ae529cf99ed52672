//! After a sequence: everything that is there is what the model has, and nothing else.

use super::universe::{MANIFESTS, REPOSITORIES, TAGS};
use super::{Run, reads};

/// Compares all of it: tags, manifests, blobs and referrers of every repository, and the list of these.
pub fn compare(run: &mut Run<'_>) {
    reads::catalog(run, None);
    for name in REPOSITORIES {
        reads::tags(run, name, None, None);
        for tag in TAGS {
            reads::pull_manifest(run, name, tag, "GET", false);
        }
        for manifest in MANIFESTS.iter() {
            reads::pull_manifest(run, name, &manifest.digest.to_string(), "HEAD", false);
            reads::referrers(run, name, manifest.digest, None);
        }
        let digests: Vec<_> = run.model.contents.keys().copied().collect();
        for digest in digests {
            reads::pull_blob(run, name, digest, "GET", (0, 0));
        }
    }
}
