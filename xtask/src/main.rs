//! Tasks of the repository: contracts, flood, checks

fn main() {}
