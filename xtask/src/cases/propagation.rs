//! Contexts and their baggage, written and read.

use std::collections::HashMap;
use std::hint::black_box;

use http::HeaderMap;
use jaeger_client::propagation::{
    B3Format, B3SingleFormat, CompositeFormat, ExtractCarrier, Format, InjectCarrier, JaegerFormat,
    W3cFormat,
};
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{Closer, SpanContext, Tracer};

use super::{Case, Meter, builder};
use crate::Outcome;

/// A map as applications have them, with random hashing.
type Map = HashMap<String, String>;

pub(super) const CASES: &[Case] = &[
    Case::new("headers, jaeger", 200, |meter| child::<HeaderMap>(meter, jaeger()))
        .within(1_410, 1_410, 0)
        .in_time(3, 310),
    Case::new("headers, b3", 200, |meter| child::<HeaderMap>(meter, b3()))
        .within(2_180, 2_180, 0)
        .in_time(9, 550),
    Case::new("headers, b3 single", 200, |meter| child::<HeaderMap>(meter, b3_single()))
        .within(1_580, 1_580, 0)
        .in_time(3, 310),
    Case::new("headers, w3c", 200, |meter| child::<HeaderMap>(meter, w3c()))
        .within(2_140, 2_140, 0)
        .in_time(5, 460),
    Case::new("headers, b3 and w3c", 200, |meter| child::<HeaderMap>(meter, b3_and_w3c()))
        .within(5_730, 5_730, 0)
        .in_time(14, 1_700),
    Case::new("map, jaeger", 200, |meter| child::<Map>(meter, jaeger()))
        .within(1_240, 1_240, 0)
        .in_time(0, 270),
    Case::new("map, b3", 200, |meter| child::<Map>(meter, b3()))
        .within(2_230, 2_230, 0)
        .in_time(0, 440),
    Case::new("map, b3 single", 200, |meter| child::<Map>(meter, b3_single()))
        .within(1_370, 1_370, 0)
        .in_time(0, 270),
    Case::new("map, w3c", 200, |meter| child::<Map>(meter, w3c()))
        .within(1_890, 1_890, 0)
        .in_time(0, 400),
    Case::new("map, b3 and w3c", 200, |meter| child::<Map>(meter, b3_and_w3c()))
        .within(5_610, 5_610, 0)
        .in_time(0, 1_470),
    Case::new("empty map, jaeger", 200, |meter| in_new_map(meter, jaeger()))
        .within(2_050, 2_350, 3)
        .in_time(0, 530),
    Case::new("empty map, b3", 200, |meter| in_new_map(meter, b3()))
        .within(4_260, 4_260, 7)
        .in_time(0, 920),
    Case::new("empty map, w3c", 200, |meter| in_new_map(meter, w3c()))
        .within(1_566, 2_450, 3)
        .in_time(0, 530),
    Case::new("empty map, by itself", 200, |meter| {
        let (tracer, _closer) = with_format(jaeger())?;
        meter.run(&tracer, || {
            let mut map = Map::new();
            let text = "5af7183fb1d4cf5f:6b221d5bc9e6496c:0000000000000000:1";
            map.insert("uber-trace-id".to_owned(), black_box(text).to_owned());
            black_box(map.iter().next());
        })
    }),
    Case::new("headers, jaeger, 3 items", 100, |meter| items::<HeaderMap>(meter, jaeger(), 3))
        .within(16_500, 16_500, 10)
        .in_time(11, 4_000),
    Case::new("headers, w3c, 3 items", 100, |meter| items::<HeaderMap>(meter, w3c(), 3))
        .within(17_700, 17_700, 13)
        .in_time(13, 5_400),
    Case::new("map, jaeger, 3 items", 100, |meter| items::<Map>(meter, jaeger(), 3))
        .within(10_100, 10_100, 6)
        .in_time(3, 2_100),
    Case::new("inject 1 item", 100, |meter| inject_items(meter, 1))
        .within(5_800, 5_800, 5)
        .in_time(5, 1_500),
    Case::new("inject 8 items", 20, |meter| inject_items(meter, 8))
        .within(26_000, 26_000, 5)
        .in_time(20, 5_400),
    Case::new("inject 64 items", 10, |meter| inject_items(meter, 64))
        .within(190_000, 190_000, 5)
        .in_time(143, 39_000),
    Case::new("inject 180 items", 10, |meter| inject_items(meter, 180))
        .within(530_000, 530_000, 9)
        .in_time(407, 110_000),
    Case::new("extract 1 item", 100, |meter| extract_items(meter, 1))
        .within(2_780, 2_780, 4)
        .in_time(3, 620),
    Case::new("extract 8 items", 20, |meter| extract_items(meter, 8))
        .within(9_200, 9_200, 7)
        .in_time(3, 2_000),
    Case::new("extract 64 items", 10, |meter| extract_items(meter, 64))
        .within(61_000, 61_000, 10)
        .in_time(16, 8_400),
    Case::new("extract 180 items", 10, |meter| extract_items(meter, 180))
        .within(149_500, 149_500, 12)
        .in_time(25, 36_000),
    Case::new("set 1 baggage item", 100, |meter| set_items(meter, 1))
        .within(1_950, 1_950, 3)
        .in_time(16, 450),
    Case::new("set 3 baggage items", 100, |meter| set_items(meter, 3))
        .within(3_300, 3_300, 4)
        .in_time(22, 770),
    Case::new("set 8 baggage items", 20, |meter| set_items(meter, 8))
        .within(6_800, 6_800, 6)
        .in_time(37, 1_570),
    Case::new("set 64 baggage items", 10, |meter| set_items(meter, 64))
        .within(46_500, 46_500, 9)
        .in_time(217, 10_900),
    Case::new("set 180 baggage items", 10, |meter| set_items(meter, 180))
        .within(109_000, 109_000, 11)
        .in_time(573, 20_770),
    Case::new("root + 3 tags, context read", 200, |meter| {
        let (tracer, _closer) = with_format(jaeger())?;
        meter.run(&tracer, || {
            let span = tracer.start_span("GET /orders");
            super::three_tags(&span);
            black_box(span.context());
        })
    }),
];

