//! Where this client differs from jaeger-client-go on purpose: the table of rows, to which the rules
//! of each kind of case (`RULES` there) refer. Each has a row in DESIGN.md too.

use crate::report::Difference;

/// A difference that is meant: its number, or a word for it, and what this client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deviation(pub(crate) &'static str, pub(crate) &'static str);

/// Why a response may differ from the recorded one: the deviation, and whether what the case says, and
/// the place and the values of the difference, are such that it has to.
pub(crate) type Rule = (Deviation, fn(&serde_json::Value, &Difference) -> bool);

pub(crate) const HEX_FLAGS: Deviation =
    Deviation("18.1", "flags are read as hex, as they are written");
pub(crate) const NEGATIVE_LENGTH: Deviation =
    Deviation("18.2", "negative lengths are corrupted data");
pub(crate) const DEBUG_ID_RETAINED: Deviation =
    Deviation("18.4", "the debug id does not depend on the headers' order");
pub(crate) const HEADER_NAMES_OF_ANY_CASE: Deviation =
    Deviation("18.13", "configured names match whatever their case");
pub(crate) const TEXT_MAP_KEYS_RETAINED: Deviation =
    Deviation("18.14", "baggage keys of text maps keep their case");
pub(crate) const NOT_A_NUMBER: Deviation =
    Deviation("18.24", "a rate that is not a number is refused");
pub(crate) const OPERATION_WITHOUT_RATE: Deviation =
    Deviation("18.8", "an operation without a rate spoils the answer, not the process");
pub(crate) const RATE_REFUSED: Deviation =
    Deviation("18.24", "a rate out of range is refused, whatever is in force");
pub(crate) const ONE_BURST: Deviation =
    Deviation("18.25", "after a pause one full bucket passes, not two");
pub(crate) const ZERO_IS_NONE: Deviation = Deviation("18.25", "no traces a second are none");
pub(crate) const NEGATIVE_RATE: Deviation = Deviation("18.25", "a negative rate is refused");
pub(crate) const ANY_RATE: Deviation = Deviation("18.25", "traces a second are any number from 0");
pub(crate) const BUCKET_REFILLS: Deviation =
    Deviation("18.25", "a bucket that could hold nothing fills again");
pub(crate) const TIME_STANDS_STILL: Deviation =
    Deviation("18.30", "time that runs backwards takes nothing away");
pub(crate) const ANY_STRATEGY_TYPE: Deviation =
    Deviation("strategyType", "the kind follows from the members alone");
pub(crate) const WHOLE_CHARACTERS: Deviation =
    Deviation("18.29", "texts are cut between characters");
pub(crate) const NO_NEGATIVE_DURATION: Deviation =
    Deviation("18.30", "a duration is never negative");
pub(crate) const TEXT_IS_UTF8: Deviation =
    Deviation("utf8", "what is not UTF-8 is replaced when it is read");
pub(crate) const B3_DEBUG: Deviation = Deviation(
    "b3-debug",
    "x-b3-flags: 1 is debugging, read and written, and so is x-b3-sampled: d, read",
);
pub(crate) const B3_NO_PARENT: Deviation =
    Deviation("b3-parent", "an empty x-b3-parentspanid is no parent");
pub(crate) const B3_DECISION: Deviation =
    Deviation("b3-decision", "a decision without ids is the new trace's");
pub(crate) const TAGS_WITHOUT_PANIC: Deviation =
    Deviation("18.7", "tags are read around what is missing; an entry without = is an error");
pub(crate) const DEFAULT_PARAM: Deviation =
    Deviation("18.9", "a parameter not given is the sampler's default");
pub(crate) const BRACKETED_AGENT: Deviation =
    Deviation("18.23", "an agent's IPv6 address stands in brackets");
pub(crate) const EVERY_TRACE: Deviation =
    Deviation("default", "every trace is sampled where no variable speaks of sampling");
pub(crate) const HTTP_ENDPOINT: Deviation =
    Deviation("endpoint", "a collector's URL is of http or https");
pub(crate) const MANAGER_HOST_PORT: Deviation =
    Deviation("manager", "a sampling manager's host:port becomes a URL");
pub(crate) const BARE_MILLISECONDS: Deviation =
    Deviation("durations", "a bare number is milliseconds, as for Java");
pub(crate) const DISABLED_ALONE: Deviation =
    Deviation("disabled", "nothing else is read where it is disabled");
