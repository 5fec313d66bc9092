mod accounting;
mod decisions;
mod joining;
