mod accounting;
mod report;
mod rpc;
