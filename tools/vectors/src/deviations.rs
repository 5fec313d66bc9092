//! Where this client differs from jaeger-client-go on purpose.
//!
//! Each row is a defect of the Go client, by its number in the list of known defects, or something
//! that Go's conversion knows and a span's canonical bytes do not hold. Modules ask for a rule by
//! what a case's *input* says. They then expect what this client promises, not what was recorded,
//! and the case counts as passed only if that is what happens.

/// A difference that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deviation {
    /// Go writes flags in hex and reads them in decimal.
    HexFlags,
    /// Go's binary extraction panics when a length is negative.
    NegativeLength,
    /// Go forgets the debug id when the trace context comes after it.
    DebugIdKept,
    /// Go never matches configured header names that have upper-case letters.
    HeaderNamesOfAnyCase,
    /// Go lower-cases baggage keys of plain text maps, too.
    TextMapKeysKept,
    /// Go's probabilistic sampler takes a rate that is not a number.
    NotANumber,
    /// Go ends the process when an operation in an answer has no rate.
    OperationWithoutRate,
    /// Go refuses a rate out of range, or takes the nearest, by what is in force.
    RateRefused,
    /// Go's buckets let twice what they hold pass after a pause.
    OneBurst,
    /// Go's samplers let one trace pass where none a second may.
    ZeroIsNone,
    /// Go's rate limiting sampler takes a negative rate.
    NegativeRate,
    /// Go reads traces a second as a whole number of 16 bits.
    AnyRate,
    /// Go's buckets never fill again once they can hold nothing.
    BucketRefills,
    /// Go's buckets lose credit when the clock runs backwards.
    TimeStandsStill,
    /// Go refuses a number, or a word it does not know, as `strategyType`.
    AnyStrategyType,
    /// Go cuts texts within a character.
    WholeCharacters,
    /// Go reports a span that was finished before it started as it is told.
    NoNegativeDuration,
    /// Go's texts are any bytes.
    TextIsUtf8,
    /// Go knows no `x-b3-flags`, by which others ask for debugging.
    B3Debug,
    /// Go refuses the empty `x-b3-parentspanid` that proxies send.
    B3NoParent,
    /// Go finds nothing in a B3 decision without ids.
    B3Decision,
    /// Go panics on tags without `=` and on references without a default.
    TagsWithoutPanic,
    /// Go's parameter is 0 where the environment gives none.
    DefaultParam,
    /// Go forgets the brackets around an agent's IPv6 address.
    BracketedAgent,
    /// Go asks the agent about sampling where the environment says nothing of it.
    EveryTrace,
    /// Go takes URLs for a collector that it cannot post to.
    HttpEndpoint,
    /// Go takes the host and port of a sampling manager for a URL.
    ManagerHostPort,
    /// Go wants a unit with every duration but zero.
    BareMilliseconds,
    /// Go reads everything else too where it is disabled.
    DisabledAlone,
    /// Go takes what no tracer can be made from, and refuses it later or sends to it in vain.
    RefusedWhenRead,
    /// Go takes white space around a value for a part of it.
    OuterSpace,
    /// Go adds a port to an agent's host that has one.
    AgentHostWithPort,
    /// Go names the tag of a debug id as the header is usually called.
    DebugTagAsHeader,
    /// Go's tags may lack the value of their type.
    ValueOfItsType,
    /// Go knows no Unix sockets.
    UnixSocket,
    /// Go loses logs that are made before a sampler has decided, but not tags.
    EarlyLogsKept,
    /// Go reports a span each time it is finished, and as it is at the end.
    FinishedOnce,
    /// Go ignores priorities but of one type of number.
    AnyPriority,
    /// Go leaves the debug bit when a priority of zero stops the sampling.
    NoDebugWithoutSampling,
    /// Go asks the sampler about spans of contexts that were made by hand, and about self-references.
    FlagsStand,
    /// Go counts a trace whose decision is put off as not sampled.
    DelayedApart,
    /// Go's spans that join the trace of one context share its flags with it.
    JoinedApart,
    /// Go takes a self-reference to a context without ids.
    SelfWithIds,
    /// Go forgets the sampler's tags where a span starts with more than two.
    SamplerTagsKept,
    /// Go's span keeps what it had when a priority stopped its sampling at the start.
    KeepsNothing,
    /// Go's samplers see a tag's value before it becomes canonical.
    TagsAsSent,
    /// Go logs the whole value of baggage that may not be set.
    DeniedValueCut,
    /// Go takes restrictions in which something is missing.
    RestrictionsListed,
    /// Go takes credits in which something is missing.
    BalancesListed,
    /// Go writes a space in baggage as `+`, which not every client reads as one.
    SpacesEncoded,
    /// Go writes baggage that no header can hold, and more than it would read.
    WrittenAsRead,
    /// Go takes the last of several contexts, and refuses those that a comma joins.
    OneContext,
    /// Go knows no single `b3` header.
    B3Single,
    /// Go's B3 baggage is as it is, whatever bytes it has.
    B3Encoded,
    /// Go ignores a debug id beside a context, and refuses it beside a broken one.
    DebugIdActs,
    /// Go's Zipkin conversion sees values before they become canonical, and sends what servers
    /// refuse.
    CanonicalZipkin,
    /// Go's durations may be zero, which servers take for none or a negative one.
    AtLeastAMicrosecond,
    /// Go sends times before 1970, which servers refuse.
    StorableTimes,
    /// Go sends doubles that servers cannot show.
    FiniteDoubles,
    /// Go drops a span that is too large for a datagram.
    Trimmed,
}

