//! Handshakes as nodes make them: who is let in, who is not, and what changes while connections are open.

mod fixture;

use std::sync::Arc;
use std::time::Duration;

use fixture::{CLUSTER, Cluster, Ends, connect, now};
use identity::{
    ALPN_CLUSTER, ALPN_JOIN, Authority, Credentials, ExpectedPeer, NodeId, PeerIdentity,
    PeerRefusal, Revoked, Role, UnixSeconds, explain, joining_client_config, says_removed,
};
use metadata::ClusterId;
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn any() -> ExpectedPeer {
    ExpectedPeer::AnyMember
}

fn node(id: u64) -> ExpectedPeer {
    ExpectedPeer::Node(NodeId(id))
}

async fn handshake(
    client: &Credentials,
    expected: ExpectedPeer,
    server: &Credentials,
) -> (Result<Ends, rustls::Error>, Result<(), rustls::Error>) {
    connect(client.client_config(expected), server.server_config()).await
}

/// What the calling side says of an answer that it refuses.
fn refused_answer(result: (Result<Ends, rustls::Error>, Result<(), rustls::Error>)) -> String {
    explain(&result.1.expect_err("the caller has to refuse"))
}

/// What the called side says of a caller that it refuses.
fn refused_caller(
    result: (Result<Ends, rustls::Error>, Result<(), rustls::Error>),
) -> rustls::Error {
    result.0.err().expect("the called side has to refuse")
}

#[tokio::test]
async fn nodes_of_one_cluster_know_each_other() {
    let cluster = Cluster::new();
    let member = cluster.credentials(1, Role::Member);
    let gateway = cluster.credentials(9, Role::Gateway);
    let (ends, _) = handshake(&gateway, node(1), &member).await;
    let mut ends = ends.unwrap();
    assert_eq!(
        member.peer(ends.server_side()),
        Ok(PeerIdentity {
            cluster: CLUSTER,
            node: NodeId(9),
            role: Role::Gateway
        })
    );
    assert_eq!(gateway.peer(ends.client_side()).unwrap().node, NodeId(1));
    assert_eq!(ends.server_side().alpn_protocol(), Some(ALPN_CLUSTER));
    let version = ends.server_side().protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
    ends.assert_alive().await;
}

#[tokio::test]
async fn node_of_another_cluster_is_refused_on_both_sides() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    let server = ours.credentials(1, Role::Member);
    let stranger = theirs.credentials(1, Role::Member);
    let said = refused_answer(handshake(&stranger, any(), &server).await);
    assert!(said.contains("another cluster"), "{said}");
    // A caller that believes everybody still has to show a certificate of ours.
    let trusting = theirs.credentials_believing(2, &[&theirs.authority, &ours.authority]);
    let said = refused_caller(handshake(&trusting, any(), &server).await);
    let expected = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(said, expected);
}

#[tokio::test]
async fn authority_that_claims_our_cluster_is_not_believed() {
    let ours = Cluster::new();
    let forged = Cluster {
        authority: Authority::create(CLUSTER, now()).unwrap(),
    };
    let caller = fixture::anonymous_or(Some(&forged.identity(1, Role::Member)));
    let server = ours.credentials(1, Role::Member);
    let said = refused_caller(connect(caller, server.server_config()).await);
    let expected = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(said, expected);
}

#[tokio::test]
async fn caller_without_a_certificate_is_refused() {
    let cluster = Cluster::new();
    let server = cluster.credentials(1, Role::Member);
    let said = refused_caller(connect(fixture::anonymous_or(None), server.server_config()).await);
    assert_eq!(said, rustls::Error::NoCertificatesPresented);
}

#[tokio::test]
async fn expired_and_future_certificates_are_refused_on_both_sides() {
    let cluster = Cluster::new();
    let good = cluster.credentials(1, Role::Member);
    let expired = cluster.credentials_from(2, now().before(40 * DAY), 30 * DAY);
    let future = cluster.credentials_from(3, now().after(DAY), 30 * DAY);
    for (bad, word) in [(&expired, "expired"), (&future, "not valid yet")] {
        let said = refused_answer(handshake(&good, any(), bad).await);
        assert!(said.contains(word), "{said}");
        let said = refused_caller(handshake(bad, any(), &good).await).to_string();
        assert!(said.contains(word), "{said}");
    }
    let slow_clock = cluster.credentials_from(4, now().after(Duration::from_secs(200)), DAY);
    handshake(&slow_clock, any(), &good).await.0.unwrap();
}

