//! Where this client differs from jaeger-client-go on purpose: the table of rows, to which the rules
//! of each kind of case (`RULES` there) refer. Each has a row in DESIGN.md too.

use crate::report::Difference;

/// An intended difference: its number, or a word for it, and the behaviour of this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deviation(pub(crate) &'static str, pub(crate) &'static str);

/// Why a response may differ from the recorded one: the deviation, and whether it explains a difference, by
/// the case's input, and the place and values of the difference.
pub(crate) type Rule = (Deviation, fn(&serde_json::Value, &Difference) -> bool);

macro_rules! deviations {
    ($($name:ident: $number:literal, $meaning:literal;)*) => {
        $(pub(crate) const $name: Deviation = Deviation($number, $meaning);)*
    };
}

deviations! {
    HEX_FLAGS: "18.1", "flags are read as hex, as they are written";
    NEGATIVE_LENGTH: "18.2", "negative lengths are corrupted data";
    DEBUG_ID_RETAINED: "18.4", "the debug id does not depend on the headers' order";
    HEADER_NAMES_OF_ANY_CASE: "18.13", "configured names match whatever their case";
    TEXT_MAP_KEYS_RETAINED: "18.14", "baggage keys of text maps keep their case";
    NOT_A_NUMBER: "18.24", "a rate that is not a number is refused";
    OPERATION_WITHOUT_RATE: "18.8",
        "an operation without a rate spoils the answer, not the process";
    RATE_REFUSED: "18.24", "a rate out of range is refused, whatever is in force";
    ONE_BURST: "18.25", "after a pause one full bucket passes, not two";
    CREDIT_WITHIN_LIMITS: "balance", "a balance is from 0 up to 1,000";
    NAMES_WITHOUT_CONTROLS: "service", "a service's name has no control characters";
    BAGGAGE_BOUNDED: "bounded", "180 items and 8,192 bytes of baggage are read, the rest is counted";
    ASCII_HEADER_NAMES: "ascii", "only letters of ASCII are the same in capitals in headers' names";
    NAMES_REFUSED: "names", "a header's name that is none, or has two meanings, is refused";
    UNUSED_AGENT: "unused", "an agent's host that is none, where no agent is used, gives no URL";
    OTHER_CLIENTS: "others", "variables of the other clients are read too";
    FINITE_BALANCE: "overflow", "a bucket's balance is finite, however much it could hold";
    ZERO_IS_NONE: "18.25", "no traces a second are none";
    NEGATIVE_RATE: "18.25", "a negative rate is refused";
    ANY_RATE: "18.25", "traces a second are any number from 0";
    BUCKET_REFILLS: "18.25", "a bucket that could hold nothing fills again";
    TIME_STANDS_STILL: "18.30", "time that runs backwards takes nothing away";
    JSON_WITHIN_LIMITS: "json",
        "JSON beyond 128 levels or 64-bit floats, or with half a surrogate pair, is refused";
    REPEATED_MEMBERS: "repeated", "of a member that is repeated, in any case, one counts";
    FORWARDED_AS_FOUND: "forwarded",
        "a context without ids is written without them, and with its debug id";
    ANY_STRATEGY_TYPE: "strategyType", "the kind follows from the members alone";
    WHOLE_CHARACTERS: "18.29", "texts are cut between characters";
    NO_NEGATIVE_DURATION: "18.30", "a duration is never negative";
    TEXT_IS_UTF8: "utf8", "what is not UTF-8 is replaced when it is read";
    B3_DEBUG: "b3-debug",
        "x-b3-flags: 1 is debugging, read and written, and so is x-b3-sampled: d, read";
    B3_NO_PARENT: "b3-parent", "an empty x-b3-parentspanid is no parent";
    B3_DECISION: "b3-decision", "a decision without ids is the new trace's";
    TAGS_WITHOUT_PANIC: "18.7",
        "tags are read around what is missing; an entry without = is an error";
    DEFAULT_PARAM: "18.9", "a parameter not given is the sampler's default";
    BRACKETED_AGENT: "18.23", "an agent's IPv6 address stands in brackets";
    EVERY_TRACE: "default", "every trace is sampled where no variable speaks of sampling";
    HTTP_ENDPOINT: "endpoint", "a collector's URL is of http or https";
    MANAGER_HOST_PORT: "manager", "a sampling manager's host:port becomes a URL";
    BARE_MILLISECONDS: "durations", "a bare number is milliseconds, as for Java";
    DISABLED_ALONE: "disabled", "nothing else is read where it is disabled";
    REFUSED_WHEN_READ: "refused", "what no tracer can be made from is refused when it is read";
    OUTER_SPACE: "space", "white space around a value is no part of it";
    AGENT_HOST_WITH_PORT: "agent-port", "an agent's host may have its port";
    DEBUG_TAG_AS_HEADER: "debug-tag", "a debug id's tag is named as its header";
    VALUE_OF_ITS_TYPE: "tag-value", "a tag without a value of its type is read as that type's zero";
    UNIX_SOCKET: "unix", "an agent may be a Unix socket, which has no port";
    EARLY_LOGS_RETAINED: "18.18", "logs made before the decision are kept, as tags are";
    FINISHED_ONCE: "18.5", "a span is reported once, as it was when it finished";
    ANY_PRIORITY: "18.16", "any number is a priority, whatever its place";
    NO_DEBUG_WITHOUT_SAMPLING: "18.17", "a priority of zero clears the debug bit too";
    FLAGS_STAND: "18.26", "no sampler is asked about hand-made contexts and self-references";
    DELAYED_APART: "18.15", "a trace whose decision is deferred is not counted as not sampled";
    JOINED_APART: "18.22", "spans that join one remote context share no state";
    SELF_WITH_IDS: "18.3", "a self-reference to a context without ids is none";
    SAMPLER_TAGS_RETAINED: "start-tags", "the sampler's tags stay, however many a span starts with";
    KEEPS_NOTHING: "start-stopped", "a span that is stopped at its start keeps nothing of it";
    TAGS_AS_SENT: "tag-types", "samplers see a tag as it is sent: f32 as f64";
    DENIED_VALUE_CUT: "denied", "a denied value is logged up to 2,048 bytes";
    RESTRICTIONS_LISTED: "restrictions", "an answer that is no list of keys and lengths is refused";
    BALANCES_LISTED: "credits", "an answer that is no list of operations and balances is refused";
    SPACES_ENCODED: "space", "a space in baggage is written as %20";
    WRITTEN_AS_READ: "written",
        "baggage is written as far as a header can hold it and a reader takes it";
    B3_SINGLE: "b3-single", "the single header b3 is read too";
    B3_ENCODED: "b3-encoded", "B3 baggage of HTTP headers is percent-decoded";
    DEBUG_ID_ACTS: "debug-id", "a debug id acts whatever the context beside it is";
    ONE_CONTEXT: "one-context", "several contexts are one if they are the same";
    AT_LEAST_A_MICROSECOND: "duration", "a duration is at least a microsecond";
    STORABLE_TIMES: "times", "a time before 1970 is that of 1970";
    FINITE_DOUBLES: "doubles", "infinite and no numbers are text";
    TRIMMED: "trimmed", "a span too large for a datagram is trimmed, and arrives";
    CANONICAL_ZIPKIN: "zipkin",
        "made from canonical bytes: 64-bit unsigned wrap, f32 widen, whole µs from 1970 on; what is no address stays a tag, half a trace id is a whole one";
}
