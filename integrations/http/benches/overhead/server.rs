//! A server that always says the same, on one thread of its own.
//!
//! One thread for all connections: where the system puts it beside the client's thread matters more
//! than what is compared, and so is the same for all.

use std::io;
use std::thread;

use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::Outcome;

/// The body of every response.
pub(crate) const RESPONSE: &str = "The time is now";

/// Serves until the process ends, and gives the URL to ask for.
pub(crate) fn start() -> Outcome<Uri> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}/time", listener.local_addr()?).parse()?;
    thread::spawn(move || {
        runtime.block_on(async {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
    });
    Ok(url)
}

/// A request has no body and comes in one piece, or in few; all of it is read before it is answered.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let length = RESPONSE.len();
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{RESPONSE}");
    let (mut head, mut read) = ([0; 4096], 0);
    loop {
        let more = stream.read(&mut head[read..]).await?;
        if more == 0 {
            return Ok(());
        }
        read += more;
        if head[..read].ends_with(b"\r\n\r\n") {
            read = 0;
            stream.write_all(response.as_bytes()).await?;
        }
    }
}
