//! Compiles `proto/` without `protoc`.

use std::path::PathBuf;

const FILES: [&str; 10] = [
    "words",
    "access",
    "command",
    "reply",
    "rows",
    "raft",
    "access_query",
    "query",
    "peer",
    "nodes",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let files = FILES.map(|name| root.join("holdfast/v1").join(format!("{name}.proto")));
    let descriptors = protox::compile(files, [root])?;
    prost_build::Config::new()
        .bytes(["."])
        .skip_debug([".holdfast.v1.ProveRequest", ".holdfast.v1.SignReply"])
        .compile_fds(descriptors)?;
    Ok(())
}
