//! Reads the names of spans from Thrift's binary protocol, by walking it with the `thrift` crate.

use thrift::protocol::{TBinaryInputProtocol, TInputProtocol, TType};

/// The names of the spans of an `emitBatch` message, all of which must be read.
pub(crate) fn span_names(message: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    walk(message, |input| {
        let head = input.read_message_begin().unwrap();
        assert_eq!(head.name, "emitBatch");
        fields(input, |input, _| {
            names = batch(input, 5);
            true
        });
        input.read_message_end().unwrap();
    });
    names
}

/// The names of the spans of a bare batch, as a collector gets it.
pub(crate) fn body_names(body: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    walk(body, |input| names = batch(input, 5));
    names
}

/// The names of the spans of a list of Zipkin's.
pub(crate) fn zipkin_names(body: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    walk(body, |input| names = spans(input, 3));
    names
}

type Input<'a, 'b> = TBinaryInputProtocol<&'a mut &'b [u8]>;

fn walk(bytes: &[u8], read: impl FnOnce(&mut Input<'_, '_>)) {
    let mut rest = bytes;
    read(&mut TBinaryInputProtocol::new(&mut rest, true));
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
}

fn batch<P: TInputProtocol>(input: &mut P, name: i16) -> Vec<String> {
    let mut names = Vec::new();
    fields(input, |input, field| {
        if field == 2 {
            names = spans(input, name);
        }
        field == 2
    });
    names
}

/// The field `name` of each span of a list.
fn spans<P: TInputProtocol>(input: &mut P, name: i16) -> Vec<String> {
    let mut names = Vec::new();
    let list = input.read_list_begin().unwrap();
    for _ in 0..list.size {
        fields(input, |input, field| {
            if field == name {
                names.push(input.read_string().unwrap());
            }
            field == name
        });
    }
    input.read_list_end().unwrap();
    names
}

/// Reads a structure's fields; those that `known` does not take are skipped.
fn fields<P: TInputProtocol>(input: &mut P, mut known: impl FnMut(&mut P, i16) -> bool) {
    input.read_struct_begin().unwrap();
    loop {
        let field = input.read_field_begin().unwrap();
        if field.field_type == TType::Stop {
            break;
        }
        if !known(input, field.id.unwrap()) {
            input.skip(field.field_type).unwrap();
        }
        input.read_field_end().unwrap();
    }
    input.read_struct_end().unwrap();
}
