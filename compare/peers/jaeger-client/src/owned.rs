//! The same work by spans with one owner.

use std::hint::black_box;

use jaeger_client::{OwnedSpan, Tracer};
use peer_harness::{Case, Unsupported, Work};

pub(crate) fn work(tracer: &Tracer, case: Case) -> Result<Work<'_>, Unsupported> {
    Ok(match case {
        Case::Unsampled | Case::Root => {
            Box::new(|| drop(black_box(tracer.start_owned_span("GET /orders"))))
        }
        Case::UnsampledContext => Box::new(|| {
            black_box(tracer.start_owned_span("GET /orders").context());
        }),
        Case::RootTags => Box::new(|| three_tags(&mut tracer.start_owned_span("GET /orders"))),
        Case::Child => {
            let parent = tracer.start_owned_span("GET /orders");
            Box::new(move || {
                let mut span = tracer.span("SELECT").child_of(&parent).start_owned();
                three_tags(&mut span);
                span.log(&[("event", "cache miss".into()), ("key", black_box(42).into())]);
            })
        }
        Case::RunTimeStrings => {
            let parent = tracer.start_owned_span("GET /orders");
            let method = black_box(String::from("GET"));
            Box::new(move || {
                let mut span = tracer.span("SELECT").child_of(&parent).start_owned();
                span.set_tag("http.method", black_box(method.as_str()));
                span.set_tag("http.status_code", black_box(200));
                span.set_tag("error", false);
                span.log(&[("event", "cache miss".into()), ("key", black_box(42).into())]);
            })
        }
        Case::Tree => Box::new(|| tree(tracer)),
        Case::InjectExtract | Case::Encode100 => return Err("as in the row of shared spans"),
    })
}

fn three_tags(span: &mut OwnedSpan) {
    span.set_tag("http.method", "GET");
    span.set_tag("http.status_code", black_box(200));
    span.set_tag("error", false);
}

fn tree(tracer: &Tracer) {
    let below = |parent: &OwnedSpan| {
        let mut span = tracer.span("SELECT").child_of(parent).start_owned();
        three_tags(&mut span);
        span
    };
    let mut root = tracer.start_owned_span("GET /orders");
    three_tags(&mut root);
    for _ in 0..3 {
        let child = below(&root);
        for _ in 0..2 {
            drop(below(&child));
        }
    }
}
