//! Writes the client and the server of the driver service. The messages are written by hand in
//! `src/driver/proto.rs`, so that no `protoc` is needed.

fn main() {
    let codec = "tonic_prost::ProstCodec";
    let find_nearest = tonic_build::manual::Method::builder()
        .name("find_nearest")
        .route_name("FindNearest")
        .input_type("super::Request")
        .output_type("super::Response")
        .codec_path(codec)
        .build();
    let service = tonic_build::manual::Service::builder()
        .name("DriverService")
        .package("driver")
        .method(find_nearest)
        .build();
    tonic_build::manual::Builder::new().compile(&[service]);
}
