//! The messages of the driver service, and what is generated around them by the build script.

#![allow(missing_docs, unused_qualifications, unreachable_pub, clippy::all, clippy::pedantic)]

/// Where somebody wants to be fetched.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    #[prost(string, tag = "1")]
    pub location: String,
}

/// A driver, and where that is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DriverLocation {
    #[prost(string, tag = "1")]
    pub driver_id: String,
    #[prost(string, tag = "2")]
    pub location: String,
}

/// The drivers near that place.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    #[prost(message, repeated, tag = "1")]
    pub locations: Vec<DriverLocation>,
}

include!(concat!(env!("OUT_DIR"), "/driver.DriverService.rs"));