pub(crate) const REFUSED_WHEN_READ: Deviation =
    Deviation("refused", "what no tracer can be made from is refused when it is read");
pub(crate) const OUTER_SPACE: Deviation =
    Deviation("space", "white space around a value is no part of it");
pub(crate) const AGENT_HOST_WITH_PORT: Deviation =
    Deviation("agent-port", "an agent's host may have its port");
pub(crate) const DEBUG_TAG_AS_HEADER: Deviation =
    Deviation("debug-tag", "a debug id's tag is named as its header");
pub(crate) const VALUE_OF_ITS_TYPE: Deviation =
    Deviation("tag-value", "a tag without a value of its type is read as that type's zero");
pub(crate) const UNIX_SOCKET: Deviation =
    Deviation("unix", "an agent may be a Unix socket, which has no port");
pub(crate) const EARLY_LOGS_RETAINED: Deviation =
    Deviation("18.18", "logs made before the decision are kept, as tags are");
pub(crate) const FINISHED_ONCE: Deviation =
    Deviation("18.5", "a span is reported once, as it was when it finished");
pub(crate) const ANY_PRIORITY: Deviation =
    Deviation("18.16", "any number is a priority, whatever its place");
pub(crate) const NO_DEBUG_WITHOUT_SAMPLING: Deviation =
    Deviation("18.17", "a priority of zero clears the debug bit too");
pub(crate) const FLAGS_STAND: Deviation =
    Deviation("18.26", "no sampler is asked about hand-made contexts and self-references");
pub(crate) const DELAYED_APART: Deviation =
    Deviation("18.15", "a trace whose decision is put off is not counted as not sampled");
pub(crate) const JOINED_APART: Deviation =
    Deviation("18.22", "spans that join one remote context share no state");
pub(crate) const SELF_WITH_IDS: Deviation =
    Deviation("18.3", "a self-reference to a context without ids is none");
pub(crate) const SAMPLER_TAGS_RETAINED: Deviation =
    Deviation("start-tags", "the sampler's tags stay, however many a span starts with");
pub(crate) const KEEPS_NOTHING: Deviation =
    Deviation("start-stopped", "a span that is stopped at its start keeps nothing of it");
pub(crate) const TAGS_AS_SENT: Deviation =
    Deviation("tag-types", "samplers see a tag as it is sent: f32 as f64");
pub(crate) const DENIED_VALUE_CUT: Deviation =
    Deviation("denied", "a denied value is logged up to 2,048 bytes");
pub(crate) const RESTRICTIONS_LISTED: Deviation =
    Deviation("restrictions", "an answer that is no list of keys and lengths is refused");
pub(crate) const BALANCES_LISTED: Deviation =
    Deviation("credits", "an answer that is no list of operations and balances is refused");
pub(crate) const SPACES_ENCODED: Deviation =
    Deviation("space", "a space in baggage is written as %20");
pub(crate) const WRITTEN_AS_READ: Deviation =
    Deviation("written", "baggage is written as far as a header can hold it and a reader takes it");
pub(crate) const B3_SINGLE: Deviation = Deviation("b3-single", "the single header b3 is read too");
pub(crate) const B3_ENCODED: Deviation =
    Deviation("b3-encoded", "B3 baggage of HTTP headers is percent-decoded");
pub(crate) const DEBUG_ID_ACTS: Deviation =
    Deviation("debug-id", "a debug id acts whatever the context beside it is");
pub(crate) const ONE_CONTEXT: Deviation =
    Deviation("one-context", "several contexts are one if they are the same");
pub(crate) const AT_LEAST_A_MICROSECOND: Deviation =
    Deviation("duration", "a duration is at least a microsecond");
pub(crate) const STORABLE_TIMES: Deviation =
    Deviation("times", "a time before 1970 is that of 1970");
pub(crate) const FINITE_DOUBLES: Deviation =
    Deviation("doubles", "infinite and no numbers are text");
pub(crate) const TRIMMED: Deviation =
    Deviation("trimmed", "a span too large for a datagram is trimmed, and arrives");
pub(crate) const CANONICAL_ZIPKIN: Deviation = Deviation(
    "zipkin",
    "made from canonical bytes: 64-bit unsigned wrap, f32 widen, whole µs from 1970 on; what is no address stays a tag, half a trace id is a whole one",
);
