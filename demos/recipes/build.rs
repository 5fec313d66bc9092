//! Writes the client and the server of the greeter. Its messages are written by hand in
//! `src/greeter.rs`, so that no `protoc` is needed.

fn main() {
    let method = |name: &str, route: &str| {
        tonic_build::manual::Method::builder()
            .name(name)
            .route_name(route)
            .input_type("super::Request")
            .output_type("super::Response")
            .codec_path("tonic_prost::ProstCodec")
    };
    let service = tonic_build::manual::Service::builder()
        .name("Greeter")
        .package("hello")
        .method(method("greet", "Greet").build())
        .method(method("greet_often", "GreetOften").server_streaming().build())
        .build();
    tonic_build::manual::Builder::new().compile(&[service]);
}
