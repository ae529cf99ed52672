//! Generates the service between nodes over messages of `wire`: no library's own serialization crosses the network.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

const CODEC: &str = "crate::codec::PeerCodec";

/// A method over messages of a module of `wire`.
fn method_of(module: &str, name: &str, route: &str, input: &str, output: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("wire::{module}::{input}"))
        .output_type(format!("wire::{module}::{output}"))
        .codec_path(CODEC)
}

fn method(name: &str, route: &str, input: &str, output: &str) -> MethodBuilder {
    method_of("peer", name, route, input, output)
}

/// What nodes say about themselves.
fn nodes() -> Service {
    let method =
        |name, route, input, output| method_of("nodes", name, route, input, output).build();
    let proof =
        |name, route, input, output| method_of("proofs", name, route, input, output).build();
    Service::builder()
        .name("Nodes")
        .package("holdfast.v1")
        .comment("What nodes say about themselves: `proto/holdfast/v1/nodes.proto`.")
        .method(method("status", "Status", "StatusRequest", "NodeStatus"))
        .method(method("note_start", "NoteStart", "StartNote", "StartNoted"))
        .method(method("renew", "Renew", "RenewRequest", "RenewReply"))
        .method(method("order", "Order", "OrderRequest", "OrderReply"))
        .method(proof("prove", "Prove", "ProveRequest", "ProveReply"))
        .method(proof("sign", "Sign", "SignRequest", "SignReply"))
        .build()
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let append = method("append", "Append", "AppendRequest", "AppendReply");
    let snapshot = method(
        "send_snapshot",
        "SendSnapshot",
        "SnapshotPiece",
        "SnapshotTaken",
    );
    let transfer = method(
        "transfer_leader",
        "TransferLeader",
        "TransferLeaderRequest",
        "TransferLeaderReply",
    );
    let progress = method(
        "snapshot_progress",
        "SnapshotProgress",
        "SnapshotName",
        "SnapshotReceived",
    );
    let service = Service::builder()
        .name("Peers")
        .package("holdfast.v1")
        .comment("What nodes say to each other: `proto/holdfast/v1/peer.proto`.")
        .method(append.client_streaming().server_streaming().build())
        .method(method("ask_vote", "AskVote", "VoteRequest", "VoteReply").build())
        .method(progress.build())
        .method(snapshot.client_streaming().build())
        .method(transfer.build())
        .method(method("propose", "Propose", "ProposeRequest", "ProposeReply").build())
        .method(method("confirm", "Confirm", "ConfirmRequest", "ConfirmReply").build())
        .method(method("ask", "Ask", "AskRequest", "AskReply").build())
        .build();
    Builder::new()
        .build_transport(false)
        .compile(&[service, nodes()]);
}