impl Deviation {
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::HexFlags => ("18.1", "flags are read as hex, as they are written"),
            Self::NegativeLength => ("18.2", "negative lengths are corrupted data"),
            Self::DebugIdKept => ("18.4", "the debug id does not depend on the headers' order"),
            Self::HeaderNamesOfAnyCase => ("18.13", "configured names match whatever their case"),
            Self::TextMapKeysKept => ("18.14", "baggage keys of text maps keep their case"),
            Self::NotANumber => ("18.24", "a rate that is not a number is refused"),
            Self::OperationWithoutRate => {
                ("18.8", "an operation without a rate spoils the answer, not the process")
            }
            Self::RateRefused => ("18.24", "a rate out of range is refused, whatever is in force"),
            Self::OneBurst => ("18.25", "after a pause one full bucket passes, not two"),
            Self::ZeroIsNone => ("18.25", "no traces a second are none"),
            Self::NegativeRate => ("18.25", "a negative rate is refused"),
            Self::AnyRate => ("18.25", "traces a second are any number from 0"),
            Self::BucketRefills => ("18.25", "a bucket that could hold nothing fills again"),
            Self::TimeStandsStill => ("18.30", "time that runs backwards takes nothing away"),
            Self::AnyStrategyType => ("strategyType", "the kind follows from the members alone"),
            Self::WholeCharacters => ("18.29", "texts are cut between characters"),
            Self::NoNegativeDuration => ("18.30", "a duration is never negative"),
            Self::TextIsUtf8 => ("utf8", "what is not UTF-8 is replaced when it is read"),
            Self::B3Debug => (
                "b3-debug",
                "x-b3-flags: 1 is debugging, read and written, and so is x-b3-sampled: d, read",
            ),
            Self::B3NoParent => ("b3-parent", "an empty x-b3-parentspanid is no parent"),
            Self::B3Decision => ("b3-decision", "a decision without ids is the new trace's"),
            Self::TagsWithoutPanic => {
                ("18.7", "tags are read around what is missing; an entry without = is an error")
            }
            Self::DefaultParam => ("18.9", "a parameter not given is the sampler's default"),
            Self::BracketedAgent => ("18.23", "an agent's IPv6 address stands in brackets"),
            Self::EveryTrace => {
                ("default", "every trace is sampled where no variable speaks of sampling")
            }
            Self::HttpEndpoint => ("endpoint", "a collector's URL is of http or https"),
            Self::ManagerHostPort => ("manager", "a sampling manager's host:port becomes a URL"),
            Self::BareMilliseconds => ("durations", "a bare number is milliseconds, as for Java"),
            Self::DisabledAlone => ("disabled", "nothing else is read where it is disabled"),
            Self::RefusedWhenRead => {
                ("refused", "what no tracer can be made from is refused when it is read")
            }
            Self::OuterSpace => ("space", "white space around a value is no part of it"),
            Self::AgentHostWithPort => ("agent-port", "an agent's host may have its port"),
            Self::DebugTagAsHeader => ("debug-tag", "a debug id's tag is named as its header"),
            Self::ValueOfItsType => {
                ("tag-value", "a tag without a value of its type is read as that type's zero")
            }
            Self::UnixSocket => ("unix", "an agent may be a Unix socket, which has no port"),
            Self::EarlyLogsKept => ("18.18", "logs made before the decision are kept, as tags are"),
            Self::FinishedOnce => ("18.5", "a span is reported once, as it was when it finished"),
            Self::AnyPriority => ("18.16", "any number is a priority, whatever its place"),
            Self::NoDebugWithoutSampling => {
                ("18.17", "a priority of zero clears the debug bit too")
            }
            Self::FlagsStand => {
                ("18.26", "no sampler is asked about hand-made contexts and self-references")
            }
            Self::DelayedApart => {
                ("18.15", "a trace whose decision is put off is not counted as not sampled")
            }
            Self::JoinedApart => ("18.22", "spans that join one remote context share no state"),
            Self::SelfWithIds => ("18.3", "a self-reference to a context without ids is none"),
            Self::SamplerTagsKept => {
                ("start-tags", "the sampler's tags stay, however many a span starts with")
            }
            Self::KeepsNothing => {
                ("start-stopped", "a span that is stopped at its start keeps nothing of it")
            }
            Self::TagsAsSent => ("tag-types", "samplers see a tag as it is sent: f32 as f64"),
            Self::DeniedValueCut => ("denied", "a denied value is logged up to 2,048 bytes"),
            Self::RestrictionsListed => {
                ("restrictions", "an answer that is no list of keys and lengths is refused")
            }
            Self::BalancesListed => {
                ("credits", "an answer that is no list of operations and balances is refused")
            }
            Self::SpacesEncoded => ("space", "a space in baggage is written as %20"),
            Self::WrittenAsRead => (
                "written",
                "baggage is written as far as a header can hold it and a reader takes it",
            ),
            Self::B3Single => ("b3-single", "the single header b3 is read too"),
            Self::B3Encoded => ("b3-encoded", "B3 baggage of HTTP headers is percent-decoded"),
            Self::DebugIdActs => ("debug-id", "a debug id acts whatever the context beside it is"),
            Self::OneContext => ("one-context", "several contexts are one if they are the same"),
            Self::AtLeastAMicrosecond => ("duration", "a duration is at least a microsecond"),
            Self::StorableTimes => ("times", "a time before 1970 is that of 1970"),
            Self::FiniteDoubles => ("doubles", "infinite and no numbers are text"),
            Self::Trimmed => ("trimmed", "a span too large for a datagram is trimmed, and arrives"),
            Self::CanonicalZipkin => (
                "zipkin",
                "made from canonical bytes: 64-bit unsigned wrap, f32 widen, whole µs from \
                    1970 on; what is no address stays a tag, half a trace id is a whole one",
            ),
        }
    }

    /// Its number in the list of Go's defects.
    pub(crate) const fn number(self) -> &'static str {
        self.row().0
    }

    /// What is expected of this client.
    pub(crate) const fn meaning(self) -> &'static str {
        self.row().1
    }
}
