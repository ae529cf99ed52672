//! What HAProxy and nginx do with the files that users get, and the balancer of `holdfast up` without any, before nodes that
//! fail on order and before a real node.
//!
//! A module holds what all have to do, and one what each does alone. Each test has its own balancer.

mod all;
mod checked;
mod endurance;
mod nginx;
mod own;
mod repeated;
mod streamed;

use std::time::Duration;

use balancers::{Fault, Nodes};
use bytes::Bytes;
use harness::{Client, Haproxy, Nginx, Reply};
use own::Own;

/// A manifest, by its path.
const MANIFEST: &str = "/v2/library/app/manifests/v1";

/// An open upload, by its path.
const UPLOAD: &str = "/v2/library/app/blobs/uploads/0198?at=0";

/// Where uploads begin.
const UPLOADS: &str = "/v2/library/app/blobs/uploads/";

/// The ways in which a node fails before it answers.
const BEFORE_THE_ANSWER: [Fault; 4] = [
    Fault::ResetAfterHead,
    Fault::ResetAfterBody,
    Fault::CloseAfterBody,
    Fault::Die,
];

/// Longer than any check of health and its consequences take.
const SOON: Duration = Duration::from_secs(20);

/// A balancer with the shipped file, or our own.
enum Balancer {
    Haproxy(Haproxy),
    Nginx(Nginx),
    Own(Own),
}

/// Which one.
#[derive(Clone, Copy)]
enum Kind {
    Haproxy,
    Nginx,
    Own,
}

impl Balancer {
    async fn start(kind: Kind, addresses: &[String]) -> anyhow::Result<Self> {
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        Ok(match kind {
            Kind::Haproxy => Self::Haproxy(Haproxy::start(&addresses)?),
            Kind::Nginx => Self::Nginx(Nginx::start(&addresses)?),
            Kind::Own => Self::Own(Own::start(&addresses).await?),
        })
    }

    fn address(&self) -> &str {
        match self {
            Self::Haproxy(haproxy) => haproxy.address(),
            Self::Nginx(nginx) => nginx.address(),
            Self::Own(own) => own.address(),
        }
    }

    /// A client with connections of its own.
    fn client(&self) -> Client {
        Client::new(self.address())
    }

    fn memory_peak_bytes(&self) -> anyhow::Result<u64> {
        match self {
            Self::Haproxy(haproxy) => haproxy.memory_peak_bytes(),
            Self::Nginx(nginx) => nginx.memory_peak_bytes(),
            Self::Own(own) => own.memory_peak_bytes(),
        }
    }
}

/// Three nodes and a balancer in front of them, with nothing seen yet.
async fn cluster(kind: Kind) -> anyhow::Result<(Nodes, Balancer)> {
    let nodes = Nodes::start().await?;
    let balancer = Balancer::start(kind, &nodes.addresses()).await?;
    Ok((nodes, balancer))
}

/// The balancer's own error: OCI JSON, with the headers of a registry.
fn is_balancers_error(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status.as_u16(), status, "{reply:?}");
    assert_eq!(reply.error_code().as_deref(), Some(code), "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let version = reply
        .headers
        .get_all("docker-distribution-api-version")
        .iter();
    assert_eq!(version.collect::<Vec<_>>(), ["registry/2.0"]);
    assert_eq!(reply.headers.contains_key("retry-after"), status > 500);
}

/// So many bytes that are no JSON and no text.
fn bytes_of(length: usize) -> Bytes {
    Bytes::from(vec![0xA5; length])
}

/// Each check that all have to pass, as a test of each.
macro_rules! for_all {
    ($($module:ident::$check:ident,)*; without nginx: $($more:ident::$without:ident,)*) => {
        mod with_haproxy {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() -> anyhow::Result<()> {
                crate::$module::$check(crate::Kind::Haproxy).await
            }
        )*$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $without() -> anyhow::Result<()> {
                crate::$more::$without(crate::Kind::Haproxy).await
            }
        )*}
        mod with_nginx {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() -> anyhow::Result<()> {
                crate::$module::$check(crate::Kind::Nginx).await
            }
        )*}
        mod with_own {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() -> anyhow::Result<()> {
                crate::$module::$check(crate::Kind::Own).await
            }
        )*$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $without() -> anyhow::Result<()> {
                crate::$more::$without(crate::Kind::Own).await
            }
        )*}
    };
}

for_all! {
    all::requests_take_turns,
    all::refusing_node_is_passed_by_with_every_method,
    all::no_node_is_a_503_in_oci_json,
    all::real_node_is_pushed_to_and_pulled_from,
    repeated::reads_openings_and_closings_are_repeated,
    repeated::patch_and_large_put_are_not_repeated,
    repeated::manifest_in_pieces_is_repeated,
    repeated::manifest_has_one_key_at_all_its_nodes,
    repeated::cut_answer_is_cut_and_not_repeated,
    streamed::upload_of_256_mib_is_not_buffered,
    ;
    without nginx:
    checked::unready_node_is_left_alone_until_no_node_is_ready,
    checked::manifest_whose_node_fails_is_201_of_another_node_200_times,
    checked::small_blob_is_repeated_and_large_manifest_is_not,
    checked::delete_is_not_repeated,
}
