//! The tree of a trace's spans, for untrusted traces.
//!
//! Parents may be missing, may be named only by a reference, and may form cycles. Every span is
//! shown exactly once; nothing here recurses, so depth costs no stack.

use std::collections::HashMap;

use jaeger_client::SpanId;
use jaeger_client::encoding::SpanView;

/// Why a span stands where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The span names no parent.
    Root,
    /// The span is below its parent.
    Child,
    /// The span names a parent that is not in the trace.
    Orphan,
    /// Following parents from it leads back to it.
    Cycle,
}

/// A span's place when the tree is read from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The index in the slice of spans.
    pub(crate) span: usize,
    /// The number of spans above it.
    pub(crate) depth: usize,
    /// Whether it is the last child of its parent.
    pub(crate) last: bool,
    /// Whether it has children.
    pub(crate) has_children: bool,
    pub(crate) kind: Kind,
}

/// The parent of each span, as an index.
///
/// The parent id decides if that span is in the trace; then the first reference, child-of before
/// follows-from, to one that is.
pub(crate) fn parents(spans: &[SpanView<'_>]) -> Vec<Option<usize>> {
    let mut by_id = HashMap::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        by_id.entry(span.span_id).or_insert(index);
    }
    let other = |id: SpanId, not: usize| by_id.get(&id).copied().filter(|index| *index != not);
    let parent = |(index, span): (usize, &SpanView<'_>)| {
        let by_parent_id = (span.parent_span_id != SpanId::NONE)
            .then(|| other(span.parent_span_id, index))
            .flatten();
        let by_reference = |follows_from: bool| {
            let mut references = span.references().filter(|reference| {
                reference.follows_from == follows_from && reference.trace_id == span.trace_id
            });
            references.find_map(|reference| other(reference.span_id, index))
        };
        by_parent_id.or_else(|| by_reference(false)).or_else(|| by_reference(true))
    };
    spans.iter().enumerate().map(parent).collect()
}

/// All spans, each parent before its children; children in the order of the slice.
pub(crate) fn preorder(spans: &[SpanView<'_>]) -> Vec<Node> {
    let parents = parents(spans);
    let mut children = vec![Vec::new(); spans.len()];
    for (index, parent) in parents.iter().enumerate() {
        if let Some(parent) = *parent {
            children[parent].push(index);
        }
    }
    let mut nodes = Vec::with_capacity(spans.len());
    let mut shown = vec![false; spans.len()];
    for (index, span) in spans.iter().enumerate().filter(|(index, _)| parents[*index].is_none()) {
        let kind = match span.parent_span_id {
            SpanId::NONE => Kind::Root,
            itself if itself == span.span_id => Kind::Cycle,
            _ => Kind::Orphan,
        };
        descend(index, kind, &children, &mut nodes);
    }
    nodes.iter().for_each(|node: &Node| shown[node.span] = true);
    // The remaining spans are in cycles. Each is cut above its first span.
    for index in 0..spans.len() {
        if shown[index] {
            continue;
        }
        let first = first_of_cycle(index, &parents);
        if let Some(parent) = parents[first] {
            children[parent].retain(|child| *child != first);
        }
        let from = nodes.len();
        descend(first, Kind::Cycle, &children, &mut nodes);
        nodes[from..].iter().for_each(|node| shown[node.span] = true);
    }
    nodes
}

fn descend(root: usize, kind: Kind, children: &[Vec<usize>], nodes: &mut Vec<Node>) {
    let has_children = !children[root].is_empty();
    let mut waiting = vec![Node { span: root, depth: 0, last: true, has_children, kind }];
    while let Some(node) = waiting.pop() {
        nodes.push(node);
        let below = &children[node.span];
        for (place, child) in below.iter().enumerate().rev() {
            waiting.push(Node {
                span: *child,
                depth: node.depth + 1,
                last: place + 1 == below.len(),
                has_children: !children[*child].is_empty(),
                kind: Kind::Child,
            });
        }
    }
}

/// The smallest index on the cycle that following parents from `index` ends in.
fn first_of_cycle(index: usize, parents: &[Option<usize>]) -> usize {
    let mut seen = HashMap::new();
    let mut path = Vec::new();
    let mut at = index;
    loop {
        if let Some(start) = seen.insert(at, path.len()) {
            return path[start..].iter().copied().min().unwrap_or(index);
        }
        path.push(at);
        match parents[at] {
            Some(parent) => at = parent,
            None => return index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jaeger_client::TraceId;
    use jaeger_client::encoding::{List, ReferenceView, put_reference};

    fn spans(ids: &[(u64, u64)]) -> Vec<SpanView<'static>> {
        let span = |(id, parent): &(u64, u64)| {
            let mut span = SpanView::default();
            span.span_id = SpanId::new(*id);
            span.parent_span_id = SpanId::new(*parent);
            span
        };
        ids.iter().map(span).collect()
    }

    fn places(ids: &[(u64, u64)]) -> Vec<(u64, usize, Kind)> {
        let views = spans(ids);
        let place = |node: &Node| (views[node.span].span_id.get(), node.depth, node.kind);
        preorder(&views).iter().map(place).collect()
    }

    #[test]
    fn children_follow_their_parent() {
        use Kind::{Child, Root};
        assert_eq!(
            places(&[(1, 0), (2, 1), (3, 1), (4, 2)]),
            [(1, 0, Root), (2, 1, Child), (4, 2, Child), (3, 1, Child)]
        );
    }

    #[test]
    fn a_child_before_its_parent_is_still_under_it() {
        assert_eq!(places(&[(2, 1), (1, 0)]), [(1, 0, Kind::Root), (2, 1, Kind::Child)]);
    }

    #[test]
    fn orphans_are_shown() {
        assert_eq!(places(&[(2, 9), (3, 2)]), [(2, 0, Kind::Orphan), (3, 1, Kind::Child)]);
    }

    #[test]
    fn cycles_are_cut_above_their_first_span() {
        use Kind::{Child, Cycle};
        assert_eq!(places(&[(1, 1)]), [(1, 0, Cycle)]);
        assert_eq!(places(&[(1, 2), (2, 1)]), [(1, 0, Cycle), (2, 1, Child)]);
        // The first span hangs on the cycle without being part of it.
        assert_eq!(
            places(&[(7, 2), (1, 2), (2, 1)]),
            [(1, 0, Cycle), (2, 1, Child), (7, 2, Child)]
        );
    }

    #[test]
    fn references_stand_in_for_a_missing_parent() {
        let mut bytes = Vec::new();
        put_reference(&mut bytes, ReferenceView::new(true, TraceId::default(), SpanId::new(2)));
        put_reference(&mut bytes, ReferenceView::new(false, TraceId::new(0, 9), SpanId::new(1)));
        put_reference(&mut bytes, ReferenceView::new(false, TraceId::default(), SpanId::new(1)));
        let mut views = spans(&[(1, 0), (2, 0), (3, 8)]);
        views[2].references = Some(List::new(3, &bytes));
        assert_eq!(parents(&views), [None, None, Some(0)]);
        views[2].references = Some(List::new(1, &bytes));
        assert_eq!(parents(&views), [None, None, Some(1)]);
    }

    #[test]
    fn depth_costs_no_stack() {
        let chain: Vec<_> = (1..=200_000).map(|id| (id, id - 1)).collect();
        let nodes = preorder(&spans(&chain));
        assert_eq!(nodes.last().map(|node| node.depth), Some(199_999));
    }
}