fn jaeger() -> Box<dyn Format> {
    Box::new(JaegerFormat::default())
}

fn b3() -> Box<dyn Format> {
    Box::new(B3Format::default())
}

fn b3_single() -> Box<dyn Format> {
    Box::new(B3SingleFormat::default())
}

fn w3c() -> Box<dyn Format> {
    Box::new(W3cFormat::default())
}

fn b3_and_w3c() -> Box<dyn Format> {
    Box::new(CompositeFormat::new(vec![b3(), w3c()]))
}

fn with_format(format: Box<dyn Format>) -> Outcome<(Tracer, Closer)> {
    Ok(builder(ConstSampler::new(true)).format(format).build()?)
}

/// The context of a child span, so that each part of a context has to be written.
fn context(tracer: &Tracer) -> SpanContext {
    let root = tracer.start_span("GET /orders");
    tracer.span("SELECT").child_of(&root).start().context()
}

/// A context into a carrier that holds an earlier one, and out of it.
fn child<C>(meter: &mut Meter, format: Box<dyn Format>) -> Outcome<()>
where
    C: Default + InjectCarrier + ExtractCarrier,
{
    items::<C>(meter, format, 0)
}

fn items<C>(meter: &mut Meter, format: Box<dyn Format>, count: usize) -> Outcome<()>
where
    C: Default + InjectCarrier + ExtractCarrier,
{
    let (tracer, _closer) = with_format(format)?;
    let context = with_items(context(&tracer), count);
    let mut carrier = C::default();
    meter.run(&tracer, || {
        tracer.inject(&context, &mut carrier);
        let _extracted = black_box(tracer.extract(&carrier));
    })
}

/// A root's context into a new map, and out of it.
fn in_new_map(meter: &mut Meter, format: Box<dyn Format>) -> Outcome<()> {
    let (tracer, _closer) = with_format(format)?;
    let context = tracer.start_span("GET /orders").context();
    meter.run(&tracer, || {
        let mut map = Map::new();
        tracer.inject(&context, &mut map);
        let _extracted = black_box(tracer.extract(&map));
    })
}

fn with_items(context: SpanContext, count: usize) -> SpanContext {
    (0..count).fold(context, |context, n| context.with_baggage_item(&key(n), VALUE))
}

fn key(n: usize) -> String {
    format!("customer-{n:03}")
}

/// A value that has to be encoded in headers.
const VALUE: &str = "a value, encoded";

fn inject_items(meter: &mut Meter, count: usize) -> Outcome<()> {
    let (tracer, _closer) = with_format(jaeger())?;
    let context = with_items(context(&tracer), count);
    let mut headers = HeaderMap::new();
    meter.run(&tracer, || {
        tracer.inject(&context, &mut headers);
    })
}

fn extract_items(meter: &mut Meter, count: usize) -> Outcome<()> {
    let (tracer, _closer) = with_format(jaeger())?;
    let context = with_items(context(&tracer), count);
    let mut headers = HeaderMap::new();
    tracer.inject(&context, &mut headers);
    meter.run(&tracer, || {
        let _extracted = black_box(tracer.extract(&headers));
    })
}

/// Items on a span that nobody samples, so that no logs are written of them.
fn set_items(meter: &mut Meter, count: usize) -> Outcome<()> {
    let (tracer, _closer) = super::tracer(false)?;
    let keys: Vec<_> = (0..count).map(key).collect();
    meter.run(&tracer, || {
        let span = tracer.start_span("GET /orders");
        for key in &keys {
            span.set_baggage_item(key, VALUE);
        }
    })
}