#[tokio::test]
async fn removed_node_is_refused_on_both_sides_and_told() {
    let cluster = Cluster::new();
    let good = cluster.credentials(1, Role::Member);
    let removed = cluster.credentials(2, Role::Member);
    let mut before = handshake(&removed, node(1), &good).await.0.unwrap();
    assert_eq!(good.peer(before.server_side()).unwrap().node, NodeId(2));

    good.replace_revoked(Revoked::from_iter([NodeId(2)]));
    let result = handshake(&removed, node(1), &good).await;
    let told = result.1.clone().unwrap_err();
    assert!(says_removed(&told), "{told}");
    let expected = rustls::Error::InvalidCertificate(CertificateError::Revoked);
    assert_eq!(refused_caller(result), expected);
    assert!(refused_answer(handshake(&good, node(2), &removed).await).contains("was removed"));

    // The open connection lives, and whoever asks is told.
    before.assert_alive().await;
    let refusal = PeerRefusal::Removed(NodeId(2));
    assert_eq!(good.peer(before.server_side()), Err(refusal));

    good.replace_revoked(Revoked::default());
    handshake(&removed, node(1), &good).await.0.unwrap();
}

#[tokio::test]
async fn another_node_than_the_called_one_is_refused() {
    let cluster = Cluster::new();
    let caller = cluster.credentials(1, Role::Member);
    let gateway = cluster.credentials(3, Role::Gateway);
    let said = refused_answer(handshake(&caller, node(2), &gateway).await);
    assert!(said.contains("node 3") && said.contains("node 2"), "{said}");
    let said = refused_answer(handshake(&caller, any(), &gateway).await);
    assert!(said.contains("gateway 3"), "{said}");
    handshake(&caller, node(3), &gateway).await.0.unwrap();
}

#[tokio::test]
async fn rotation_is_seen_by_new_handshakes_and_not_by_open_connections() {
    let cluster = Cluster::new();
    let (server, client) = (
        cluster.credentials(1, Role::Member),
        cluster.credentials(2, Role::Member),
    );
    // Configurations made before the rotation are the ones that are used after it.
    let (serving, calling) = (server.server_config(), client.client_config(node(1)));
    let shown = |ends: &Ends| {
        let first = |side: &rustls::CommonState| side.peer_certificates().unwrap()[0].clone();
        (first(ends.server_side()), first(ends.client_side()))
    };
    let connected = connect(Arc::clone(&calling), Arc::clone(&serving)).await;
    let mut before = connected.0.unwrap();
    let (client_before, server_before) = shown(&before);

    server.rotate(cluster.identity(1, Role::Member)).unwrap();
    client.rotate(cluster.identity(2, Role::Member)).unwrap();
    let mut after = connect(calling, serving).await.0.unwrap();
    assert_eq!(
        shown(&after),
        (
            client.identity().certificate().clone(),
            server.identity().certificate().clone()
        )
    );
    assert_ne!(shown(&after).0, client_before);
    assert_ne!(shown(&after).1, server_before);
    before.assert_alive().await;
    after.assert_alive().await;
}

#[tokio::test]
async fn identity_of_another_node_is_not_rotated_in() {
    let cluster = Cluster::new();
    let ours = cluster.credentials(1, Role::Member);
    let error = ours.rotate(cluster.identity(2, Role::Member)).unwrap_err();
    assert!(error.to_string().contains("is of node 2"), "{error}");
    assert!(
        ours.rotate(Cluster::of(ClusterId(8)).identity(1, Role::Member))
            .is_err()
    );
    assert_eq!(ours.identity().node(), NodeId(1));
}

#[tokio::test]
async fn authority_is_replaced_without_a_refused_connection() {
    let old = Cluster::new();
    let new = Cluster::new();
    let both = [&old.authority, &new.authority];
    let nodes = [
        old.credentials(1, Role::Member),
        old.credentials(2, Role::Member),
    ];
    let all_connect = || async {
        for (client, server) in [(0, 1), (1, 0)] {
            let result = handshake(&nodes[client], any(), &nodes[server]).await;
            result.0.unwrap();
        }
    };
    // One node after the other believes both, then shows a certificate of the new one, then believes only that.
    for (id, credentials) in (1..).zip(&nodes) {
        credentials
            .rotate(old.identity_believing(id, &both))
            .unwrap();
        all_connect().await;
    }
    for (id, credentials) in (1..).zip(&nodes) {
        credentials
            .rotate(new.identity_believing(id, &both))
            .unwrap();
        all_connect().await;
    }
    for (id, credentials) in (1..).zip(&nodes) {
        credentials.rotate(new.identity(id, Role::Member)).unwrap();
        all_connect().await;
    }
    let late = old.credentials_believing(3, &both);
    refused_caller(handshake(&late, any(), &nodes[0]).await);
}

