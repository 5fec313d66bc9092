//! The messages of a greeter over gRPC, and what is generated around them by the build script.

#![allow(
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    unreachable_pub,
    clippy::all,
    clippy::exhaustive_structs
)]

/// Who is to be greeted.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// The greeting.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    #[prost(string, tag = "1")]
    pub text: String,
}

include!(concat!(env!("OUT_DIR"), "/hello.Greeter.rs"));
