mod sampling;