#[tokio::test]
async fn joining_node_recognises_the_cluster_by_the_fingerprint() {
    let cluster = Cluster::new();
    let member = cluster.credentials(1, Role::Member);
    let fingerprint = member.identity().authority_fingerprint();
    assert_eq!(fingerprint, cluster.authority.fingerprint());
    let config = joining_client_config(fingerprint);
    let mut ends = connect(config, member.joining_server_config())
        .await
        .0
        .unwrap();
    assert_eq!(ends.server_side().alpn_protocol(), Some(ALPN_JOIN));
    assert!(ends.server_side().peer_certificates().is_none());
    assert_eq!(
        member.peer(ends.server_side()),
        Err(PeerRefusal::NoIdentity)
    );
    ends.assert_alive().await;
}

#[tokio::test]
async fn joining_node_refuses_other_authorities_expired_members_and_gateways() {
    let cluster = Cluster::new();
    let config = || joining_client_config(cluster.authority.fingerprint());
    let refused = async |server: &Credentials| {
        refused_answer(connect(config(), server.joining_server_config()).await)
    };
    let other = Cluster::new().credentials(1, Role::Member);
    assert!(refused(&other).await.contains("token's fingerprint"));
    let expired = cluster.credentials_from(1, now().before(40 * DAY), 30 * DAY);
    assert!(refused(&expired).await.contains("expired"));
    let gateway = cluster.credentials(5, Role::Gateway);
    assert!(refused(&gateway).await.contains("gateway 5"));
}

#[tokio::test]
async fn fingerprint_of_a_certificate_that_did_not_sign_proves_nothing() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    // An impostor sends our authority's certificate, which is public, beside its own.
    let chain: Vec<CertificateDer<'static>> = vec![
        theirs.identity(1, Role::Member).certificate().clone(),
        ours.authority.certificate().clone(),
    ];
    let server = fixture::server_with_chain(chain);
    let config = joining_client_config(ours.authority.fingerprint());
    refused_answer(connect(config, server).await);
}

#[tokio::test]
async fn one_port_serves_joining_and_joined_nodes_and_mixes_neither() {
    let cluster = Cluster::new();
    let member = cluster.credentials(1, Role::Member);
    let fingerprint = cluster.authority.fingerprint();
    let join = fixture::connect_choosing(joining_client_config(fingerprint), &member).await;
    assert_eq!(join.unwrap().server_side().alpn_protocol(), Some(ALPN_JOIN));
    let caller = cluster.credentials(2, Role::Gateway).client_config(any());
    let call = fixture::connect_choosing(caller, &member).await.unwrap();
    assert_eq!(call.server_side().alpn_protocol(), Some(ALPN_CLUSTER));
    // Offering both, or nothing, does not get around the certificate.
    for offered in [vec![ALPN_JOIN.to_vec(), ALPN_CLUSTER.to_vec()], Vec::new()] {
        let mut config = (*joining_client_config(fingerprint)).clone();
        config.alpn_protocols = offered;
        let refused = fixture::connect_choosing(Arc::new(config), &member).await;
        let expected = rustls::Error::NoCertificatesPresented;
        assert_eq!(refused.err(), Some(expected));
    }
    // Neither does the wrong configuration with the right certificate.
    let caller = cluster.credentials(2, Role::Gateway).client_config(any());
    let refused = connect(caller, member.joining_server_config()).await;
    assert_eq!(
        refused_caller(refused),
        rustls::Error::NoApplicationProtocol
    );
}

#[tokio::test]
async fn no_session_is_resumed_even_for_a_caller_that_wants_to() {
    let cluster = Cluster::new();
    let server = cluster.credentials(1, Role::Member);
    let calling = cluster.credentials(2, Role::Member).client_config(any());
    let mut calling = (*calling).clone();
    calling.resumption = rustls::client::Resumption::in_memory_sessions(4);
    let calling = Arc::new(calling);
    for _ in 0..3 {
        let connected = connect(Arc::clone(&calling), server.server_config()).await;
        let mut ends = connected.0.unwrap();
        ends.assert_alive().await;
        let kind = ends.server_side().handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
}

#[tokio::test]
async fn certificate_of_a_node_signs_no_other() {
    let cluster = Cluster::new();
    let server = cluster.credentials(1, Role::Member);
    let config = fixture::signed_by_a_node(&cluster);
    refused_caller(connect(config, server.server_config()).await);
    assert_eq!(UnixSeconds(3).before(DAY), UnixSeconds(0));
}
