//! The source of the ids of new spans.
//!
//! It must not use the clock or a lock: an id costs one step of a thread's own generator.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::diag::Diagnostics;
use crate::panics::Callback;

/// Generates the random numbers for ids.
///
/// The default draws 63-bit numbers from a generator of the calling thread; a test can use a
/// counter here to get the same ids on every run.
///
/// # Cost
///
/// Called once for a child, once or twice for a root, and once when a tracer is built, for the process
/// tag `client-uuid`. It must not block.
///
/// # Source
///
/// `TracerOptions.RandomNumber` in jaeger-client-go, `tracer_options.go`.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use jaeger_client::{IdGenerator, SpanId, Tracer};
///
/// #[derive(Debug, Default)]
/// struct Counter(AtomicU64);
///
/// impl IdGenerator for Counter {
///     fn next(&self) -> u64 {
///         self.0.fetch_add(1, Ordering::Relaxed) + 1
///     }
/// }
///
/// let builder = Tracer::builder("svc").id_generator(Counter::default());
/// let (tracer, _closer) = builder.null_reporter().build()?;
/// let first = tracer.start_span("op").context().span_id();
/// assert_eq!(tracer.start_span("op").context().span_id().get(), first.get() + 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait IdGenerator: fmt::Debug + Send + Sync {
    /// Returns the next number. Zero is drawn again where an id must not be zero.
    fn next(&self) -> u64;

    /// Returns the upper half of a new trace id of 128 bits; the next number by default.
    ///
    /// # Source
    ///
    /// `HighTraceIDGenerator` in jaeger-client-go, `tracer_options.go`.
    fn next_high(&self) -> u64 {
        self.next()
    }
}

impl<G: IdGenerator + ?Sized> IdGenerator for Arc<G> {
    fn next(&self) -> u64 {
        (**self).next()
    }

    fn next_high(&self) -> u64 {
        (**self).next_high()
    }
}

thread_local! {
    /// The state of this thread's generator; zero before its first use.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Returns 63 random bits. The top bit stays clear because the Java client reads ids as signed
/// numbers and would otherwise decide differently from Go on the same trace.
///
/// The generator is wyrand, seeded from the operating system's once a thread: ids need to differ,
/// not to be secret, and they are drawn once or twice for every span. A tracer gives its own `salt`:
/// a process that was forked goes on where its parent's thread was, and so do its siblings, but each
/// with its own tracer.
#[inline]
pub(crate) fn random_63(salt: u64) -> u64 {
    // Without a destructor the state is there until the thread is gone; the fallback is for the
    // type's sake.
    let next = STATE.try_with(|state| {
        let before = state.get();
        let next = if before == 0 { seed() } else { before }.wrapping_add(0xa076_1d64_78bd_642f);
        state.set(next);
        next
    });
    let next = next.unwrap_or_else(|_| seed()) ^ salt;
    let mixed = u128::from(next) * u128::from(next ^ 0xe703_7ed1_a0b4_28db);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are folded")]
    let id = (mixed >> 64) as u64 ^ mixed as u64;
    id >> 1
}

/// Returns 63 random bits from the operating system, which are unique across processes.
#[cold]
pub(crate) fn system_63() -> u64 {
    seed() >> 1
}

/// Seeds a generator from the operating system: the `rand` crate's thread generator is destroyed
/// before spans in thread-local values are dropped, and using it then aborts the process. Never
/// zero.
#[cold]
pub(crate) fn seed() -> u64 {
    SysRng.try_next_u64().unwrap_or_else(|_| RandomState::new().hash_one(0)).max(2)
}

/// Returns 63 random bits that are not all zero.
#[inline]
pub(crate) fn random_id(salt: u64) -> u64 {
    let id = random_63(salt);
    if id == 0 { system_63() } else { id }
}

/// The source of new ids.
#[derive(Debug)]
pub(crate) struct IdSource {
    /// The custom generator; none if each thread draws its own.
    pub(crate) generator: Option<Box<dyn IdGenerator>>,
    /// Makes the ids of this tracer differ from those of others that draw from the same state.
    pub(crate) salt: u64,
    /// Whether trace ids have 128 bits.
    pub(crate) are_wide: bool,
    pub(crate) diagnostics: Arc<Diagnostics>,
}

impl IdSource {
    /// Returns a new id that is not zero.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        match &self.generator {
            None => random_id(self.salt),
            Some(generator) => self.generated(&**generator),
        }
    }

    /// Returns the upper half of a new trace id.
    #[inline]
    pub(crate) fn next_high(&self) -> u64 {
        if self.are_wide { self.next_wide() } else { 0 }
    }

    /// Not inlined, as most trace ids have 64 bits.
    #[inline(never)]
    fn next_wide(&self) -> u64 {
        self.generator
            .as_ref()
            .map_or_else(|| random_63(self.salt), |generator| self.generated_high(&**generator))
    }

    /// Draws again, but not for ever, if a generator returns zero.
    #[cold]
    fn generated(&self, generator: &dyn IdGenerator) -> u64 {
        let next = |_| self.diagnostics.call(Callback::IdGeneratorNext, || generator.next());
        let first = (0..MAX_ZEROS).map_while(next).find(|id| *id != 0);
        first.unwrap_or_else(system_63)
    }

    #[cold]
    fn generated_high(&self, generator: &dyn IdGenerator) -> u64 {
        let next = self.diagnostics.call(Callback::IdGeneratorNextHigh, || generator.next_high());
        next.unwrap_or_else(system_63)
    }
}

/// How often a generator is called for an id that is not zero.
const MAX_ZEROS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tracer;

    #[test]
    fn processes_forked_from_one_draw_other_ids_once_they_have_a_tracer_each() {
        let ids = [(); 3].map(|()| {
            let (tracer, _closer) = Tracer::builder("s").null_reporter().build().unwrap();
            // As after a fork, every time, whichever thread has built the tracer.
            STATE.set(42);
            tracer.start_span("op").context().span_id()
        });
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    }

    #[test]
    fn a_shared_generator_numbers_the_spans_of_two_tracers() {
        #[derive(Debug, Default)]
        struct Halves(std::sync::atomic::AtomicU64);
        impl IdGenerator for Halves {
            fn next(&self) -> u64 {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
            }
            fn next_high(&self) -> u64 {
                0xa
            }
        }
        let shared = Arc::new(Halves::default());
        let tracer = || {
            let builder = Tracer::builder("s").id_generator(Arc::clone(&shared));
            builder.trace_id_128bit(true).null_reporter().build().unwrap()
        };
        let ((one, _one), (two, _two)) = (tracer(), tracer());
        // The first two numbers are for `client-uuid` of the tracers.
        let ids = [&one, &two, &one].map(|tracer| tracer.start_span("op").context().trace_id());
        assert_eq!(ids, [3, 4, 5].map(|low| crate::TraceId::new(0xa, low)));
    }

    #[test]
    fn random_ids_leave_the_top_bit_clear() {
        assert!((0..1000).all(|salt| random_id(salt) >> 63 == 0));
    }
}
