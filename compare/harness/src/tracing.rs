//! The work of peers that are layers of `tracing`: all make the same spans by its macros.

use std::hint::black_box;

use tracing::{Span, Subscriber, info, info_span};

use crate::{Case, Unsupported, Work};

/// Makes a subscriber that of the program.
///
/// # Errors
///
/// If there is one.
pub fn install(subscriber: impl Subscriber + Send + Sync) -> Result<(), Unsupported> {
    tracing::subscriber::set_global_default(subscriber).map_err(|_| "a subscriber is there")
}

/// Returns the work of a case. `read_context` reads the context of a span from the layer.
///
/// # Errors
///
/// The cases that are the same as those of the client below the layer.
pub fn work<'a>(case: Case, read_context: impl Fn(&Span) + 'a) -> Result<Work<'a>, Unsupported> {
    Ok(match case {
        Case::Unsampled | Case::Root => {
            Box::new(|| drop(black_box(info_span!(parent: None, "GET /orders"))))
        }
        Case::UnsampledContext => {
            Box::new(move || read_context(&info_span!(parent: None, "GET /orders")))
        }
        Case::RootTags => Box::new(|| drop(black_box(root()))),
        Case::Child => {
            let parent = info_span!(parent: None, "GET /orders");
            Box::new(move || {
                let span = child(&parent);
                info!(parent: &span, key = black_box(42_i64), "cache miss");
            })
        }
        Case::RunTimeStrings => {
            let parent = info_span!(parent: None, "GET /orders");
            let method = black_box(String::from("GET"));
            Box::new(move || {
                let span = info_span!(
                    parent: &parent,
                    "SELECT",
                    http.method = black_box(method.as_str()),
                    http.status_code = black_box(200_i64),
                    error = false
                );
                info!(parent: &span, key = black_box(42_i64), "cache miss");
            })
        }
        Case::Tree => Box::new(|| {
            let root = root();
            for _ in 0..3 {
                let parent = child(&root);
                for _ in 0..2 {
                    drop(child(&parent));
                }
            }
        }),
        Case::InjectExtract => return Err("as in the row of the client below it"),
        Case::Encode100 => return Err("as in the row of the client below it"),
    })
}

fn root() -> Span {
    info_span!(
        parent: None,
        "GET /orders",
        http.method = "GET",
        http.status_code = black_box(200_i64),
        error = false
    )
}

fn child(parent: &Span) -> Span {
    info_span!(
        parent: parent,
        "SELECT",
        http.method = "GET",
        http.status_code = black_box(200_i64),
        error = false
    )
}
