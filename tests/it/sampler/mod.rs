mod joining;
mod sampling;
