//! A Jaeger agent inside the process: keeps spans in memory, for tests and laptops
