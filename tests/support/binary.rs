//! Counts the spans of a message of Thrift's binary protocol, by walking it with the `thrift` crate.

use thrift::protocol::{TBinaryInputProtocol, TInputProtocol, TType};

/// The names of the spans of an `emitBatch` message, all of which must be read.
pub(crate) fn span_names(message: &[u8]) -> Vec<String> {
    let mut rest = message;
    let mut input = TBinaryInputProtocol::new(&mut rest, true);
    let head = input.read_message_begin().unwrap();
    assert_eq!(head.name, "emitBatch");
    let mut names = Vec::new();
    fields(&mut input, |input, _| {
        fields(input, |input, field| {
            if field != 2 {
                return false;
            }
            let list = input.read_list_begin().unwrap();
            for _ in 0..list.size {
                fields(input, |input, field| {
                    if field == 5 {
                        names.push(input.read_string().unwrap());
                    }
                    field == 5
                });
            }
            input.read_list_end().unwrap();
            true
        });
        true
    });
    input.read_message_end().unwrap();
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
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
