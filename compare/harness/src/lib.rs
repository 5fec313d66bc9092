//! The work that each peer does, and how it is measured.
//!
//! A peer is its own program, so that none shares an allocator, a clock or a cache with another.
//! It is started by `cargo xtask compare`, which says one measurement as arguments and reads
//! `key=value` lines from its output.

mod load;
mod setup;
mod steps;
#[cfg(feature = "tracing")]
pub mod tracing;

use std::process::ExitCode;

pub use self::setup::{Propagation, Setup, Target};

/// One piece of work on the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A root span that is not sampled is started and ended.
    Unsampled,
    /// The same, and its context is read.
    UnsampledContext,
    /// A root span.
    Root,
    /// A root span with three tags: a text, an integer, a boolean.
    RootTags,
    /// A child of an open span, with three tags and a log of two fields.
    Child,
    /// The same with a text that is known at run time only.
    RunTimeStrings,
    /// A root, three children and two grandchildren below each, with three tags each.
    Tree,
    /// A context is injected into a new map of headers and extracted from it, in the format of
    /// [`Setup::propagation`].
    InjectExtract,
    /// 100 finished children with tags and log are converted and encoded, and sent.
    Encode100,
}

impl Case {
    const ALL: [(&'static str, Self); 11] = [
        ("unsampled", Self::Unsampled),
        ("unsampled-context", Self::UnsampledContext),
        ("root", Self::Root),
        ("root-tags", Self::RootTags),
        ("child", Self::Child),
        ("run-time-strings", Self::RunTimeStrings),
        ("tree", Self::Tree),
        ("inject-jaeger", Self::InjectExtract),
        ("inject-b3", Self::InjectExtract),
        ("inject-w3c", Self::InjectExtract),
        ("encode-100", Self::Encode100),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(other, _)| *other == name).map(|(_, case)| *case)
    }

    /// Returns whether spans of this case are sampled.
    fn is_sampled(self) -> bool {
        !matches!(self, Self::Unsampled | Self::UnsampledContext)
    }

    /// Operations a burst. They fit into the queue of every peer.
    fn operations(self) -> u64 {
        match self {
            Self::Tree => 20,
            Self::Encode100 => 5,
            _ => 200,
        }
    }
}

/// Why a peer cannot do something.
pub type Unsupported = &'static str;

/// One operation, to be done again and again.
pub type Work<'a> = Box<dyn FnMut() + 'a>;

/// A client that makes spans.
pub trait Peer: Sync {
    /// Returns what one operation of `case` is with this client.
    ///
    /// # Errors
    ///
    /// If the client has no such thing.
    fn work(&self, case: Case) -> Result<Work<'_>, Unsupported>;

    /// Waits until what was finished so far has left the application's queues. Not measured.
    fn drain(&self);

    /// Spans that the client says it dropped; `None` if it does not say.
    fn dropped(&self) -> Option<u64> {
        None
    }

    /// Ends the client as its documentation says, and gives what [`dropped`](Self::dropped) would.
    fn close(self) -> Option<u64>;
}

/// Returns what `main` of each peer is: does the one measurement that the arguments name.
pub fn run<P: Peer>(start: impl Fn(&Setup) -> Result<P, Unsupported>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let owned_spans = arguments.first() == Some(&"owned");
    if owned_spans {
        arguments.remove(0);
    }
    let start = |setup: &Setup| start(&Setup { owned_spans, ..setup.clone() });
    let outcome = match arguments[..] {
        ["time", case] => steps::time(start, case),
        ["count", case] => steps::count(start, case),
        ["flood", target, producers, seconds] => load::flood(start, target, producers, seconds),
        ["paced", target, rate, seconds] => load::paced(start, target, rate, seconds),
        _ => Err(
            "usage: [owned] time CASE | count CASE | flood TARGET PRODUCERS SECONDS | paced TARGET RATE SECONDS",
        ),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("unsupported={why}");
            ExitCode::from(3)
        }
    }
}
