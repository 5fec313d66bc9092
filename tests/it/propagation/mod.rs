mod b3;
mod carriers;
mod debug_id;
mod jaeger;
mod serde;
