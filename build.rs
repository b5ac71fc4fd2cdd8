//! Puts the rule packs into the binary, and compiles the protobuf files with a crate, so that nobody has to install
//! protoc.
//!
//! Writes the list of rule files, the generated code and, for reflection, JSON and Envoy, the descriptor set to
//! `OUT_DIR`. Without the feature `server` there is no protobuf.

#[path = "build/embed.rs"]
mod embed;

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const FILES: [&str; 2] = ["rubor/v1/triage.proto", "rubor/v1/knowledge.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    embed::write_embedded_rules()?;
    if std::env::var_os("CARGO_FEATURE_SERVER").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let descriptors = protox::compile(FILES, ["proto"])?;
    std::fs::write(out.join("rubor_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().emit_rerun_if_changed(false).compile_fds(descriptors)?;
    triage_service();
    Ok(())
}

/// The server side of the triage service once more, with codecs that write answers straight from the rules.
fn triage_service() {
    let method = |name: &str, route: &str, request: &str, answer: &str, codec: &str| {
        tonic_build::manual::Method::builder()
            .name(name)
            .route_name(route)
            .input_type(format!("crate::grpc::proto::{request}"))
            .output_type(format!("crate::grpc::wire::{answer}"))
            .codec_path(format!("crate::grpc::wire::{codec}"))
    };
    let one = method("evaluate", "Evaluate", "EvaluateRequest", "EncodedAnswer", "AnswerCodec");
    let many = method("evaluate_stream", "EvaluateStream", "EvaluateStreamRequest", "EncodedItem", "ItemCodec");
    let service = tonic_build::manual::Service::builder()
        .name("TriageService")
        .package("rubor.v1")
        .method(one.build())
        .method(many.client_streaming().server_streaming().build())
        .build();
    tonic_build::manual::Builder::new().build_client(false).compile(&[service]);
}
