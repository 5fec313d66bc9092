//! How the spans of a script are started, as [`World`] follows it.

use crate::carrier::Ids;
use crate::deviations;
use crate::lifecycle_rules::{Context, DEBUG, Origin, SAMPLED, Span, State, World};
use crate::lifecycle_samplers::Question;
use crate::lifecycle_script::{Field, Kind};
use crate::sampling_rules::Side;
use crate::zipkin_rules::Given;

impl World<'_> {
    /// Starts a span, and gives its place.
    pub(crate) fn start(
        &mut self,
        operation: &str,
        references: &[(Kind, String)],
        tags: &[Field],
    ) -> Result<usize, String> {
        let (mut listed, mut itself, mut parent) = (Vec::new(), None, None);
        let mut settled = false;
        for (kind, name) in references {
            let context = self.context(name)?;
            if !context.is_valid() && !self.is_debug_alone(&context) && context.baggage.is_empty() {
                continue;
            }
            if *kind == Kind::Itself {
                itself = Some(context);
                continue;
            }
            if context.is_valid() {
                let Ids { trace_high, trace_low, span, .. } = context.ids;
                listed.push((*kind == Kind::FollowsFrom, trace_high, trace_low, span));
            }
            if !settled {
                parent = Some(context);
                settled = *kind == Kind::ChildOf;
            }
        }
        if self.ours() && itself.as_ref().is_some_and(|context: &Context| !context.is_valid()) {
            self.reasons.insert(deviations::SELF_WITH_IDS);
            itself = None;
        }
        let is_server = tags.iter().any(|tag| {
            tag.key == "span.kind" && matches!(&tag.given, Given::Text(kind) | Given::Other(kind, _) if kind == b"server")
        });
        let mut internal = None;
        let (mut begins, joins) = (false, parent.as_ref().is_some_and(Context::is_valid));
        let context = match (itself, parent) {
            (Some(context), _) => {
                if context.state.is_none() {
                    return Err("a context without a state, on which Go panics".to_owned());
                }
                if self.ours() && context.origin == Origin::Extracted {
                    self.reasons.insert(deviations::FLAGS_STAND);
                }
                let state = Some(self.joined(&context));
                // Here it is a span like any other.
                let origin = if self.ours() { Origin::Span } else { context.origin };
                Context { state, origin, ..context }
            }
            (None, Some(parent)) if joins => {
                let state = self.joined(&parent);
                let shares = is_server && self.options.zipkin_shared;
                let ids = if shares {
                    parent.ids.clone()
                } else {
                    Ids { span: self.id(), parent: parent.ids.span, ..parent.ids }
                };
                if parent.origin == Origin::Extracted {
                    self.states[state].is_final = true;
                    self.states[state].local_root = ids.span;
                }
                if self.ours() && !parent.debug_id.is_empty() {
                    self.reasons.insert(deviations::DEBUG_ID_ACTS);
                    if self.states[state].flags & DEBUG != 0 || self.is_debug_allowed(operation) {
                        self.states[state].flags |= SAMPLED | DEBUG;
                        internal =
                            Some((b"jaeger-debug-id".to_vec(), Given::Text(parent.debug_id)));
                    }
                }
                Context { ids, baggage: parent.baggage, state: Some(state), ..<_>::default() }
            }
            (None, parent) => {
                begins = true;
                let low = self.id();
                let high = match (self.options.trace_id_128bit, self.options.high) {
                    (false, _) => 0,
                    (true, Some(high)) => high,
                    (true, None) => self.numbers.next(),
                };
                let state = self.new_state(State { local_root: low, ..State::default() });
                let ids = Ids { trace_high: high, trace_low: low, span: low, ..Ids::default() };
                let parent: Context = parent.unwrap_or_default();
                if self.is_debug_alone(&parent) && self.is_debug_allowed(operation) {
                    self.states[state].flags |= SAMPLED | DEBUG;
                    let names = &self.options.names;
                    // Go's tag has the usual name, whatever the header's.
                    let key = if self.ours() { &names.debug } else { DEBUG_ID };
                    if key != DEBUG_ID {
                        self.reasons.insert(deviations::DEBUG_TAG_AS_HEADER);
                    }
                    internal = Some((key.as_bytes().to_vec(), Given::Text(parent.debug_id)));
                }
                Context { ids, baggage: parent.baggage, state: Some(state), ..<_>::default() }
            }
        };
        let first_in_process = is_server || context.ids.parent == 0;
        self.spans.push(Span {
            context,
            operation: operation.to_owned(),
            references: listed,
            tags: Vec::new(),
            logs: Vec::new(),
            dropped: 0,
            first_in_process,
            finished: false,
        });
        let at = self.spans.len() - 1;
        self.ask(at, Question::Created);
        // Go makes room for the tags where the sampler's leave none, and forgets those.
        let own = &mut self.spans[at].tags;
        if !own.is_empty() && tags.len() + usize::from(internal.is_some()) > 2 {
            match self.side {
                Side::Go => own.clear(),
                Side::Ours => drop(self.reasons.insert(deviations::SAMPLER_TAGS_KEPT)),
            }
        }
        self.spans[at].tags.extend(internal);
        match self.side {
            Side::Go => tags.iter().for_each(|tag| self.set_tag(at, tag)),
            Side::Ours => self.start_with(at, tags),
        }
        self.count_started(at, begins);
        Ok(at)
    }

    /// Sets the tags that a span is started with: a priority among them acts whatever its place, and
    /// the span keeps all or none.
    fn start_with(&mut self, span: usize, tags: &[Field]) {
        let is_priority = |tag: &&Field| tag.key == "sampling.priority";
        let acts = |tag: &&Field| {
            is_priority(tag)
                && matches!(tag.given, Given::Whole(..) | Given::Float(_) | Given::Double(_))
        };
        for tag in tags.iter().filter(|tag| !is_priority(tag)) {
            self.ask(span, Question::Tag(&tag.key, &tag.given));
            self.spans[span].tags.push((tag.key.clone().into_bytes(), tag.given.clone()));
        }
        if let Some(tag) = tags.iter().rfind(acts) {
            if tags.len() > 1 {
                self.reasons.insert(deviations::ANY_PRIORITY);
            }
            self.set_tag(span, tag);
        }
        let State { flags, is_final, .. } = *self.state_of(span);
        if is_final && flags & SAMPLED == 0 {
            if tags.iter().any(|tag| acts(&tag)) && !self.spans[span].tags.is_empty() {
                self.reasons.insert(deviations::KEEPS_NOTHING);
            }
            self.spans[span].tags.clear();
        }
    }

    /// The state of a span that joins the trace of a context, or is it.
    fn joined(&mut self, context: &Context) -> usize {
        let of_context = context.state.unwrap_or_default();
        if !self.ours() || context.origin == Origin::Span {
            return of_context;
        }
        // Here a context does not change by what is done to spans that join it, and no sampler is
        // asked about them.
        if context.origin == Origin::Made {
            self.reasons.insert(deviations::FLAGS_STAND);
        }
        if self.has_spans_of(context) {
            self.reasons.insert(deviations::JOINED_APART);
        }
        let flags = self.states[of_context].flags;
        self.new_state(State { flags, is_final: true, ..State::default() })
    }

    pub(crate) fn has_spans_of(&self, context: &Context) -> bool {
        self.spans.iter().any(|span| span.context.ids.is_of_trace_of(&context.ids))
    }

    /// Whether a context is one of a debug id alone.
    fn is_debug_alone(&mut self, context: &Context) -> bool {
        if context.debug_id.is_empty() {
            return false;
        }
        if self.ours() && !context.is_valid() && context.ids.names_trace() {
            self.reasons.insert(deviations::DEBUG_ID_KEPT);
            return true;
        }
        !context.ids.names_trace()
    }

    pub(crate) fn is_debug_allowed(&mut self, operation: &str) -> bool {
        let (allowed, throttled) = self.throttling.is_allowed(operation, &mut self.reasons);
        if throttled {
            self.count("throttled_debug_spans", &[]);
        }
        allowed
    }

    fn count_started(&mut self, span: usize, begins: bool) {
        let State { flags, is_final, .. } = *self.state_of(span);
        let sampled = if flags & SAMPLED != 0 { "y" } else { "n" };
        let first = self.spans[span].first_in_process;
        self.count("started_spans", &[("sampled", if is_final { sampled } else { "delayed" })]);
        match (begins, is_final) {
            (true, false) if self.ours() => {
                self.reasons.insert(deviations::DELAYED_APART);
                self.count("traces", &[("sampled", "delayed"), ("state", "started")]);
            }
            (true, false) => self.count("traces", &[("sampled", "n"), ("state", "started")]),
            (true, true) => self.count("traces", &[("sampled", sampled), ("state", "started")]),
            (false, true) if first => {
                self.count("traces", &[("sampled", sampled), ("state", "joined")]);
            }
            _ => {}
        }
    }
}

/// Jaeger's own name for the header of a debug id.
const DEBUG_ID: &str = "jaeger-debug-id";
