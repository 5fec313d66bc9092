//! A trace through a message queue: its context travels in the headers of a message.
//!
//! `cargo run --example message_headers`. Headers of Kafka, AMQP and the like are lists of names and bytes;
//! a `Vec<(String, Vec<u8>)>` is a carrier as it is, and so are `HashMap`s of text. Headers of another type
//! are one by the two methods of `InjectCarrier` and the one of `ExtractCarrier`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use jaeger_client::tags::{MESSAGE_BUS_DESTINATION, SpanKind};
use jaeger_client::{ConfigError, Configuration, Tracer};

/// What a client of a queue gives and takes.
struct Message {
    headers: Vec<(String, Vec<u8>)>,
    body: String,
}

fn send(tracer: &Tracer, queue: &mpsc::Sender<Message>, body: &str) {
    let span = tracer.span("send order").kind(SpanKind::Producer).start();
    span.set_tag(MESSAGE_BUS_DESTINATION, "orders");
    let mut message = Message { headers: Vec::new(), body: body.to_owned() };
    tracer.inject(&span, &mut message.headers);
    if let Err(error) = queue.send(message) {
        span.record_error(&error);
    }
}

fn receive(tracer: &Tracer, message: &Message) {
    // The sender does not wait for it: it follows from the sender's span. Without a context, or with one
    // that is broken, a trace begins here.
    let sender = tracer.extract(&message.headers).ok();
    let span = tracer.span("handle order").follows_from(sender).kind(SpanKind::Consumer).start();
    span.set_tag(MESSAGE_BUS_DESTINATION, "orders").set_tag("bytes", message.body.len());
}

fn main() -> Result<(), ConfigError> {
    let (shop, shop_closer) = Configuration::new("shop").with_env()?.new_tracer()?;
    let (stock, stock_closer) = Configuration::new("stock").with_env()?.new_tracer()?;
    let (queue, orders) = mpsc::channel();

    let consumer = thread::spawn(move || {
        orders.iter().for_each(|message| receive(&stock, &message));
        stock_closer.close(Duration::from_secs(2))
    });
    send(&shop, &queue, "two books");
    drop(queue);

    println!("shop: {}", shop_closer.close(Duration::from_secs(2)));
    if let Ok(report) = consumer.join() {
        println!("stock: {report}");
    }
    Ok(())
}
