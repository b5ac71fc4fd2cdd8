//! The gRPC surface: what comes in as protobuf goes to the engine, and what the engine says goes out again.
//!
//! Owns the generated code, conversion, status codes, limits and the two services. It holds no clinical logic, reads no
//! file and opens no socket: `engine` decides, `store` holds the rules, `server` listens.

mod arrival;
mod cases;
pub mod convert;
pub mod gate;
pub mod guard;
pub mod json;
pub mod limits;
pub mod origin;
pub mod pack;
mod record;
pub mod report;
pub mod resolve;
pub mod service;
pub mod status;
mod stream;
pub mod upload;
mod validate;
mod watch;
pub mod wire;

/// The code generated from `proto/rubor/v1/`.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
pub mod proto {
    tonic::include_proto!("rubor.v1");

    /// The descriptor set of the files above and of what they import: for reflection and for JSON.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rubor_descriptor.bin"));
}
